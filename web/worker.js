// The network, away from the page so that that stays alive. Ending this worker is what gives its memory back.
import { SCALE, cut, enlarge, sha256 } from './pixels.js';

const CHECK = 64; // px, side of the tile that a backend must get right first
const MOST_OFF = 2; // levels by which it may differ from WebAssembly
let session, ort;

// Made by rule, so that it is the same everywhere: slopes, a fine pattern and hard edges.
const checkTile = Uint8ClampedArray.from({ length: CHECK * CHECK * 4 }, (_, i) => ((i & 255) ^ (i >> 8) * 4) & 255);

async function run(network, pixels, width, height) {
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0, o = 0; i < pixels.length; i++) if (i % 4 < 3) rgb[o++] = pixels[i];
  const began = performance.now();
  const answers = await network.run({ lr: new ort.Tensor('uint8', rgb, [1, height, width, 3]) });
  const answer = answers[network.outputNames[0]];
  const data = await answer.getData(), ms = performance.now() - began;
  const out = new Uint8ClampedArray(width * height * SCALE * SCALE * 4).fill(255);
  for (let i = 0, o = 0; o < out.length; o++) if (o % 4 < 3) out[o] = data[i++];
  answer.dispose();
  return { out, ms };
}

const check = (network) => run(network, checkTile, CHECK, CHECK);

async function fetchModel({ file, sha256: digest }, again = false) {
  const response = await fetch(file, again ? { cache: 'reload' } : {});
  if (!response.ok) throw new Error(`missing: ${file}`);
  const content = await response.arrayBuffer();
  if (await sha256(content) !== digest) {
    if (again) throw new Error(`altered: ${file}`);
    await (await caches.open('large')).delete(file); // which may be older than what is there by now
    return fetchModel({ file, sha256: digest }, true);
  }
  return new Uint8Array(content);
}

// WebGPU counts only if it gives WebAssembly's pixels in less time. Some browsers offer it and then compute nonsense,
// fail at the first run, or imitate a graphics card a hundred times too slowly.
async function tryWebgpu(model, expected) {
  const candidate = await ort.InferenceSession.create(model, { executionProviders: ['webgpu'] });
  await check(candidate); // compiles
  const { out, ms } = await check(candidate);
  const off = out.reduce((most, value, i) => Math.max(most, Math.abs(value - expected.out[i])), 0);
  if (off <= MOST_OFF && ms < expected.ms) return candidate;
  await candidate.release();
  throw new Error(off > MOST_OFF ? `its pixels were wrong by ${off} levels`
    : `a small tile took ${Math.round(ms)} ms, WebAssembly ${Math.round(expected.ms)} ms`);
}

async function start({ runtime, model, webgpu, threads }) {
  ort = await import(runtime.script);
  ort.env.wasm.wasmPaths = { mjs: runtime.mjs, wasm: runtime.wasm };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'error';
  const ready = { kind: 'ready', backend: 'WebAssembly', version: ort.env.versions.web };
  const content = await fetchModel(model);
  session = await ort.InferenceSession.create(content, { executionProviders: ['wasm'] });
  if (webgpu) {
    await check(session);
    const expected = await check(session);
    postMessage({ kind: 'trying', wasmMs: expected.ms });
    try {
      const candidate = await tryWebgpu(content, expected);
      await session.release();
      [session, ready.backend] = [candidate, 'WebGPU'];
    } catch (error) {
      ready.note = `WebGPU was tried and left: ${error.message}`;
    }
  }
  postMessage(ready);
}

async function tile({ pixels, box: { w, h, left, top, width, height } }) {
  const place = [w * SCALE, left * SCALE, top * SCALE, width * SCALE, height * SCALE];
  const plain = cut(enlarge(pixels, w, h), ...place), { out, ms } = session ? await run(session, pixels, w, h) : {};
  const network = out && cut(out, ...place);
  postMessage({ kind: 'tile', plain, network, ms }, network ? [plain.buffer, network.buffer] : [plain.buffer]);
}

onmessage = async ({ data }) => {
  try {
    await (data.kind === 'start' ? start(data) : tile(data));
  } catch (error) {
    postMessage({ kind: 'error', message: String(error?.message ?? error) });
  }
};
