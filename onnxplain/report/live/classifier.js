// The classifier and its explainers: how pictures enter their graphs, and what the answers mean.
// A picture is a Float32Array of rows x columns x (red, green, blue) in [0, 1].

const facts = JSON.parse(document.getElementById("live-data").textContent);
const [ROWS, COLUMNS] = facts.size;
const PIXELS = ROWS * COLUMNS;

class Classifier {
  constructor(ort, weights) {
    this.ort = ort;
    this.weights = weights;
    this.sessions = [];
    this.seconds = 0; // of the last run
  }

  static async open() {
    const ort = await openRuntime();
    const classifier = new Classifier(ort, await unpack("live-weights"));
    await classifier.openSession(0);
    return classifier;
  }

  // Open the classifier, 0, or an explainer, from 1.
  openSession(place) {
    this.sessions[place] ??= unpack(`live-graph-${place}`).then((graph) => openGraph(this.ort, graph, this.weights));
    return this.sessions[place];
  }

  // Return the probabilities of all classes.
  async score(picture) {
    return this.readScores(await this.run(0, picture, null));
  }

  // Return the probabilities of all classes, and the map of a class.
  async explain(explainer, picture, target) {
    const outputs = await this.run(explainer + 1, picture, target);
    return { scores: this.readScores(outputs), heatmap: outputs.heatmap.slice(0, PIXELS) };
  }

  async run(place, picture, target) {
    const session = await this.openSession(place);
    const start = performance.now();
    const { numbers, shape } = enter(picture);
    const outputs = await runGraph(this.ort, session, facts.input, numbers, shape, target);
    this.seconds = (performance.now() - start) / 1000;
    return outputs;
  }

  readScores(outputs) {
    const [scale, zero] = facts.scale;
    const width = facts.head === "probability" || facts.head === "logit" ? 1 : facts.classes.length;
    const raw = outputs[facts.output].slice(0, width).map((value) => scale * (value - zero));
    if (facts.head === "probability") raw.unshift(1 - raw[0]);
    if (facts.head === "logit") raw.unshift(0);
    return toProbabilities(raw);
  }
}

function toProbabilities(raw) {
  if (facts.outputs.endsWith("probabilities")) return raw;
  if (facts.outputs === "multilabel-logits") return raw.map((value) => 1 / (1 + Math.exp(-value)));
  const largest = Math.max(...raw);
  const powers = raw.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((value) => value / sum);
}

// Bring a picture into the model's space, as often as its batch is large.
function enter(picture) {
  const { gain, bias, rows, layout, colour } = facts;
  const channels = gain.length;
  const numbers = new Float32Array(rows * PIXELS * channels);
  const order = colour === "bgr" ? [2, 1, 0] : [0, 1, 2];
  for (let i = 0; i < PIXELS; i++) {
    for (let c = 0; c < channels; c++) {
      const pixel = channels === 1
        ? 0.299 * picture[3 * i] + 0.587 * picture[3 * i + 1] + 0.114 * picture[3 * i + 2]
        : picture[3 * i + order[c]];
      numbers[layout === "nchw" ? c * PIXELS + i : i * channels + c] = pixel * gain[c] + bias[c];
    }
  }
  for (let row = 1; row < rows; row++) numbers.copyWithin(row * PIXELS * channels, 0, PIXELS * channels);
  const inner = layout === "nchw" ? [channels, ROWS, COLUMNS] : [ROWS, COLUMNS, channels];
  return { numbers, shape: [rows, ...inner] };
}

// Read the picture of a photo: the high bytes of 16 bits for all values, then the low ones.
async function readPhoto(photo) {
  const bytes = await unpack(`live-photo-${photo}`, true);
  const half = bytes.length / 2;
  return Float32Array.from({ length: half }, (_, i) => (256 * bytes[i] + bytes[half + i]) / 65535);
}
