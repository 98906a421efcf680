// The live part of a report: what was chosen above is erased by hand, and scored again.

const page = window.onnxplain;
const live = {
  classifier: null, // once it is opened
  photo: null, // position of the photo that is shown
  picture: null, // what the classifier sees of it
  fill: null,
  mask: new Mask(),
  target: 0,
  explainer: null, // position of the explainer of the live map
  before: null, // probabilities before anything was erased
  scale: null, // of the live map before anything was erased
  brush: [COLUMNS / 2, ROWS / 2],
  from: null, // where a stroke has come to
};
let turn = 0; // of selections: what was begun for an earlier one is dropped
let wanted = null; // what is to be computed next: "scores", or "map" too
let isRunning = false;

function say(text, isAlarm = false) {
  get("say").textContent = text;
  get("say").classList.toggle("alarm-text", isAlarm);
}

const setBusy = (isBusy) => document.getElementById("live").setAttribute("aria-busy", isBusy);

async function start() {
  setBusy(true);
  say("Starting the classifier …");
  await pause(50);
  live.classifier = await Classifier.open();
  get("board").hidden = get("tools").hidden = false;
  listen();
  await show();
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Show the photo and class that are selected in the viewer.
async function show() {
  setBusy(true);
  const mine = ++turn;
  const one = page.data.cases[page.state.case];
  const known = facts.photos[one.photo];
  get("board").hidden = get("tools").hidden = !known;
  if (!known) setBusy(false);
  if (!known) return say("This photo was explained for another classifier, or is not in the report.");
  if (one.photo !== live.photo) {
    live.mask.clear();
    live.picture = await readPhoto(one.photo);
    live.photo = one.photo;
    await chooseFill();
    const before = await live.classifier.score(live.picture);
    if (mine !== turn) return undefined;
    live.before = before;
    prove(known, before);
  }
  live.target = one.target;
  live.explainer = facts.of_map[page.state.map] ?? live.explainer ?? (facts.explainers.length ? 0 : null);
  get("class").textContent = facts.classes[live.target];
  get("map-figure").hidden = live.explainer === null;
  get("erase").disabled = get("keep").disabled = !page.data.maps[page.state.map].has_map;
  live.scale = null;
  await refresh(true);
}

// Say how far the page's scores are from those that Python computed when it made the report.
function prove(known, before) {
  const gap = Math.max(...known.python.map(([k, value]) => Math.abs(value - before[k])));
  get("proof").dataset.gap = gap;
  const source = known.exact ? "" : " The photo itself was not at hand, so these are scores of the report’s copy of it.";
  get("proof").textContent = gap <= 1e-4
    ? `The five most probable classes have the scores that Python computed, ${gap ? `to ${gap.toExponential(0)}` : "exactly"}.${source}`
    : `The scores here differ by ${gap.toExponential(1)} from those that Python computed.${source}`;
  get("proof").classList.toggle("doubt", gap > 1e-4);
}

async function chooseFill() {
  await pause(0);
  live.fill = FILLS[get("fill").value](live.picture);
}

// Compute again, soon: scores, and at the end of a stroke the map, too.
async function refresh(whole) {
  const erased = compose(live.picture, live.fill, live.mask.values);
  drawErased(erased, live.mask.values);
  wanted = whole || wanted === "map" ? "map" : "scores";
  setBusy(true);
  if (isRunning) return;
  isRunning = true;
  try {
    while (wanted) {
      const what = wanted;
      wanted = null;
      await pause(0); // what was drawn is shown before the next run takes the time
      await compute(what === "map" && live.explainer !== null);
    }
  } catch (error) {
    say(`The classifier stopped: ${error.message}`, true);
  } finally {
    isRunning = false;
    setBusy(false);
  }
}

async function compute(withMap) {
  const mine = turn;
  const { classifier, picture, fill, target, explainer } = live;
  const erased = compose(picture, fill, live.mask.values);
  if (withMap && !live.scale) {
    const { heatmap } = await classifier.explain(explainer, picture, target);
    if (mine !== turn) return;
    live.scale = chooseScale(heatmap);
  }
  const answer = withMap ? await classifier.explain(explainer, erased, target) : { scores: await classifier.score(erased) };
  if (mine !== turn) return;
  describe(answer.scores);
  if (withMap) describeMap(erased, answer.heatmap);
}

function describe(scores) {
  const score = scores[live.target];
  const change = score - live.before[live.target];
  const share = live.mask.share;
  get("score").textContent = asText(score);
  get("score").dataset.value = score;
  get("change").textContent = share ? `${change < 0 ? "−" : "+"}${asText(Math.abs(change))} with ${asShare(share)} erased` : "nothing erased";
  drawBars(scores, live.before, live.target);
  get("undo").disabled = !live.mask.before.length;
  const name = facts.classes[live.target].split(",")[0];
  say(`${name}: ${asText(score)}, ${asShare(share)} of the picture erased. A run takes ${live.classifier.seconds.toFixed(2)} s.`);
}

function describeMap(erased, heatmap) {
  const largest = heatmap.reduce((a, b) => Math.max(a, b));
  const name = facts.explainers[live.explainer];
  drawMap(erased, heatmap, live.scale);
  get("map").dataset.largest = largest;
  get("map").setAttribute("aria-label", `Map of ${name} of the erased picture, largest value ${asNumber(largest)}`);
  get("map-name").textContent = `${name}, of what is left; largest value ${asNumber(largest)}`;
  get("method").value = live.explainer;
}

// Erase what the chosen map marks most, or all else.
async function eraseMarked(others) {
  const grid = await page.loadLevels(page.state.map);
  if (!grid) return;
  live.mask.keep();
  live.mask.takeFrom(grid, get("share").value / 100, others);
  await refresh(true);
}

async function undo() {
  live.mask.undo();
  await refresh(true);
}

function getRadius() {
  return (get("brush").value / 200) * Math.min(ROWS, COLUMNS);
}

function paintTo(place) {
  const value = Number(document.querySelector("input[name=live-mode]:checked").value);
  live.mask.stroke(live.from ?? place, place, getRadius(), value);
  live.from = place;
}

function drawRing() {
  const ring = get("ring"), unit = get("canvas").clientWidth / COLUMNS;
  ring.hidden = false;
  ring.style.width = ring.style.height = `${2 * getRadius() * unit}px`;
  ring.style.left = `${live.brush[0] * unit}px`;
  ring.style.top = `${live.brush[1] * unit}px`;
  get("brush-out").textContent = `${get("brush").value} % of the side`;
}

function locate(event) {
  const box = get("canvas").getBoundingClientRect();
  return [((event.clientX - box.left) * COLUMNS) / box.width, ((event.clientY - box.top) * ROWS) / box.height];
}

function listenToPointer() {
  const canvas = get("canvas");
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    live.mask.keep();
    live.brush = locate(event);
    paintTo(live.brush);
    refresh(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    live.brush = locate(event);
    drawRing();
    if (!live.from) return;
    paintTo(live.brush);
    refresh(false);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (live.from) refresh(true);
      live.from = null;
    });
  }
  canvas.addEventListener("pointerleave", () => { get("ring").hidden = document.activeElement !== canvas; });
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function listenToKeys() {
  const canvas = get("canvas");
  canvas.addEventListener("focus", drawRing);
  canvas.addEventListener("blur", () => { get("ring").hidden = true; });
  canvas.addEventListener("keydown", (event) => {
    const step = Math.max(getRadius() / 2, 1);
    if (MOVES[event.key]) {
      const limits = [COLUMNS, ROWS];
      live.brush = live.brush.map((value, i) => Math.min(Math.max(value + step * MOVES[event.key][i], 0), limits[i]));
    } else if (event.key === " ") {
      live.mask.keep();
      paintTo(live.brush);
      live.from = null;
      refresh(true);
    } else if (event.key === "[" || event.key === "]") {
      get("brush").value = Number(get("brush").value) + (event.key === "]" ? 2 : -2);
    } else if (event.key === "u" || (event.key === "z" && (event.ctrlKey || event.metaKey))) {
      undo();
    } else {
      return;
    }
    event.preventDefault();
    drawRing();
  });
}

