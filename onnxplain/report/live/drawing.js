// What is drawn: the erased picture, the map over it, and the bars of the classes.

const get = (name) => document.getElementById(`live-${name}`);
const BAR = 44; // pixels from one bar to the next
const asText = (value) => (value >= 0.001 || value === 0 ? value.toFixed(3) : value.toExponential(1));
const asShare = (value) => `${(100 * value).toFixed(1)} %`;

function drawPixels(canvas, colour) {
  canvas.width = COLUMNS;
  canvas.height = ROWS;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(COLUMNS, ROWS);
  for (let i = 0; i < PIXELS; i++) {
    pixels.data.set(colour(i), 4 * i);
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return context;
}

// Draw the picture that the classifier gets, with a line around what is erased.
function drawErased(picture, mask) {
  drawPixels(get("canvas"), (i) => {
    if (isBorder(mask, i)) return ((i % COLUMNS) + Math.floor(i / COLUMNS)) % 6 < 3 ? [255, 255, 255] : [0, 0, 0];
    return [255 * picture[3 * i], 255 * picture[3 * i + 1], 255 * picture[3 * i + 2]];
  });
}

function isBorder(mask, i) {
  if (!mask[i]) return false;
  const column = i % COLUMNS;
  return (column > 0 && !mask[i - 1]) || (column < COLUMNS - 1 && !mask[i + 1]) || mask[i - COLUMNS] === 0 || mask[i + COLUMNS] === 0;
}

// Choose which values have which colours, as the report does: even around 0 if some are negative,
// and by more than the 128 colours on either side of 0 can show.
function chooseScale(heatmap) {
  const low = heatmap.reduce((a, b) => Math.min(a, b));
  const high = heatmap.reduce((a, b) => Math.max(a, b));
  const end = Math.max(-low, high);
  return low < 0 && -low * 128 >= high ? { low: -end, high: end, colours: "blue-red" } : { low, high, colours: "inferno" };
}

function readColours(name) {
  return Uint8Array.from(facts.colours[name].match(/../g), (pair) => parseInt(pair, 16));
}

// Draw a map over the edges and textures of the picture.
function drawMap(picture, heatmap, scale) {
  const table = readColours(scale.colours);
  const span = scale.high - scale.low || 1;
  const photo = document.createElement("canvas");
  drawPixels(photo, (i) => [255 * picture[3 * i], 255 * picture[3 * i + 1], 255 * picture[3 * i + 2]]);
  const colours = document.createElement("canvas");
  drawPixels(colours, (i) => {
    const level = Math.round(255 * Math.min(Math.max((heatmap[i] - scale.low) / span, 0), 1));
    return table.subarray(3 * level, 3 * level + 3);
  });
  const canvas = get("map");
  canvas.width = COLUMNS;
  canvas.height = ROWS;
  const context = canvas.getContext("2d");
  context.drawImage(window.onnxplain.takeDetail(Object.assign(photo, { naturalWidth: COLUMNS, naturalHeight: ROWS })), 0, 0, COLUMNS, ROWS);
  context.globalAlpha = 0.7;
  context.drawImage(colours, 0, 0);
  drawScale(scale, table);
}

function drawScale(scale, table) {
  const context = get("bar").getContext("2d");
  const pixels = context.createImageData(256, 1);
  for (let i = 0; i < 256; i++) pixels.data.set([...table.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  context.putImageData(pixels, 0, 0);
  get("low").textContent = asNumber(scale.low);
  get("high").textContent = asNumber(scale.high);
}

const asNumber = (value) => (value === 0 ? "0" : Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4 ? value.toExponential(1) : String(Number(value.toPrecision(3))));

const bars = new Map(); // class -> its element

// Show the five most probable classes; a bar moves when its rank changes.
function drawBars(scores, before, asked) {
  const order = scores.map((_, k) => k).sort((a, b) => scores[b] - scores[a]).slice(0, 5);
  for (const [k, element] of bars) {
    if (!order.includes(k)) {
      bars.delete(k);
      element.remove();
    }
  }
  order.forEach((k, rank) => {
    const element = bars.get(k) ?? addBar(k, rank);
    element.dataset.value = scores[k];
    element.classList.toggle("asked", k === asked);
    element.style.transform = `translateY(${BAR * rank}px)`;
    element.querySelector(".value").textContent = asText(scores[k]);
    element.querySelector("b").style.width = `${100 * scores[k]}%`;
    element.querySelector("u").style.left = `min(${100 * before[k]}%, calc(100% - 2px))`;
    get("top").append(element); // the order in which it is read out
  });
}

function addBar(k, rank) {
  const element = document.createElement("li");
  const name = document.createElement("span");
  const value = Object.assign(document.createElement("span"), { className: "value" });
  const rail = document.createElement("i");
  element.dataset.class = k;
  name.textContent = facts.classes[k].split(",")[0];
  name.title = facts.classes[k];
  rail.append(document.createElement("b"), document.createElement("u"));
  element.append(name, value, rail);
  element.style.transform = `translateY(${BAR * rank}px)`;
  bars.set(k, element);
  return element;
}
