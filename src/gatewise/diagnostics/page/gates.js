// Heat maps of the gates, and the values of one unit along the text.

const MOST_READ = 3000; // tokens shown with the values of one unit
const maps = data.gates.map(gate => ({
  ...gate,
  bytes: Uint8Array.from(atob(gate.data), letter => letter.charCodeAt(0)),
  tokens: gate.tokens || data.tokens,
}));
const picked = {gate: null, row: 0};

const valueAt = (map, row, step) => {
  const byte = map.bytes[row * map.steps + step];
  return byte === 255 ? null : map.low + byte / 254 * (map.high - map.low);
};
const unitsAt = (map, row) => map.order.slice(row * map.unit_pooled, (row + 1) * map.unit_pooled);
const rowOf = (map, unit) => Math.floor(map.order.indexOf(unit) / map.unit_pooled);

function unitName(map, row) {
  const units = unitsAt(map, row);
  return units.length === 1 ? `unit ${units[0]}` : `mean of units ${units.slice(0, 8).join(", ")}${units.length > 8 ? ", …" : ""}`;
}

function drawMap(map) {
  const name = `${map.key}: ${map.role ? map.role + ", " : ""}${map.activation}; ${map.summary}`;
  make("h3", {}, name, $("gates"));
  const pair = make("div", {class: "pair"}, null, $("gates"));
  map.scroll = make("div", {class: "scroll map"}, null, pair);
  map.line = make("div", {class: "tokens"}, null, map.scroll);
  const heatmap = make("div", {class: "heatmap"}, null, map.scroll);
  map.canvas = make("canvas", {width: map.steps, height: map.units, "data-gate": map.key}, null, heatmap);
  map.mark = make("i", {hidden: ""}, null, heatmap);
  const image = new ImageData(map.steps, map.units);
  map.bytes.forEach((byte, k) => {
    const [r, g, b] = byte === 255 ? [128, 128, 128] : colour(byte / 254);
    image.data.set([r, g, b, byte === 255 ? 60 : 255], 4 * k);
  });
  map.canvas.getContext("2d").putImageData(image, 0, 0);
  map.canvas.addEventListener("mousemove", event => {
    const {step, row} = cellAt(map, event);
    if (row === null) return;
    const value = valueAt(map, row, step), first = step * map.pooled;
    const token = map.tokens && map.tokens[first] !== undefined ? ` ${JSON.stringify(map.tokens[first])}` : "";
    show(event, `${map.key}: step ${first}${token}, ${unitName(map, row)}: ${value === null ? "padding" : value.toFixed(2)}`);
  });
  map.canvas.addEventListener("mouseleave", hide);
  map.canvas.addEventListener("click", event => {
    const {row} = cellAt(map, event);
    if (row !== null) pick(map, row);
  });
  drawHistogram(map, make("div", {class: "bars"}, null, pair));
}

function cellAt(map, event) {
  const box = map.canvas.getBoundingClientRect();
  const step = Math.floor((event.clientX - box.left) / box.width * map.steps), row = Math.floor((event.clientY - box.top) / box.height * map.units);
  return step < 0 || row < 0 || step >= map.steps || row >= map.units ? {step: 0, row: null} : {step, row};
}

function drawHistogram(map, parent) {
  const W = 240, H = 110, count = map.histogram.length, most = Math.max(...map.histogram, 1e-9);
  const svg = make("svg", {viewBox: `0 0 ${W} ${H}`, role: "img"}, null, parent);
  map.histogram.forEach((part, k) => {
    make("rect", {x: k * W / count, width: W / count - 1, y: (H - 24) * (1 - part / most), height: (H - 24) * part / most, fill: "var(--soft)"}, null, svg);
    make("rect", {x: k * W / count, width: W / count + .5, y: H - 23, height: 7, fill: `rgb(${colour((k + .5) / count)})`}, null, svg);
  });
  make("text", {x: 0, y: H - 3}, short(map.low), svg);
  make("text", {x: W, y: H - 3, "text-anchor": "end"}, short(map.high), svg);
}

