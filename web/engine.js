// The page's side of the worker: starts it, feeds it tiles one after another, and ends it.
import { SCALE, tiles } from './pixels.js';

const at = (path) => new URL(path, import.meta.url).href;
const VENDOR = 'vendor/ort-1.30.0/';
const PATIENCE = 20; // times WebAssembly's time, after which a backend under trial is given up
const adapter = navigator.gpu?.requestAdapter().catch(() => null) ?? Promise.resolve(null);
let webgpuFailed = ''; // why, so that it is not tried again with the next file

/** The runtime's files: without a graphics card to try, the build without WebGPU, which is half as large. */
export async function runtime() {
  const [script, stem, megabytes] = await adapter ? ['ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify', 26.8]
    : ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded', 14.2];
  return { script: at(VENDOR + script), mjs: at(`${VENDOR}${stem}.mjs`), wasm: at(`${VENDOR}${stem}.wasm`), megabytes };
}

/** Why this browser can't compute here; nothing if it can. */
export async function unable() {
  if (!isSecureContext) return 'the page was not opened by https: or from localhost';
  const { ok } = await fetch((await runtime()).script).catch(() => ({}));
  return ok ? '' : 'its runtime was not installed with the page';
}

/** Runs one model on tiles. End it after each file: only that gives the memory back. */
export class Engine {
  #worker; #giveUp; #ms = [];

  constructor(signal) {
    this.signal = signal;
    signal.addEventListener('abort', () => { this.end(); this.#giveUp?.(signal.reason); });
  }

  #ask(message, answerKind, onOther) {
    this.signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      this.#worker.onmessage = ({ data }) => {
        if (data.kind === answerKind) resolve(data);
        else if (data.kind === 'error') reject(new Error(data.message));
        else onOther(data, reject);
      };
      this.#worker.onerror = ({ message: words }) => reject(new Error(words || 'the worker could not be started'));
      this.#worker.postMessage(message, message.pixels ? [message.pixels.buffer] : []);
    });
  }

  /** Without a model, only bicubic enlargement. */
  async start(model) {
    this.#worker = new Worker(at('worker.js'), { type: 'module' });
    if (!model) return;
    this.threads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
    const given = { runtime: await runtime(), model: { ...model, file: at(model.file) }, threads: this.threads };
    const webgpu = Boolean(await adapter) && !webgpuFailed;
    let timer;
    try {
      this.facts = await this.#ask({ kind: 'start', ...given, webgpu }, 'ready', ({ wasmMs }, reject) => {
        timer = setTimeout(() => reject(new Error('slow backend')), Math.max(15000, wasmMs * PATIENCE));
      });
    } catch (error) {
      if (error.message !== 'slow backend') throw error;
      // Nothing inside the worker can stop a run: begin again in a new one.
      webgpuFailed = 'WebGPU was tried and left: it was too slow';
      this.end();
      return this.start(model);
    } finally {
      clearTimeout(timer);
    }
    webgpuFailed ||= this.facts.note ?? '';
  }

  /** All tiles of a picture; `read(box)` gives pixels of the input, `write(x, y, w, h, plain, network)` takes some. */
  async enlarge(width, height, read, write) {
    for (const box of tiles(width, height)) {
      const { plain, network, ms } = await this.#ask({ kind: 'tile', pixels: read(box), box }, 'tile');
      this.#ms.push(ms);
      const place = [box.x + box.left, box.y + box.top, box.width, box.height].map((px) => px * SCALE);
      write(...place, plain, network);
    }
  }

  end() { this.#worker?.terminate(); }

  /** What ran, for the badge and the record. */
  describe() {
    const { backend } = this.facts, median = this.#ms.toSorted((a, b) => a - b)[this.#ms.length >> 1];
    const threads = backend === 'WebGPU' ? null : this.threads;
    return { backend, threads, tiles: this.#ms.length, ms_per_tile: Math.round(median), note: webgpuFailed || null };
  }
}
