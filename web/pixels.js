// Arithmetic on pixels, for the page and its worker alike. Pixels are RGBA bytes in rows; alpha is left at 255.
// A canvas never enlarges or reduces here: it would do so bilinearly, which is not the bicubic that is promised.
export const SCALE = 4;
const TILE = 176; // side of what the network is given at once: 128 px kept and 24 px of surroundings each way
const REACH = 24; // a pixel of the output depends on no pixel of the input further away than this
const MOST_SIDE = 4095; // of what is given: enlarged beyond, a canvas stays blank in some browser, without an error

/** Tiles along one side: the network sees `first` to `last`, of which `start` to `stop` is kept. */
function spans(length) {
  const found = [];
  for (let place = 0, start = 0; start < length; place += TILE - 2 * REACH) {
    const first = Math.max(0, Math.min(place, length - TILE)), last = Math.min(length, first + TILE);
    // At the picture's border nothing is cut off: there the network must see a border, as it does in the whole.
    const stop = last === length ? length : last - REACH;
    found.push({ first, last, start, stop });
    start = stop;
  }
  return found;
}

/** All tiles of a picture: {x, y, w, h} is what is read, {left, top, width, height} of that is kept. */
export function tiles(width, height) {
  return spans(height).flatMap((row) => spans(width).map((column) => ({
    x: column.first, y: row.first, w: column.last - column.first, h: row.last - row.first,
    left: column.start - column.first, top: row.start - row.first,
    width: column.stop - column.start, height: row.stop - row.start,
  })));
}

/** Why a picture of this size can't be enlarged, in words; nothing if it can. */
export function tooLarge(width, height) {
  if (Math.max(width, height) <= MOST_SIDE) return '';
  return `This picture is too large: ${width} × ${height} pixels. Up to 4,095 on a side can be enlarged `
    + 'here. Cut out the part that matters, and enlarge that.';
}

function cubic(x) { // Keys 1981, a = -0.5; x is a distance
  if (x <= 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

// For each place of the new side, which old places it is made of and by what shares. Beyond the border, Pillow leaves
// out (`repeat` false) and MATLAB repeats the last pixel.
function mixtures(from, to, repeat) {
  const shrink = Math.min(1, to / from), reach = 2 / shrink;
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * from / to - 0.5, at = [], weights = [];
    for (let i = Math.floor(centre - reach); i <= Math.ceil(centre + reach); i++) {
      if (!repeat && (i < 0 || i >= from)) continue;
      at.push(Math.max(0, Math.min(from - 1, i)));
      weights.push(cubic(Math.abs(i - centre) * shrink));
    }
    const sum = weights.reduce((a, b) => a + b);
    return { at, share: weights.map((weight) => weight / sum) };
  });
}

function resizeOneWay(pixels, width, height, to, upright, repeat) {
  const mixes = mixtures(upright ? height : width, to, repeat), step = upright ? width * 4 : 4;
  const [w, h] = upright ? [width, to] : [to, height], out = new Uint8ClampedArray(w * h * 4).fill(255);
  for (let y = 0, o = 0; y < h; y++) {
    for (let x = 0; x < w; x++, o += 4) {
      const { at, share } = mixes[upright ? y : x], base = upright ? x * 4 : y * width * 4;
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let k = 0; k < at.length; k++) sum += share[k] * pixels[base + at[k] * step + c];
        out[o + c] = Math.floor(sum + 0.5); // assigning would round halves to even
      }
    }
  }
  return out;
}

/** Bicubic enlargement as Pillow makes it: columns first, 8 bits in between. */
export function enlarge(pixels, width, height) {
  const wide = resizeOneWay(pixels, width, height, width * SCALE, false, false);
  return resizeOneWay(wide, width * SCALE, height, height * SCALE, true, false);
}

/** Bicubic reduction as MATLAB makes it: antialiased, rows first, 8 bits in between. */
export function reduce(pixels, width, height) {
  const low = resizeOneWay(pixels, width, height, height / SCALE, true, true);
  return resizeOneWay(low, width, height / SCALE, width / SCALE, false, true);
}

/** A rectangle out of a picture that is `stride` pixels wide. */
export function cut(pixels, stride, left, top, width, height) {
  const out = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * stride + left) * 4;
    out.set(pixels.subarray(from, from + width * 4), y * width * 4);
  }
  return out;
}

/** SHA-256 of an ArrayBuffer, as hexadecimal digits. */
export async function sha256(content) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** `share` of `a`, the rest of `b`. */
export function blend(a, b, share) {
  return share === 1 ? a : a.map((value, i) => Math.floor(share * value + (1 - share) * b[i] + 0.5));
}

/** How far two pictures are apart: sum of squares over all three colours, and per pixel the largest difference. */
export function difference(a, b) {
  const levels = new Uint8Array(a.length / 4);
  let squares = 0;
  for (let i = 0; i < a.length; i++) { // alpha is equal
    const apart = Math.abs(a[i] - b[i]);
    squares += apart * apart;
    levels[i >> 2] = Math.max(levels[i >> 2], apart);
  }
  return { squares, levels };
}
