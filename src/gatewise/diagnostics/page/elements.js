// Elements of the page, numbers as text, colours, and the tip beside the pointer.

const data = JSON.parse(document.getElementById("data").textContent);
const colours = ["#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#8c6d1f", "#4c9be8", "#666666"];
const $ = id => document.getElementById(id);

function make(name, attributes = {}, text = null, parent = null) {
  const drawn = ["svg", "path", "text", "line", "rect", "circle"].includes(name);
  const element = drawn ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== null) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function short(value) {
  if (value === null) return "not finite";
  return Math.abs(value) >= 1e4 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : +value.toPrecision(4) + "";
}

const plain = token => token.replace(/\n/g, "⏎");
const areLetters = tokens => tokens.every(token => [...token].length <= 1);

// Red for more, blue for less; the stronger, the more.
const tinted = (value, most) => `rgba(${value > 0 ? "214,69,65" : "52,120,190"},${(Math.abs(value) / most).toFixed(3)})`;

// From blue over white to red: ColorBrewer's RdBu.
function colour(part) {
  const stops = [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]];
  const at = part * 4, k = Math.min(3, Math.floor(at)), f = at - k;
  return stops[k].map((value, c) => value + (stops[k + 1][c] - value) * f);
}

function show(event, text) {
  const tip = $("tip");
  tip.textContent = text;
  tip.style.visibility = "visible";
  tip.style.left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = event.clientY + 14 + "px";
}

function hide() { $("tip").style.visibility = "hidden"; }

function tipped(element, text) {
  element.addEventListener("mousemove", event => show(event, text()));
  element.addEventListener("mouseleave", hide);
  return element;
}
