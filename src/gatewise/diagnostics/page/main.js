// The page, top to bottom.

function drawHead() {
  document.title = `${data.title} · gatewise report`;
  $("title").textContent = data.title;
  for (const [name, value] of data.facts) {
    const fact = make("span", {}, null, $("facts"));
    make("b", {}, name, fact);
    fact.append(value);
  }
  $("about").textContent = data.about;
}

function drawFindings() {
  if (!data.findings.length) make("p", {class: "fine"}, "Nothing found.", $("findings"));
  for (const one of data.findings) {
    const box = make("div", {class: "finding"}, null, $("findings")), line = make("p", {}, null, box);
    make("b", {}, one.kind, line);
    line.append(` (${one.layer}): ${one.evidence}.`);
    if (one.consequences.length) make("p", {}, "So also: " + one.consequences.join(", ") + ".", box);
    make("p", {}, one.advice, box);
    make("p", {class: "soft"}, "Explained by " + one.page, box);
  }
  for (const one of data.unchecked) make("p", {class: "soft"}, "Not checked: " + one + ".", $("findings"));
}

function drawFlow() {
  if (!data.flow.length) make("p", {class: "soft"}, "No backward pass was recorded.", $("flow"));
  for (const group of data.flow) {
    make("h3", {}, group.title, $("flow"));
    curves($("flow"), group.series, {every: group.every, tokens: group.tokens || data.tokens});
  }
}

function drawHorizons() {
  make("tr", {}, null, $("horizons")).append(...["layer", "outcome", "steps", "factor per step"].map(text => make("th", {}, text)));
  for (const row of data.horizons) make("tr", {}, null, $("horizons")).append(...row.map(text => make("td", {}, text)));
}

function drawClips() {
  if (!data.clips.length) {
    make("p", {class: "soft"}, "No clipping was recorded (use gatewise.Clip, or the callback with Lightning).", $("clips"));
    return;
  }
  const clipped = data.clips.filter(one => one[1]).length;
  make("p", {}, `${clipped} of ${data.clips.length} steps were clipped; the norm before clipping:`, $("clips"));
  curves($("clips"), [{key: "norm before clipping", values: data.clips.map(one => one[0])}]);
}

drawHead();
drawFindings();
drawAttributions();
drawAttention();
drawChanges();
drawFlow();
drawHorizons();
drawGates();
drawClips();
