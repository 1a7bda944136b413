// Attributions: rows are predictions, columns are causes.

const MOST_ROWS = 24, MOST_COLUMNS = 40, KEPT = 12;

const sumOf = values => values.reduce((sum, value) => sum + Math.abs(value), 0);

// The positions of the largest weights, in order; negligible ones are omitted.
function largest(weights, count) {
  const most = Math.max(...weights), positions = weights.map((_, position) => position).filter(position => weights[position] >= most / 100);
  return positions.sort((a, b) => weights[b] - weights[a]).slice(0, count).sort((a, b) => a - b);
}

// A matrix that shows the most important rows first, and columns too unless they are a time axis.
function matrix(parent, {rows, columns, values, timed, colour, tip}) {
  const all = [rows.map((_, row) => row), columns.map((_, column) => column)];
  const few = [
    rows.length > MOST_ROWS ? largest(values.map(sumOf), KEPT) : all[0],
    !timed && columns.length > MOST_COLUMNS ? largest(columns.map((_, column) => sumOf(values.map(row => row[column]))), MOST_COLUMNS) : all[1],
  ];
  const box = make("div", {class: "scroll"}, null, parent);
  drawMatrix(box, ...few, {rows, columns, values, colour, tip});
  const left = [[few[0], rows, "lines"], [few[1], columns, "columns"]].filter(([some, of]) => some.length < of.length);
  if (!left.length) return;
  const note = make("p", {class: "tools soft"}, `Shown: ${left.map(([some, of, what]) => `${some.length} of ${of.length} ${what}`).join(" and ")}, those with the largest changes. `, parent);
  make("button", {}, "show all", note).addEventListener("click", () => {
    box.replaceChildren();
    note.remove();
    drawMatrix(box, ...all, {rows, columns, values, colour, tip});
  });
}

function drawMatrix(box, shownRows, shownColumns, {rows, columns, values, colour, tip}) {
  const names = shownColumns.map(column => plain(columns[column])), longest = Math.max(...shownRows.map(row => [...rows[row]].length));
  const room = box.clientWidth - 7 * longest - 20, width = Math.max(15, Math.min(90, Math.floor(room / names.length)));
  const level = names.every(name => [...name].length * 7 + 4 <= width);
  const table = make("table", {class: level ? "matrix" : "matrix upright"}, null, box), head = make("tr", {}, null, table);
  make("th", {}, null, head);
  for (const name of names) make("th", {}, name, head);
  for (const row of shownRows) {
    const line = make("tr", {}, null, table);
    make("th", {}, plain(rows[row]), line);
    for (const column of shownColumns) {
      const value = values[row][column];
      tipped(make("td", {style: `background:${colour(value)};min-width:${width}px`}, null, line), () => tip(row, column, value));
    }
  }
  // A wide matrix that does not fit is initially scrolled to its largest values.
  const weights = shownColumns.map(column => sumOf(shownRows.map(row => values[row][column])));
  const first = head.children[1 + weights.indexOf(Math.max(...weights))];
  if (first) box.scrollLeft = first.offsetLeft - box.clientWidth / 2;
}

function drawAttributions() {
  if (!data.attributions.length) return;
  make("h2", {}, "Attributions", $("attributions"));
  make("p", {class: "soft"}, "Red raised the prediction's log-odds, blue lowered them: the difference when the token is erased. Point at a token for its number.", $("attributions"));
  const most = Math.max(...data.attributions.flatMap(one => one.values).map(Math.abs), 1e-9), alone = data.attributions.length === 1;
  data.attributions.forEach((one, row) => {
    const letters = areLetters(data.tokens), line = make("p", {class: letters ? "reading letters" : "reading"}, null, $("attributions"));
    make("b", {}, alone ? one.prediction : `${data.tokens[row]}: ${one.prediction}`, line);
    one.values.forEach((value, t) => {
      const word = make("span", {style: `background:${tinted(value, most)}`}, data.tokens[t], line);
      tipped(word, () => `${JSON.stringify(data.tokens[t])}: ${short(value)}`);
      if (!letters) line.append(" ");
    });
  });
}

function drawAttention() {
  if (!data.attention) return;
  const {source, answer, weights} = data.attention;
  make("h2", {}, "Attention", $("attention"));
  make("p", {class: "soft"}, "A line is a token of the answer, a column one of the source; the darker, the larger the attention. Point at a cell for its weight.", $("attention"));
  drawMatrix(make("div", {class: "scroll"}, null, $("attention")), answer.map((_, t) => t), source.map((_, s) => s), {
    rows: answer, columns: source, values: weights,
    colour: weight => `rgba(31,119,180,${weight})`,
    tip: (t, s, weight) => `${JSON.stringify(answer[t])} looked at ${JSON.stringify(source[s])}: ${weight}`,
  });
}

function drawChanges() {
  for (const {title, causes, predictions, changes, timed} of data.changes) {
    make("h2", {}, title, $("changes"));
    make("p", {class: "soft"}, "A line is a prediction, a column what was erased; red raised the prediction, blue lowered it. Point at a cell for its number.", $("changes"));
    const most = Math.max(...changes.flat().map(Math.abs), 1e-30);
    matrix($("changes"), {
      rows: predictions, columns: causes, values: changes, timed,
      colour: value => tinted(value, most),
      tip: (row, column, value) => `${predictions[row]}: ${value > 0 ? "+" : ""}${short(value)} by ${causes[column]}`,
    });
  }
}
