// The runtime and its graphs in a page that was opened from disk: no request leaves it.

function decode(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// Return the file in an element, which is emptied if it is not read again.
async function unpack(id, again = false) {
  const element = document.getElementById(id);
  const packed = new Blob([decode(element.textContent)]);
  if (!again) element.textContent = "";
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function openRuntime() {
  const module = new Blob([await unpack("ort-module")], { type: "text/javascript" });
  const address = URL.createObjectURL(module);
  const ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = await unpack("ort-binary");
  ort.env.wasm.numThreads = 1; // pages from disk share no memory between threads
  return ort;
}

function openGraph(ort, graph, weights = null) {
  const options = { executionProviders: ["wasm"], logSeverityLevel: 3 };
  if (weights) options.externalData = [{ path: "weights", data: weights }];
  return ort.InferenceSession.create(graph, options);
}

const ARRAYS = { float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int8: Int8Array };

// Make the tensor of an image, from numbers as they enter the model.
function makeImage(ort, type, numbers, shape) {
  const kind = type === "float16" ? globalThis.Float16Array : ARRAYS[type];
  if (!kind) throw new Error(`this browser has no numbers of type ${type}`);
  const array = new kind(numbers.length);
  if (!type.startsWith("float")) {
    const low = type === "int8" ? -128 : 0;
    for (let i = 0; i < array.length; i++) {
      const value = Math.min(Math.max(numbers[i], low), low + 255);
      const even = 2 * Math.round(value / 2); // a half goes to the even neighbour
      array[i] = Math.abs(value % 1) === 0.5 ? even : Math.round(value);
    }
  } else {
    array.set(numbers);
  }
  return new ort.Tensor(type, array, shape);
}

// Run a graph on an image, and on a class if it explains one.
async function runGraph(ort, session, name, numbers, shape, target = null) {
  const place = session.inputNames.indexOf(name);
  const feeds = { [name]: makeImage(ort, session.inputMetadata[place].type, numbers, shape) };
  if (target !== null) {
    const targets = BigInt64Array.from({ length: shape[0] }, () => BigInt(target));
    feeds.target = new ort.Tensor("int64", targets, [shape[0]]);
  }
  const outputs = await session.run(feeds);
  return Object.fromEntries(Object.entries(outputs).map(([key, value]) => [key, Array.from(value.data, Number)]));
}