// The size of a cell: fills the page width with legible letters, times the zoom factor.
function layMap(map, zoom) {
  const letters = map.tokens && map.pooled === 1 && areLetters(map.tokens);
  const longest = map.tokens ? Math.max(...map.tokens.map(token => [...plain(token)].length)) * 7 + 4 : 0, room = Math.max(1, map.scroll.clientWidth - 2);
  // Room for the last of the tokens, which lean to the right.
  const fit = (longest <= room / map.steps / map.pooled || letters ? room : room - 50) / map.steps, least = letters ? 8 : 3;
  const wide = zoom === "fit" ? fit : Math.max(fit, least) * zoom, tall = Math.max(1, Math.min(24, Math.floor(256 / map.units))) * (zoom === "fit" ? 1 : zoom);
  map.canvas.style.width = `${map.steps * wide}px`;
  map.canvas.style.height = `${map.units * tall}px`;
  map.canvas.parentElement.style.width = map.canvas.style.width;
  map.line.replaceChildren();
  map.line.hidden = !map.tokens;
  if (!map.tokens) return;
  const shown = map.tokens.slice(0, map.steps * map.pooled), each = wide / map.pooled; // the width of a token
  const level = longest <= each, upright = level || (letters && each >= 7);
  map.line.className = `tokens${letters && upright ? " letters" : level ? " level" : ""}`;
  const step = upright ? 1 : Math.ceil(11 / each);
  shown.forEach((token, t) => {
    if (t % step) return;
    const position = upright ? `left:${t * each}px;width:${each}px` : `left:${(t + .7) * each}px`;
    make("span", {style: position}, plain(token), map.line);
  });
  map.line.style.width = `${map.steps * wide}px`;
}

function pick(map, row) {
  picked.gate = map;
  picked.row = row;
  const unit = unitsAt(map, row)[0], beside = maps.filter(other => other.location === map.location);
  for (const other of maps) {
    other.mark.hidden = !beside.includes(other);
    if (other.mark.hidden) continue;
    const at = rowOf(other, unit);
    other.mark.style.top = `${100 * at / other.units}%`;
    other.mark.style.height = `${100 / other.units}%`;
  }
  drawUnit(map, row, unit, beside);
}

function drawUnit(map, row, unit, beside) {
  const panel = $("unit");
  panel.replaceChildren();
  const tools = make("p", {class: "tools"}, "One unit along the text: gate ", panel), gates = make("select", {}, null, tools);
  for (const other of maps) make("option", other === map ? {selected: ""} : {}, other.key, gates);
  tools.append(" unit ");
  const number = make("input", {type: "number", min: 0, max: map.order.length - 1, value: unit}, null, tools);
  tools.append(map.unit_pooled > 1 ? ` (${unitName(map, row)})` : "");
  gates.addEventListener("change", () => { const other = maps[gates.selectedIndex]; pick(other, Math.max(0, rowOf(other, unit))); });
  number.addEventListener("change", () => { if (map.order.includes(+number.value)) pick(map, rowOf(map, +number.value)); });
  if (map.tokens && !areNumbers(map.tokens)) {
    const letters = areLetters(map.tokens), line = make("div", {class: letters ? "reading letters" : "reading"}, null, panel);
    map.tokens.slice(0, Math.min(MOST_READ, map.steps * map.pooled)).forEach((token, t) => {
      const value = valueAt(map, row, Math.floor(t / map.pooled));
      if (value === null) return;
      const part = (value - map.low) / (map.high - map.low), dark = part < .15 || part > .85;
      const word = make("span", {style: `background:rgb(${colour(part).map(Math.round)})`, [dark ? "data-dark" : "data-bright"]: ""}, letters ? plain(token) : token, line);
      tipped(word, () => `${JSON.stringify(token)}: ${map.key} ${value.toFixed(2)}`);
      if (token === "\n") make("br", {}, null, line);
      if (!letters) line.append(" ");
    });
  }
  const series = beside.map(other => ({
    key: other.key,
    values: Array.from({length: other.steps}, (_, step) => valueAt(other, rowOf(other, unit), step)),
  }));
  const low = Math.min(...beside.map(other => other.low)), high = Math.max(...beside.map(other => other.high));
  curves(panel, series, {every: map.pooled, tokens: map.tokens, scale: linear(low, high), height: 120, least: 7.5});
}

// The unit whose values vary most is selected first.
function liveliest(map) {
  const spread = Array.from({length: map.units}, (_, row) => {
    const values = Array.from({length: map.steps}, (_, step) => valueAt(map, row, step)).filter(value => value !== null);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  });
  return Math.max(0, spread.indexOf(Math.max(...spread)));
}

function drawGates() {
  let zoom = 1;
  maps.forEach(drawMap);
  const lay = () => maps.forEach(map => layMap(map, zoom));
  lay();
  const steps = {in: () => zoom === "fit" ? 1 : Math.min(16, zoom * 2), out: () => zoom === "fit" || zoom <= 1 ? "fit" : zoom / 2, fit: () => "fit"};
  for (const button of document.querySelectorAll("#zoom button")) {
    button.addEventListener("click", () => { zoom = steps[button.dataset.zoom](); lay(); });
  }
  if (maps.length && maps[0].units) {
    const first = maps.find(map => map.key.split(".").pop() === "f") || maps[0];
    pick(first, liveliest(first));
  }
  if (data.pooled) make("p", {class: "soft"}, data.pooled, $("gates"));
}
