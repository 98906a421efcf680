// What stands in for erased pixels; the names and pictures are those of onnxplain's fills.

const SIGMA = 10; // pixels of the classifier's input
const FILLS = {
  blur: (picture) => blur(picture, SIGMA),
  "channel-mean": (picture) => plain(average(picture)),
  "dataset-mean": () => plain(facts.mean),
  black: () => plain([0, 0, 0]),
  white: () => plain([1, 1, 1]),
};

function plain(colour) {
  return Float32Array.from({ length: 3 * PIXELS }, (_, i) => colour[i % 3]);
}

function average(picture) {
  const sums = [0, 0, 0];
  for (let i = 0; i < picture.length; i++) sums[i % 3] += picture[i];
  return sums.map((sum) => sum / PIXELS);
}

// Blur with a Gaussian that is cut at 4 sigma; the border is mirrored, d c b a | a b c d.
function blur(picture, sigma) {
  const reach = Math.trunc(4 * sigma + 0.5);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)));
  const sum = weights.reduce((a, b) => a + b);
  const kernel = weights.map((weight) => weight / sum);
  const down = blurAlong(picture, kernel, ROWS, COLUMNS, 3 * COLUMNS, 3);
  return blurAlong(down, kernel, COLUMNS, ROWS, 3, 3 * COLUMNS).map((value) => Math.min(Math.max(value, 0), 1));
}

// Blur along lines of a length; `step` leads along a line, `across` to the next one.
function blurAlong(picture, kernel, length, lines, step, across) {
  const reach = (kernel.length - 1) / 2;
  const places = Array.from({ length: length + 2 * reach }, (_, i) => mirror(i - reach, length) * step);
  const made = new Float32Array(picture.length);
  for (let line = 0; line < lines; line++) {
    for (let c = 0; c < 3; c++) {
      const start = line * across + c;
      for (let i = 0; i < length; i++) {
        let value = 0;
        for (let k = 0; k < kernel.length; k++) value += kernel[k] * picture[start + places[i + k]];
        made[start + i * step] = value;
      }
    }
  }
  return made;
}

function mirror(i, length) {
  const turn = ((i % (2 * length)) + 2 * length) % (2 * length);
  return turn < length ? turn : 2 * length - 1 - turn;
}

// Put the fill where the mask is 1.
function compose(picture, fill, mask) {
  return picture.map((value, i) => {
    const removed = mask[(i / 3) | 0];
    return value * (1 - removed) + fill[i] * removed;
  });
}
