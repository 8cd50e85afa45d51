// What all parts of the page use: finding and making elements, canvases that are checked, and errors in plain words.
export const $ = (id) => document.getElementById(id);
export const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
export const say = (words) => { $('live').textContent = words; }; // to screen readers

/** A number of seconds, rounded, in words. */
export const lasting = (s) => (s < 100 ? `${Math.max(1, Math.round(s))} s` : `${Math.round(s / 60)} min`);

/** An error whose message is for the user as it is. */
export class Plain extends Error {}

function explain(error) {
  const { message } = error;
  if (error instanceof Plain) return message;
  if (message.startsWith('missing: ')) return 'A file of this page could not be loaded. Connect once, and reload.';
  if (message.startsWith('altered: ')) return 'The model is not the one this page knows, so it was not run. Reload.';
  if (/memory|allocat|bad_alloc|out of range|device.*lost|^\d+$/i.test(message)) {
    return 'The memory of this browser is used up. Close other tabs, or cut out a smaller part and enlarge that.';
  }
  if (error instanceof TypeError && /fetch|load failed/i.test(message)) return 'The server does not answer; try later.';
  return `It did not work: ${message}. Reload the page and try again; if it stays so, try another browser.`;
}

export const fail = (error) => { [$('message').textContent, $('message').hidden] = [explain(error), false]; };

/** A canvas that was seen to work: too large, it is blank without an error; and some browsers alter what is read. */
export function canvas(width, height) {
  const made = make('canvas', { width, height }), paint = made.getContext('2d', { willReadFrequently: true });
  const probe = new ImageData(new Uint8ClampedArray([201, 102, 53, 255, 7, 88, 190, 255]), 1, 2);
  paint?.putImageData(probe, width - 1, height - 2);
  const read = paint?.getImageData(width - 1, height - 2, 1, 2).data;
  paint?.clearRect(width - 1, height - 2, 1, 2);
  if (!read?.[7]) throw new Error('out of memory');
  if (probe.data.every((value, i) => value === read[i] || (height === 1 && i < 4))) return made;
  throw new Plain('Your browser alters pixels that a page reads, to protect against tracking; the result would be '
    + 'false. Allow this page to read canvas data, or use another browser.');
}

export const reading = (picture) => picture.getContext('2d', { willReadFrequently: true });

/** White under what is transparent. */
export function whiten(picture) {
  const paint = Object.assign(reading(picture), { globalCompositeOperation: 'destination-over', fillStyle: '#fff' });
  paint.fillRect(0, 0, picture.width, picture.height);
}
