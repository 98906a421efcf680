// Walks along curves: the score at each step, and the photo there.

const walkParts = findAll(".walk");

function showWalks() {
  for (const part of walkParts) {
    const chart = Number(part.dataset.chart);
    const walk = data.walks.find((one) => one.chart === chart && one.map === state.map);
    part.classList.toggle("shown", Number(part.dataset.case) === state.case);
    if (Number(part.dataset.case) !== state.case) continue;
    find(".stand", part).hidden = !walk;
    part.classList.toggle("alone", !walk);
    const input = find("input", part);
    if (walk) {
      input.max = walk.shares.length - 1;
      if (part.dataset.map !== String(state.map)) input.value = Math.round((walk.shares.length - 1) * 0.3);
      part.dataset.map = state.map;
    }
    showStep(part);
  }
}

// Show the step that a chart's slider is at: a line in the chart, values, and the picture.
async function showStep(part) {
  const chart = Number(part.dataset.chart);
  const walks = data.walks.filter((one) => one.chart === chart);
  const main = walks.find((one) => one.map === state.map) ?? walks[0];
  const step = Math.min(Number(find("input", part).value), main.shares.length - 1);
  const share = main.shares[step];
  const x = placeShare(share, find(".chart > svg", part));
  const line = find(".now", part);
  line.setAttribute("x1", x);
  line.setAttribute("x2", x);
  const marks = findAll(".key b", part);
  walks.forEach((walk, i) => { marks[i].textContent = formatNumber(interpolate(walk, share)); });
  const gone = main.way === "away" ? "removed" : "brought back";
  const filled = main.fill.colour || main.fill.id ? "" : " (shown hatched: this fill needs a model or the mask)";
  find("output", part).textContent = `${formatNumber(share * 100)} % ${gone}: probability ${formatNumber(main.scores[step])}. Fill: ${main.fill.name}${filled}`;
  if (main.map === state.map) await paintStep(find(".stand canvas", part), main, step);
}

// Return where a share stands in a drawing.
function placeShare(share, { dataset }) {
  const [left, right] = [Number(dataset.left), Number(dataset.right)];
  return left + (share / Number(dataset.reach)) * (right - left);
}

function interpolate(walk, share) {
  const next = walk.shares.findIndex((one) => one >= share);
  if (next < 0) return walk.scores.at(-1);
  if (next === 0) return walk.scores[0];
  const [x0, x1] = [walk.shares[next - 1], walk.shares[next]];
  const weight = x1 > x0 ? (share - x0) / (x1 - x0) : 1;
  return walk.scores[next - 1] * (1 - weight) + walk.scores[next] * weight;
}

async function paintStep(canvas, walk, step) {
  const { photo: index } = data.cases[state.case];
  const [photo, grid, fill] = await Promise.all([loadPhoto(index), loadLevels(walk.map), loadPicture(walk.fill.id)]);
  if (walk.map !== state.map) return;
  const board = prepare(canvas, index);
  const mask = walk.cells.length ? maskCells(walk, step) : grid && maskPixels(walk, grid, step);
  canvas.hidden = !mask; // without the map it is not known which pixels go
  if (!mask) return;
  paintPhoto(board, photo, 0.35);
  clipTo(board, walk.map, (context, box) => {
    if (photo) context.drawImage(photo, 0, 0, board.width, board.height);
    const layer = makeCanvas(box[2], box[3]);
    const inner = layer.getContext("2d");
    inner.imageSmoothingEnabled = false;
    inner.drawImage(mask, 0, 0, layer.width, layer.height);
    inner.globalCompositeOperation = "source-in";
    inner.imageSmoothingEnabled = true;
    if (fill) inner.drawImage(fill, 0, 0, layer.width, layer.height);
    else {
      inner.fillStyle = walk.fill.colour ?? hatch(inner);
      inner.fillRect(0, 0, layer.width, layer.height);
    }
    context.drawImage(layer, box[0], box[1], box[2], box[3]);
  });
  canvas.setAttribute("aria-label", `The photo with ${formatNumber(walk.shares[step] * 100)} % of its pixels ${walk.way === "away" ? "removed" : "brought back"}`);
}

// The removed cells as an opaque mask.
function maskCells(walk, step) {
  const [rows, columns] = walk.grid;
  const gone = new Set(walk.cells.slice(0, Math.round(walk.shares[step] * rows * columns)));
  return paintGrid(columns, rows, (i) => [0, 0, 0, gone.has(i) ? 255 : 0]);
}

// The removed pixels as an opaque mask: the highest values of the map go, or come back, first.
function maskPixels(walk, grid, step) {
  grid.order ??= [...grid.levels.keys()].sort((i, j) => grid.levels[j] - grid.levels[i] || i - j);
  const removed = new Uint8Array(grid.levels.length).fill(walk.way === "away" ? 0 : 255);
  const count = Math.round(walk.shares[step] * removed.length);
  for (let i = 0; i < count; i++) removed[grid.order[i]] = 255 - removed[grid.order[i]];
  return paintGrid(grid.width, grid.height, (i) => [0, 0, 0, removed[i]]);
}

function hatch(context) {
  const tile = makeCanvas(10, 10);
  const inner = tile.getContext("2d");
  inner.fillStyle = "#8a8a8a";
  inner.fillRect(0, 0, 10, 10);
  inner.strokeStyle = "#d5d5d5";
  inner.lineWidth = 2;
  inner.beginPath();
  for (const start of [-10, 0, 10]) { inner.moveTo(start, 10); inner.lineTo(start + 10, 0); }
  inner.stroke();
  return context.createPattern(tile, "repeat");
}

function listenToWalks() {
  for (const part of walkParts) {
    const input = find("input", part);
    input.addEventListener("input", () => showStep(part));
    const drawing = find(".chart > svg", part);
    drawing.addEventListener("pointermove", (event) => {
      const walk = data.walks.find((one) => one.chart === Number(part.dataset.chart) && one.map === state.map);
      if (!walk) return;
      const box = drawing.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * drawing.viewBox.baseVal.width;
      const distance = (share) => Math.abs(placeShare(share, drawing) - x);
      input.value = walk.shares.reduce((near, share, i) => (distance(share) < distance(walk.shares[near]) ? i : near), 0);
      showStep(part);
    });
  }
}
