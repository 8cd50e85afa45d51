// Clips: read frame by frame and written by mediabunny with the browser's own codecs, and shown by two players in step.
import { $, make, reading } from './page.js';
const MOST_FRAMES = 300, MOST_SECONDS = 10;
export const LIBRARY = new URL('vendor/mediabunny-1.61.0.mjs', import.meta.url).href;
const library = () => import(LIBRARY); // only for those who bring a clip

/** Open a clip; rejects if the browser can't read it. */
export async function openClip(file) {
  const { ALL_FORMATS, BlobSource, Input } = await library();
  const track = await new Input({ formats: ALL_FORMATS, source: new BlobSource(file) }).getPrimaryVideoTrack();
  if (!await track?.canDecode()) throw new Error('cannot be read');
  const config = await track.getDecoderConfig(), { displayWidth: width, displayHeight: height } = track;
  const guessed = !config.colorSpace?.matrix;
  // Without tags decoders assume BT.709, players BT.601 for small pictures, which is right more often: as players do.
  const matrix = height < 720 ? 'smpte170m' : 'bt709';
  const colorSpace = { fullRange: false, ...config.colorSpace, primaries: 'bt709', transfer: 'bt709', matrix };
  if (guessed) track.getDecoderConfig = async () => ({ ...config, colorSpace });
  const seconds = await track.computeDuration() - await track.getFirstTimestamp();
  const rate = (await track.computePacketStats(2 * MOST_FRAMES)).averagePacketRate;
  const count = Math.max(1, Math.min(MOST_FRAMES, Math.round(Math.min(seconds, MOST_SECONDS) * rate)));
  const show = make('video', { controls: true, muted: true, src: URL.createObjectURL(file) });
  return { track, show, rate, count, seconds, width, height, guessed: guessed && (height < 720 ? 'BT.601' : 'BT.709') };
}

/** Frames in order, each drawn into `canvas`; yields its time and how long it lasts, in seconds. */
export async function* frames(clip, canvas) {
  const { VideoSampleSink } = await library(), paint = reading(canvas);
  let number = 0, first;
  for await (const sample of new VideoSampleSink(clip.track).samples()) {
    const { timestamp, duration } = sample;
    first ??= timestamp;
    sample.draw(paint, 0, 0, clip.width, clip.height);
    sample.close();
    yield { time: timestamp - first, lasts: duration || 1 / clip.rate };
    if (++number === clip.count) return;
  }
}

/** Writes what a canvas shows, frame by frame, as VP9 in WebM; null if this browser can't. */
export async function clipWriter(canvas, rate) {
  const { BufferTarget, CanvasSource, Output, Quality, WebMOutputFormat, canEncodeVideo } = await library();
  const { width, height } = canvas, quality = new Quality({ quantizer: 12 }); // by bit rate, smooth parts change colour
  if (!await canEncodeVideo('vp9', { width, height, quality })) return null;
  const output = new Output({ format: new WebMOutputFormat(), target: new BufferTarget() });
  const source = new CanvasSource(canvas, { codec: 'vp9', quality, keyFrameInterval: 1 });
  output.addVideoTrack(source, { frameRate: rate });
  await output.start();
  return {
    add: ({ time, lasts }) => source.add(time, lasts),
    finish: () => output.finalize().then(() => new Blob([output.target.buffer], { type: 'video/webm' })),
  };
}

let rate = 25;
const [left, right, caption] = [$('clip-before'), $('clip-after'), $('clip-left')];

function follow() { // two players drift apart
  const apart = Math.abs(left.currentTime - right.currentTime);
  if (apart > (right.paused ? 0 : 0.5 / rate)) left.currentTime = right.currentTime;
}

function step(frames) {
  right.pause();
  // The middle of a frame: at its beginning, players often show the one before.
  const time = (Math.floor(right.currentTime * rate + 0.01) + frames + 0.5) / rate;
  right.currentTime = Math.min(Math.max(0.5 / rate, time), right.duration - 0.001);
}

$('back').addEventListener('click', () => step(-1));
$('forth').addEventListener('click', () => step(1));
right.addEventListener('play', () => left.play().catch(() => {}));
left.addEventListener('error', () => { [left.hidden, caption.textContent] = [true, 'Before: can\'t be shown here']; });
right.addEventListener('pause', () => left.pause());
for (const event of ['pause', 'seeking', 'timeupdate']) right.addEventListener(event, follow);

/** Show two clips side by side; the left does what the right does. */
export function playBoth(before, after, framesPerSecond, label) {
  [rate, left.hidden, left.src, right.src, caption.textContent] = [framesPerSecond, false, before, after, label];
}
