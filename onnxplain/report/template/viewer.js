// The viewer: which photo, class and method is looked at, and the three pictures of it.

const find = (selector, root = document) => root.querySelector(selector);
const findAll = (selector, root = document) => [...root.querySelectorAll(selector)];
const state = { case: 0, map: null, other: null, alpha: 0.6, level: 0, probe: null };
const figures = findAll("#panels figure");
let turn = 0; // of painting: what was begun for an earlier selection is dropped

const formatNumber = (value) => (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5) || value === 0
  ? String(Number(value.toPrecision(3))) : value.toExponential(2);

function select(map, { scroll = false } = {}) {
  const index = data.cases.findIndex((one) => one.maps.includes(map));
  state.case = index;
  state.map = map;
  if (state.other === map || !data.cases[index].maps.includes(state.other)) state.other = null;
  state.probe = null;
  describeSelection();
  paint();
  showWalks();
  if (scroll) find("#viewer").scrollIntoView({ block: "start" });
  document.dispatchEvent(new CustomEvent("onnxplain:select", { detail: { ...state } }));
}

// Go to another case, and stay with the method if it has a map there.
function selectCase(index) {
  const one = data.cases[(index + data.cases.length) % data.cases.length];
  const label = state.map === null ? null : data.maps[state.map].label;
  const compared = state.other === null ? null : data.maps[state.other].label;
  const byLabel = (wanted) => one.maps.find((map) => data.maps[map].label === wanted);
  state.other = compared === null ? null : byLabel(compared) ?? null;
  select(byLabel(label) ?? one.maps[0]);
}

function describeSelection() {
  const one = data.cases[state.case];
  const photo = data.photos[one.photo];
  find("#class").textContent = `${one.name} · class ${one.target}`;
  const probability = one.score === null ? "" : `probability ${formatNumber(one.score)} · `;
  find("#photo").textContent = `${probability}${photo.name} · ${photo.size[1]} × ${photo.size[0]} pixels · ${state.case + 1} of ${data.cases.length}`;
  findAll("#strip button").forEach((button, i) => {
    button.setAttribute("aria-pressed", i === state.case);
    if (i === state.case) button.parentElement.scrollLeft = button.offsetLeft - button.parentElement.offsetLeft - button.parentElement.clientWidth / 2;
  });
  findAll(".thumb").forEach((button) => button.toggleAttribute("aria-current", Number(button.dataset.map) === state.map));
  fillMethods(one);
  fillOthers(one);
  findAll(".facts").forEach((facts) => facts.classList.toggle("shown", [state.map, state.other].includes(Number(facts.dataset.map))));
}

function fillMethods(one) {
  const legend = find("#methods legend");
  const choices = one.maps.map((map) => {
    const label = document.createElement("label"), input = document.createElement("input"), text = document.createElement("span");
    Object.assign(input, { type: "radio", name: "method", value: map, checked: map === state.map });
    input.addEventListener("change", () => { select(map); find(`#methods input[value="${map}"]`).focus(); });
    text.textContent = data.maps[map].label;
    label.append(input, text);
    return label;
  });
  find("#methods").replaceChildren(legend, ...choices);
}

function fillOthers(one) {
  const choices = [null, ...one.maps.filter((map) => map !== state.map)].map((map) => {
    const choice = document.createElement("option");
    choice.value = map ?? "";
    choice.textContent = map === null ? "nothing" : data.maps[map].label;
    choice.selected = map === state.other;
    return choice;
  });
  find("#other").replaceChildren(...choices);
  find(".compare").hidden = one.maps.length < 2;
}

