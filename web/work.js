// The enlarging: of a photograph or a clip, in this browser or by the server, with a record of how.
import { clipWriter, frames } from './clip.js';
import { Engine } from './engine.js';
import { $, Plain, canvas, lasting, reading, say, whiten } from './page.js';
import { SCALE, blend, sha256, tiles } from './pixels.js';
import { enhance } from './server.js';
const VERSION = '1.0';

function progress(unit) {
  const began = performance.now();
  let told = 0;
  return (done, total) => {
    const now = performance.now(), left = lasting((now - began) / 1000 / done * (total - done));
    $('bar').value = done / total;
    const far = unit ? `${Math.floor(done + 1e-6)} of ${total} ${unit}` : `${Math.floor(100 * done / total)} %`;
    $('left').textContent = `${far}, ${done ? `about ${left} left` : 'starting'}`;
    if (now - told < 10000) return; // a screen reader is not to be talked over
    told = now;
    say($('left').textContent);
  };
}

// Two canvases, bicubic and network; without a network they are one.
function canvases({ width, height }, model) {
  const before = canvas(width * SCALE, height * SCALE);
  return [before, model ? canvas(width * SCALE, height * SCALE) : before];
}

async function fill([before, after], engine, picture, strength, onTile = () => {}) {
  const [from, one, other] = [reading(picture), before.getContext('2d'), after.getContext('2d')];
  const read = ({ x, y, w, h }) => from.getImageData(x, y, w, h).data;
  await engine.enlarge(picture.width, picture.height, read, (x, y, w, h, plain, network) => {
    one.putImageData(new ImageData(plain, w, h), x, y);
    if (network) other.putImageData(new ImageData(blend(network, plain, strength), w, h), x, y);
    onTile();
  });
}

async function photoHere(engine, photo, strength, model) {
  const outs = canvases(photo, model), report = progress('tiles'), total = tiles(photo.width, photo.height).length;
  let done = 0;
  await fill(outs, engine, photo.picture, strength, () => report(done += 1, total));
  const blob = await new Promise((resolve) => outs[1].toBlob(resolve, 'image/png'));
  if (!blob) throw new Error('out of memory');
  return { before: outs[0], after: outs[1], blob, ending: 'png', what: {} };
}

async function clipHere(engine, clip, strength, model) {
  const outs = canvases(clip, model), picture = canvas(clip.width, clip.height), report = progress('frames');
  const writers = await Promise.all(outs.map((out) => clipWriter(out, clip.rate)));
  if (!writers[0]) throw new Plain('This browser cannot write clips of this size. Use a new Chrome, Edge or Firefox.');
  const share = 1 / tiles(clip.width, clip.height).length;
  let done = 0, part = 0;
  for await (const when of frames(clip, picture)) {
    await fill(outs, engine, picture, strength, () => report(part += share, clip.count));
    for (const writer of writers) await writer.add(when);
    done += 1;
  }
  const [before, blob] = await Promise.all(writers.map((writer) => writer.finish()));
  const what = { frames: done, frames_per_second: clip.rate, codec: 'VP9 in WebM, which loses a little' };
  return { clips: [before, blob], rate: clip.rate, blob, ending: 'webm', what };
}

const named = (file, ending) => `${file.name.replace(/\.[^.]*$/, '')}-x4.${ending}`;

async function recordOf(chosen, made, model, strength, engine, began) {
  const { file, kind, width, height, notes } = chosen;
  const hash = async (blob) => ({ sha256: await sha256(await blob.arrayBuffer()), bytes: blob.size });
  return {
    caution: $('caution').textContent.replace(/\s+/g, ' '),
    input: { file: file.name, ...await hash(file) }, output: { file: made.file, ...await hash(made.blob) },
    what: { kind, width, height, notes, ...made.what },
    model: model && { name: model.name, file: model.file.split('?')[0], sha256: model.sha256, bytes: model.bytes },
    settings: { strength, scale: SCALE, rest: 'bicubic enlargement (Keys 1981, a = -0.5)' },
    computed_by: { where: 'this browser', ...(model ? engine.describe() : { backend: 'JavaScript, bicubic only' }) },
    software: { page: VERSION, 'onnxruntime-web': engine.facts?.version ?? null, browser: navigator.userAgent },
    began, ended: new Date().toISOString(),
  };
}

/** In this browser; at strength 0 without a network. */
export async function here(chosen, strength, chosenModel, signal) {
  const began = new Date().toISOString(), model = strength > 0 ? chosenModel : null, engine = new Engine(signal);
  try {
    await engine.start(model);
    const made = await (chosen.kind === 'clip' ? clipHere : photoHere)(engine, chosen, strength, model);
    made.file = named(chosen.file, made.ending);
    return { ...made, record: await recordOf(chosen, made, model, strength, engine, began) };
  } finally {
    engine.end();
  }
}

/** By the server; what is shown as before is made here. */
export async function byServer(chosen, strength, model, signal, server) {
  const { file, kind, picture } = chosen, isClip = kind === 'clip';
  const fields = { file, model, strength, mode: isClip ? 'view' : 'evidence' };
  let report; // from its beginning, which is after its turn came
  const onProgress = (...far) => (report ??= progress(isClip ? 'frames' : ''))(...far);
  const made = await enhance(server, isClip ? 'jobs' : 'enhance', fields, signal, onProgress);
  made.file ??= named(file, isClip ? 'mp4' : 'png');
  if (isClip) {
    const [frames, seconds = 1] = made.record.what.rate.split('/');
    return { ...made, clips: [file, made.blob], rate: frames / seconds };
  }
  const engine = new Engine(signal), bitmap = await createImageBitmap(made.blob);
  const [before] = canvases(chosen), after = canvas(bitmap.width, bitmap.height);
  reading(after).drawImage(bitmap, 0, 0);
  whiten(after); // as the original
  await engine.start(null);
  await fill([before, after], engine, picture, 1).finally(() => engine.end());
  return { ...made, before, after };
}