function listen() {
  listenToPointer();
  listenToKeys();
  get("method").replaceChildren(...facts.explainers.map((name, i) => new Option(name, i)));
  get("method-label").hidden = facts.explainers.length < 2;
  get("method").addEventListener("change", () => { live.explainer = Number(get("method").value); live.scale = null; refresh(true); });
  get("fill").addEventListener("change", async () => { await chooseFill(); refresh(true); });
  get("undo").addEventListener("click", undo);
  get("clear").addEventListener("click", () => { live.mask.clear(); refresh(true); });
  get("erase").addEventListener("click", () => eraseMarked(false));
  get("keep").addEventListener("click", () => eraseMarked(true));
  get("save").addEventListener("click", saveMask);
  for (const [name, unit] of [["brush", "of the side"], ["share", "of the picture"]]) {
    const tell = () => { get(`${name}-out`).textContent = `${get(name).value} % ${unit}`; };
    get(name).addEventListener("input", tell);
    tell();
  }
  document.addEventListener("onnxplain:select", () => show().catch(fail));
}

// Give the link the mask as a picture: white is erased, as onnxplain reads masks.
function saveMask() {
  const canvas = document.createElement("canvas");
  drawPixels(canvas, (i) => Array(3).fill(255 * live.mask.values[i]));
  get("save").href = canvas.toDataURL("image/png");
}

function fail(error) {
  say(`This browser cannot run the classifier: ${error.message}`, true);
}

// The files take memory and a second: they are read when the section is looked at.
new IntersectionObserver((entries, observer) => {
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  start().catch(fail);
}).observe(document.getElementById("live"));