async function paint() {
  const mine = ++turn;
  const one = data.cases[state.case];
  const maps = state.other === null ? [state.map] : [state.map, state.other];
  const photo = await loadPhoto(one.photo);
  const grids = await Promise.all(maps.map(loadLevels));
  if (mine !== turn) return;
  const boards = figures.map((figure) => prepare(find("canvas", figure), one.photo));
  const hasMap = grids.every(Boolean);
  figures.forEach((figure, i) => { figure.hidden = !hasMap && i > 0; find(".bar", figure).hidden = true; });
  findAll(".controls, #readout").forEach((part) => { part.hidden = !hasMap; });
  if (!hasMap) {
    paintPhoto(boards[0], photo);
    label(0, "Photo", `Photo ${data.photos[one.photo].name}`);
    find("#caption").textContent = "The map of this method was not kept; onnxplain evaluate keeps maps with --keep-heatmaps.";
  } else if (state.other === null) paintOne(one, photo, boards, grids[0]);
  else paintTwo(one, photo, boards, grids);
  const doubts = maps.map((map) => data.maps[map].doubt).filter(Boolean);
  find("#doubt").hidden = !doubts.length;
  find("#doubt").textContent = doubts.join(" ");
  find("#alpha-out").textContent = `${Math.round(state.alpha * 100)} %`;
  showProbe();
}

function paintOne(one, photo, boards, grid) {
  const map = data.maps[state.map];
  const colours = colourLevels(grid, map.colours);
  paintPhoto(boards[0], photo, 0.35);
  clipTo(boards[0], state.map, () => paintPhoto(boards[0], photo));
  paintColours(boards[1], state.map, colours, null, 1);
  paintColours(boards[2], state.map, colours, photo, state.alpha);
  const region = state.level > 0 ? findRegion(state.map, grid, state.level) : null;
  boards.slice(1).forEach((board) => paintThreshold(board, state.map, grid, region, state.level));
  label(0, "Photo", `Photo ${data.photos[one.photo].name}`);
  label(1, `Map of ${map.label}`, map.alt);
  label(2, "Map over the photo", `${map.alt}, over the photo`);
  paintBar(1, map.colours, map.ticks, 1);
  paintBar(2, map.colours, map.ticks, photo ? state.alpha : 1);
  find("#caption").textContent = map.caption ? `The number at a pixel: ${map.caption}.` : "";
  find("#level-out").textContent = region ? describeRegion(region) : "off";
}

function describeRegion({ share, box }) {
  const [top, left, bottom, right] = box.map(Math.round);
  return `≥ ${formatNumber(toValue(state.map, state.level))}: ${formatNumber(share * 100)} % of what was seen; box rows ${top}–${bottom}, columns ${left}–${right} of the photo`;
}

// Two maps of the same photo, and their difference on their own scales.
function paintTwo(one, photo, boards, grids) {
  const [first, second] = [state.map, state.other];
  [first, second].forEach((map, i) => {
    const { label: name, colours, ticks, alt } = data.maps[map];
    paintColours(boards[i], map, colourLevels(grids[i], colours), photo, state.alpha);
    label(i, name, `${alt}, over the photo`);
    paintBar(i, colours, ticks, photo ? state.alpha : 1);
  });
  const { differences, largest, correlation } = compareMaps(first, second, grids);
  const levels = differences.map((value) => value === null ? null : Math.round(127.5 + (127.5 * value) / (largest || 1)));
  const colours = colourLevels({ ...grids[0], levels }, "blue-red");
  paintColours(boards[2], first, colours, photo, Math.max(state.alpha, 0.75));
  const names = [first, second].map((map) => data.maps[map].label);
  label(2, `${names[0]} − ${names[1]}`, `Difference of the maps of ${names[0]} and ${names[1]}; rank correlation ${correlation}`);
  paintBar(2, "blue-red", [[0, formatNumber(-largest)], [0.5, "0"], [1, formatNumber(largest)]], 1);
  find("#caption").textContent = `Difference of the maps, each on its own scale of colours: red where ${names[0]} is higher, blue where ${names[1]} is. Rank correlation ${correlation}.`;
  find("#level-out").textContent = "not while two maps are compared";
}

