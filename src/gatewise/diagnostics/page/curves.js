// Curves over time, with the tokens on their axis.

const CURVES = {width: 1080, height: 230, left: 56, right: 12, top: 8, letter: 7};

// How the values of series become heights from 0 (below) to 1, and where lines are drawn.
function logarithmic(series) {
  const logs = series.flatMap(one => one.values).filter(value => value > 0).map(Math.log10);
  if (!logs.length) return null;
  const low = Math.floor(Math.min(...logs)), high = Math.max(low + 1, Math.ceil(Math.max(...logs)));
  const each = Math.max(1, Math.ceil((high - low) / 6)), lines = [];
  for (let power = low; power <= high; power += each) lines.push([10 ** power, "1e" + power]);
  return {part: value => value > 0 ? (Math.log10(value) - low) / (high - low) : null, lines};
}

function linear(low, high) {
  const lines = [low, (low + high) / 2, high].map(value => [value, short(value)]);
  return {part: value => value === null ? null : (value - low) / (high - low), lines};
}

// Tokens under the steps: all of them where they fit, else as many as do; of letters pieces of the text.
function axisLabels(tokens, steps, every, pixels) {
  const count = Math.min(tokens.length, steps * every), labels = [], widest = Math.max(...tokens.map(token => [...plain(token)].length));
  const width = pixels / every; // of a token
  const letters = areLetters(tokens);
  if (widest * CURVES.letter + 4 <= width || (letters && width >= CURVES.letter)) {
    for (let t = 0; t < count; t++) labels.push([t, plain(tokens[t])]);
    return {labels, tilted: false};
  }
  if (letters) {
    const each = Math.ceil(80 / width);
    for (let t = 0; t < count; t += each) labels.push([t, plain(tokens.slice(t, t + Math.min(each, 10)).join("")), "start"]);
    return {labels, tilted: false};
  }
  const each = Math.ceil(14 / width);
  for (let t = 0; t < count; t += each) labels.push([t, [...plain(tokens[t])].slice(0, 12).join("")]);
  return {labels, tilted: true};
}

// Tokens that only count the steps are the numbers of the axis.
const areNumbers = tokens => tokens.every((token, t) => token === String(t + 1));

function curves(parent, series, {every = 1, tokens = null, scale = logarithmic(series), height = CURVES.height, least = 0} = {}) {
  const {left, right, top} = CURVES, steps = Math.max(...series.map(one => one.values.length));
  const width = Math.max(CURVES.width, left + right + steps * least), wide = width > CURVES.width;
  const inside = width - left - right, pixels = steps > 1 ? inside / (steps - 1) : inside;
  const numbered = tokens && areNumbers(tokens);
  const axis = tokens && tokens.length && !numbered ? axisLabels(tokens, steps, every, pixels) : {labels: [], tilted: false};
  const below = height + top, bottom = 22 + (axis.labels.length ? (axis.tilted ? 74 : 20) : 0);
  const box = wide ? make("div", {class: "scroll"}, null, parent) : parent;
  const svg = make("svg", {viewBox: `0 0 ${width} ${below + bottom}`, role: "img", ...(wide ? {style: `width:${width}px`} : {})}, null, box);
  if (!scale) { make("text", {x: left, y: below / 2}, "every gradient is zero or not finite", svg); return; }
  const x = t => steps > 1 ? left + t * pixels : left + inside / 2, y = value => top + height * (1 - scale.part(value));
  for (const [value, label] of scale.lines) {
    make("line", {x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: "var(--line)"}, null, svg);
    make("text", {x: left - 6, y: y(value) + 4, "text-anchor": "end"}, label, svg);
  }
  for (const [t, label, anchor] of axis.labels) {
    const at = x(t / every);
    const turn = axis.tilted ? {transform: `rotate(-60 ${at} ${below + 16})`, "text-anchor": "end"} : {"text-anchor": anchor || "middle"};
    make("text", {class: "token", x: at, y: below + 18, ...turn}, label, svg);
  }
  const numbers = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], most = width / 90;
  const between = numbers.find(n => steps * every / n <= most) || Math.ceil(steps * every / most);
  for (let t = 0; t < steps * every; t += between) {
    if (x(t / every) < width - right - 40) make("text", {x: x(t / every), y: below + bottom - 6, "text-anchor": "middle"}, numbered ? tokens[t] : t, svg);
  }
  make("text", {x: width - right, y: below + bottom - 6, "text-anchor": "end"}, "step", svg);
  series.forEach((one, k) => {
    const stroke = colours[k % colours.length];
    let path = "", open = false;
    one.values.forEach((value, t) => {
      if (scale.part(value) === null) { open = false; return; }
      path += (open ? "L" : "M") + x(t).toFixed(1) + " " + y(value).toFixed(1);
      open = true;
    });
    make("path", {d: path, fill: "none", stroke, "stroke-width": 1.8, "data-key": one.key}, null, svg);
    if (one.values.length === 1 && scale.part(one.values[0]) !== null) make("circle", {cx: x(0), cy: y(one.values[0]), r: 3, fill: stroke}, null, svg);
  });
  svg.addEventListener("mousemove", event => {
    const box = svg.getBoundingClientRect(), t = Math.round(((event.clientX - box.left) / box.width * width - left) / inside * (steps - 1));
    if (t < 0 || t >= steps) return;
    const token = tokens && tokens[t * every] !== undefined ? " " + JSON.stringify(tokens[t * every]) : "";
    show(event, `step ${t * every}${token}: ` + series.map(one => `${one.key} ${short(one.values[t] ?? null)}`).join(", "));
  });
  svg.addEventListener("mouseleave", hide);
  const key = make("p", {class: "key soft"}, null, parent);
  series.forEach((one, k) => { make("i", {style: `background:${colours[k % colours.length]}`}, null, key); key.append(one.key); });
}
