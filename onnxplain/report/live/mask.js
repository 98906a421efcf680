// The mask, 1 where the picture is erased: painted with a brush, or made from a map; can be undone.

class Mask {
  constructor() {
    this.values = new Uint8Array(PIXELS);
    this.before = [];
  }

  get share() {
    return this.values.reduce((a, b) => a + b, 0) / PIXELS;
  }

  // Keep what is there now, to return to it.
  keep() {
    this.before.push(this.values.slice());
    if (this.before.length > 200) this.before.shift();
  }

  undo() {
    if (this.before.length) this.values = this.before.pop();
  }

  clear() {
    this.before = [];
    this.values = new Uint8Array(PIXELS);
  }

  // Erase along a line with a round brush, or bring back; x and y are in pixels.
  stroke([x0, y0], [x1, y1], radius, value) {
    const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / Math.max(radius / 2, 0.5)));
    for (let i = 0; i <= steps; i++) this.stamp(x0 + ((x1 - x0) * i) / steps, y0 + ((y1 - y0) * i) / steps, radius, value);
  }

  stamp(x, y, radius, value) {
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(ROWS - 1, y + radius); row++) {
      for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(COLUMNS - 1, x + radius); column++) {
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= radius) this.values[row * COLUMNS + column] = value;
      }
    }
  }

  // Erase the share of the pixels with the largest levels of a map; or all others.
  takeFrom(grid, share, others) {
    const levels = Array.from({ length: PIXELS }, (_, i) => readLevel(grid, i));
    const order = levels.map((_, i) => i).sort((a, b) => levels[b] - levels[a]);
    const chosen = new Uint8Array(PIXELS);
    order.slice(0, Math.round(share * PIXELS)).forEach((i) => { chosen[i] = 1; });
    this.values = others ? chosen.map((value) => 1 - value) : chosen;
  }
}

// Read the level of a map at a pixel of the classifier's input, between those of its own pixels.
function readLevel({ width, height, levels }, pixel) {
  const x = Math.min(Math.max((((pixel % COLUMNS) + 0.5) * width) / COLUMNS - 0.5, 0), width - 1);
  const y = Math.min(Math.max(((Math.floor(pixel / COLUMNS) + 0.5) * height) / ROWS - 0.5, 0), height - 1);
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
  const mix = (row) => levels[row * width + left] * (1 - x + left) + levels[row * width + right] * (x - left);
  return mix(top) * (1 - y + top) + mix(bottom) * (y - top);
}