// Compare where both classifiers saw the photo; elsewhere the difference is null.
function compareMaps(first, second, [a, b]) {
  const [top, left, bottom, right] = data.maps[first].window;
  const one = [], two = [];
  const differences = [...a.levels].map((level, i) => {
    const row = top + ((Math.floor(i / a.width) + 0.5) / a.height) * (bottom - top);
    const column = left + (((i % a.width) + 0.5) / a.width) * (right - left);
    const other = findLevel(second, b, row, column);
    if (other === null) return null;
    one.push(toShare(first, level));
    two.push(toShare(second, other));
    return one.at(-1) - two.at(-1);
  });
  const largest = differences.reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), 0);
  return { differences, largest, correlation: correlate(rank(one), rank(two)) };
}

// Bring a level to the map's own scale: 0 to 1, or -1 to 1 if the map has signs.
const toShare = (map, level) => (data.maps[map].colours === "blue-red" ? level / 127.5 - 1 : level / 255);

// Rank values; equal ones share the mean of their ranks.
function rank(values) {
  const order = [...values.keys()].sort((i, j) => values[i] - values[j]);
  const ranks = new Float32Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let i = start; i < end; i++) ranks[order[i]] = (start + end - 1) / 2;
    start = end;
  }
  return ranks;
}

// Return the correlation of ranks as text; that of a constant map is not defined.
function correlate(a, b) {
  const mean = (a.length - 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((value, i) => {
    ab += (value - mean) * (b[i] - mean);
    aa += (value - mean) ** 2;
    bb += (b[i] - mean) ** 2;
  });
  return aa && bb ? formatNumber(ab / Math.sqrt(aa * bb)) : "undefined";
}

function label(i, caption, alt) {
  find("figcaption", figures[i]).textContent = caption;
  find("canvas", figures[i]).setAttribute("aria-label", alt);
}

function paintBar(i, name, ticks, alpha) {
  const bar = find(".bar", figures[i]);
  const table = tables[name];
  const painted = paintGrid(256, 1, (x) => [0, 1, 2].map((c) => table[3 * x + c] * alpha + 127.5 * (1 - alpha)).concat(255));
  find("canvas", bar).getContext("2d").drawImage(painted, 0, 0);
  find(".ticks", bar).replaceChildren(...ticks.map(([share, text]) => {
    const tick = document.createElement("span");
    tick.textContent = text;
    tick.style.left = `${share * 100}%`;
    tick.className = share < 0.06 ? "start" : share > 0.94 ? "end" : "";
    return tick;
  }));
  bar.hidden = false;
}

// The point under the cursor, on all pictures at once.
function showProbe() {
  const [rows, columns] = data.photos[data.cases[state.case].photo].size;
  findAll(".cross").forEach((cross) => {
    cross.hidden = !state.probe;
    if (state.probe) {
      cross.style.left = `${(state.probe[1] / columns) * 100}%`;
      cross.style.top = `${(state.probe[0] / rows) * 100}%`;
    }
  });
  if (state.probe) readValues(...state.probe);
}

async function readValues(row, column) {
  const maps = [state.map, state.other].filter((map) => map !== null);
  const texts = await Promise.all(maps.map(async (map) => {
    const grid = await loadLevels(map);
    if (!grid) return "";
    const level = findLevel(map, grid, row, column);
    return `${data.maps[map].label}: ${level === null ? "not seen by the classifier" : formatNumber(toValue(map, level))}`;
  }));
  find("#readout").textContent = `Row ${Math.floor(row)}, column ${Math.floor(column)} · ${texts.filter(Boolean).join(" · ")}`;
}

function listenToPictures() {
  for (const screen of findAll(".screen")) {
    const size = () => data.photos[data.cases[state.case].photo].size;
    screen.addEventListener("pointermove", (event) => {
      const box = screen.getBoundingClientRect();
      state.probe = [((event.clientY - box.top) / box.height) * size()[0], ((event.clientX - box.left) / box.width) * size()[1]];
      showProbe();
    });
    screen.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      const [row, column] = state.probe ?? size().map((length) => length / 2);
      state.probe = [row, column].map((at, axis) => Math.max(0, Math.min(size()[axis] - 1, at + step[axis] * size()[axis] * 0.02)));
      showProbe();
    });
  }
}
