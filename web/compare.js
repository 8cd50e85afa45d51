// Before and after: one over the other with a line to move, and a lens that shows the same place in both.
import { $, make, reading } from './page.js';
import { SCALE, difference, reduce } from './pixels.js';

let before, after, at; // canvases; the lens's middle in their pixels
const limit = (value, low, high) => Math.min(high, Math.max(low, value));

function moveLine(percent) {
  $('frame').style.setProperty('--split', `${percent}%`);
  $('split').value = percent;
  $('split').setAttribute('aria-valuetext', `before to ${Math.round(percent)} % of the width, after from there`);
}

function drawLens() {
  const side = $('lens-before').width, span = side / 2 / parseInt($('zoom').value); // half of side is on screen
  const { width, height } = after;
  at = { x: limit(at.x, 0, width - 1), y: limit(at.y, 0, height - 1) };
  const [left, top, x, y] = [at.x - span / 2, at.y - span / 2, at.x, at.y].map(Math.round);
  for (const [id, picture] of [['lens-before', before], ['lens-after', after]]) {
    const lens = $(id).getContext('2d');
    lens.imageSmoothingEnabled = false; // pixels as they are
    lens.clearRect(0, 0, side, side);
    lens.drawImage(picture, left, top, span, span, 0, 0, side, side);
  }
  const spot = { left: left / width, top: top / height, width: span / width, height: span / height };
  for (const [name, part] of Object.entries(spot)) $('spot').style[name] = `${part * 100}%`;
  $('place').value = `${x}, ${y} (${Math.floor(x / SCALE)}, ${Math.floor(y / SCALE)} in the original)`;
}

function onLensKey(event) {
  const step = (event.shiftKey ? 80 : 8) / Math.sqrt(parseInt($('zoom').value));
  const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
  const turn = { '+': 1, '=': 1, '-': -1 }[event.key] ?? 0;
  if (!x && !y && !turn) return;
  event.preventDefault();
  at = { x: at.x + x * step, y: at.y + y * step };
  $('zoom').selectedIndex = limit($('zoom').selectedIndex + turn, 0, $('zoom').length - 1);
  drawLens();
}

function onPointer(event) {
  const box = $('frame').getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  at = { x: x * after.width, y: y * after.height };
  drawLens();
  if (event.buttons) moveLine(limit(x * 100, 0, 100));
}

$('split').addEventListener('input', ({ target }) => moveLine(Number(target.value)));
$('zoom').addEventListener('input', drawLens);
$('lens').addEventListener('keydown', onLensKey);
for (const event of ['pointermove', 'pointerdown']) $('frame').addEventListener(event, onPointer);

// The style sheet makes a stage as large as this, but never larger than the pixels or the window.
function place(canvas, stage, words) {
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', words);
  for (const side of ['width', 'height']) $(stage).style.setProperty(`--${side}`, after[side]);
}

/** Show two canvases of one size. */
export function compare(one, other) {
  [before, after, at] = [one, other, { x: other.width / 2, y: other.height / 2 }];
  $('frame').querySelectorAll('canvas').forEach((old) => old.remove());
  $('frame').prepend(...new Set([before, after]));
  place(before, 'stage', `Before, ${before.width} by ${before.height} pixels`);
  place(after, 'stage', `After, ${after.width} by ${after.height} pixels`);
  moveLine(50);
  drawLens();
}

/** Make `after` small again, strip by strip so that the page stays alive, and show how far it is from the original. */
export async function consistency(original) {
  const { width, height } = original, rows = 16, around = 4; // a reduced pixel reaches over 2 of its own size
  const map = make('canvas', { width, height }), [lr, sr, paint] = [original, after, map].map(reading);
  let squares = 0;
  for (let top = 0; top < height; top += rows) {
    const high = Math.min(rows, height - top), first = Math.max(0, top - around);
    const deep = Math.min(height, top + high + around) - first, begin = (top - first) * width * 4;
    const strip = sr.getImageData(0, first * SCALE, width * SCALE, deep * SCALE).data;
    const small = reduce(strip, width * SCALE, deep * SCALE).subarray(begin, begin + high * width * 4);
    const found = difference(small, lr.getImageData(0, top, width, high).data), gray = new ImageData(width, high);
    found.levels.forEach((level, i) => gray.data.set([level * 16, level * 16, level * 16, 255], i * 4));
    squares += found.squares;
    paint.putImageData(gray, 0, top);
    await new Promise((next) => setTimeout(next));
  }
  $('map').replaceChildren(map);
  place(map, 'map', 'Map of the differences to the original');
  return 10 * Math.log10(255 ** 2 / (squares / (width * height * 3)));
}
