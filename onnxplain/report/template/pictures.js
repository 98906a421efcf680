// Photos and maps as pixels, and how they are painted; the colours are those of onnxplain.plot.

const data = JSON.parse(document.getElementById("data").textContent);
const tables = Object.fromEntries(
  Object.entries(data.colours).map(([name, hex]) => [
    name, Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16)),
  ]),
);
const SIDE = 640; // pixels of the longer side of a painted picture
const loaded = new Map();

// Load the picture that the page stores under an id; null if there is none.
function loadPicture(id) {
  if (!loaded.has(id)) {
    const stored = document.getElementById(id);
    loaded.set(id, stored ? decode(stored.href.baseVal) : Promise.resolve(null));
  }
  return loaded.get(id);
}

async function decode(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

const loadPhoto = (photo) => loadPicture(`p${photo}`);

// Load the levels of a map, 0 to 255, row by row.
async function loadLevels(map) {
  const image = await loadPicture(`m${map}`);
  if (!image) return null;
  if (!image.levels) {
    const canvas = makeCanvas(image.naturalWidth, image.naturalHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    image.levels = {
      width: canvas.width, height: canvas.height,
      levels: Uint8Array.from({ length: pixels.length / 4 }, (_, i) => pixels[4 * i]),
    };
  }
  return image.levels;
}

function makeCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(Math.round(width), 1);
  canvas.height = Math.max(Math.round(height), 1);
  return canvas;
}

// Paint each position of a grid with the colour (r, g, b, a) that a function gives it.
function paintGrid(width, height, colour) {
  const canvas = makeCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) pixels.data.set(colour(i), 4 * i);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Colour the levels of a grid; null leaves a pixel without a colour.
function colourLevels(grid, name) {
  const table = tables[name];
  return paintGrid(grid.width, grid.height, (i) => {
    if (grid.levels[i] === null) return [0, 0, 0, 0];
    const place = 3 * grid.levels[i];
    return [table[place], table[place + 1], table[place + 2], 255];
  });
}

// Give a canvas the shape of a photo, and return what is needed to paint into it.
function prepare(canvas, photo) {
  const [rows, columns] = data.photos[photo].size;
  const unit = SIDE / Math.max(rows, columns);
  canvas.width = Math.max(Math.round(columns * unit), 1);
  canvas.height = Math.max(Math.round(rows * unit), 1);
  return { context: canvas.getContext("2d"), unit, width: canvas.width, height: canvas.height };
}

// Return left, top, width and height of the window of a map in a prepared canvas.
function place(map, unit) {
  const [top, left, bottom, right] = data.maps[map].window;
  return [left * unit, top * unit, (right - left) * unit, (bottom - top) * unit];
}

function paintPhoto(board, photo, strength = 1) {
  const { context, width, height } = board;
  context.globalAlpha = strength; // what lies behind is the page, light or dark
  if (photo) context.drawImage(photo, 0, 0, width, height);
  context.globalAlpha = 1;
}

// Paint within the window of a map.
function clipTo(board, map, paint) {
  const { context } = board;
  context.save();
  context.beginPath();
  context.rect(...place(map, board.unit));
  context.clip();
  paint(context, place(map, board.unit));
  context.restore();
}

// The photo as mid-grey with its edges and texture, so that a colour over it means the same
// everywhere: as `blend` of onnxplain.plot.
function takeDetail(photo) {
  if (!photo.detail) {
    const factor = Math.min(1, 320 / Math.max(photo.naturalWidth, photo.naturalHeight));
    const canvas = makeCanvas(photo.naturalWidth * factor, photo.naturalHeight * factor);
    const { width, height } = canvas;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(photo, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height).data;
    const grey = Float32Array.from({ length: width * height }, (_, i) =>
      0.299 * pixels[4 * i] + 0.587 * pixels[4 * i + 1] + 0.114 * pixels[4 * i + 2]);
    const radius = Math.max(Math.round(Math.max(width, height) / 24), 1);
    let soft = grey;
    for (let pass = 0; pass < 3; pass++) soft = blurLines(blurLines(soft, width, height, radius), height, width, radius);
    photo.detail = paintGrid(width, height, (i) => {
      const level = 127.5 + 1.3 * Math.max(-89, Math.min(89, grey[i] - soft[i]));
      return [level, level, level, 255];
    });
  }
  return photo.detail;
}

// Average each line over a window, and return the lines as columns; twice is both directions.
function blurLines(plane, width, height, radius) {
  const turned = new Float32Array(plane.length);
  for (let y = 0; y < height; y++) {
    const at = (x) => plane[y * width + Math.max(0, Math.min(width - 1, x))];
    let sum = 0;
    for (let x = -radius; x <= radius; x++) sum += at(x);
    for (let x = 0; x < width; x++) {
      turned[x * height + y] = sum / (2 * radius + 1);
      sum += at(x + radius + 1) - at(x - radius);
    }
  }
  return turned;
}

// Paint colours over the details of a photo, or alone.
function paintColours(board, map, colours, photo, alpha) {
  paintPhoto(board, photo, 0.35);
  clipTo(board, map, (context, box) => {
    context.clearRect(...box);
    if (photo) context.drawImage(takeDetail(photo), 0, 0, board.width, board.height);
    context.globalAlpha = photo ? alpha : 1;
    context.drawImage(colours, ...box);
  });
}

// Fade what is below a level, and frame the rest with a box.
function paintThreshold(board, map, grid, found, level) {
  if (!found) return;
  const veil = paintGrid(grid.width, grid.height, (i) => [255, 255, 255, grid.levels[i] < level ? 205 : 0]);
  clipTo(board, map, (context, box) => {
    context.imageSmoothingEnabled = false;
    context.drawImage(veil, ...box);
  });
  const { context, unit } = board;
  const [top, left, bottom, right] = found.box;
  for (const [colour, width] of [["#fff", 5], ["#111", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(left * unit, top * unit, (right - left) * unit, (bottom - top) * unit);
  }
}

// Find the area and the box of what lies at or above a level, in pixels of the photo.
function findRegion(map, grid, level) {
  const [top, left, bottom, right] = data.maps[map].window;
  let [count, y0, x0, y1, x1] = [0, grid.height, grid.width, -1, -1];
  grid.levels.forEach((value, i) => {
    if (value < level) return;
    const y = Math.floor(i / grid.width), x = i % grid.width;
    count += 1;
    y0 = Math.min(y0, y); x0 = Math.min(x0, x); y1 = Math.max(y1, y); x1 = Math.max(x1, x);
  });
  if (!count) return null;
  const toRow = (y) => top + (y / grid.height) * (bottom - top);
  const toColumn = (x) => left + (x / grid.width) * (right - left);
  return { share: count / grid.levels.length, box: [toRow(y0), toColumn(x0), toRow(y1 + 1), toColumn(x1 + 1)] };
}

const toValue = (map, level) => data.maps[map].low + (level / 255) * (data.maps[map].high - data.maps[map].low);

// Return the level of a map at a point of the photo; null beside its window.
function findLevel(map, grid, row, column) {
  const [top, left, bottom, right] = data.maps[map].window;
  const y = Math.floor(((row - top) / (bottom - top)) * grid.height);
  const x = Math.floor(((column - left) / (right - left)) * grid.width);
  if (y < 0 || x < 0 || y >= grid.height || x >= grid.width) return null;
  return grid.levels[y * grid.width + x];
}
