// The result with its badge and record, and the results of earlier.
import { playBoth } from './clip.js';
import { compare, consistency } from './compare.js';
import { $, make, say } from './page.js';
import * as store from './store.js';

const links = new Map(); // object URLs by what shows them, to be given back
let result;

function link(name, blob) {
  URL.revokeObjectURL(links.get(name));
  links.set(name, URL.createObjectURL(blob));
  return links.get(name);
}

const asFile = (record) => new Blob([`${JSON.stringify(record, null, 2)}\n`], { type: 'application/json' });

function rows(record, path = '') {
  return Object.entries(record ?? {}).flatMap(([key, value]) => {
    const name = `${path}${key.replaceAll('_', ' ')}`;
    if (value && typeof value === 'object' && !Array.isArray(value)) return rows(value, `${name}: `);
    return value === null || value.length === 0 ? [] : [[name, String(value)]];
  });
}

async function keepRecord() {
  const { record, file, thumb, id } = result;
  $('record').replaceChildren(...rows(record).flatMap(([name, value]) => [
    make('dt', { textContent: name }), make('dd', { textContent: value })]));
  Object.assign($('save-record'), { href: link('record', asFile(record)), download: `${file}.record.json` });
  result.id = await store.keep({ record, file, thumb, ...(id && { id }) }).catch(() => null); // in private windows
  await showHistory();
}

async function thumbnail(picture) {
  const [width, height] = [picture.videoWidth ?? picture.width, picture.videoHeight ?? picture.height];
  const small = 160 / Math.max(width, height), out = new OffscreenCanvas(width * small || 1, height * small || 1);
  out.getContext('2d').drawImage(picture, 0, 0, out.width, out.height);
  return out.convertToBlob({ type: 'image/webp', quality: 0.8 });
}

/** Give the memory of the last result back. */
export function forget() {
  for (const old of [result?.before, result?.after]) if (old) old.width = 0;
  result = null; // so that a comparison under way comes to nothing
}

/** Show what was made, keep its record, and go there. */
export async function present(made, host) {
  result = made;
  const { record, original, blob, file } = made, ran = record.computed_by ?? {}, isClip = original.kind === 'clip';
  const { backend = `the server ${host}`, threads, ms_per_tile: ms, note } = ran;
  const badge = [`Ran on ${backend}`, threads && `threads: ${threads}`, ms && `${ms} ms per tile`, note];
  $('badge').textContent = badge.filter(Boolean).join(' · ');
  for (const id of ['photo', 'check']) $(id).hidden = isClip;
  const way = networkOf(record) ? 'network' : 'bicubic';
  for (const name of document.getElementsByClassName('made')) name.textContent = way;
  [$('clip').hidden, $('consistency').hidden, $('check').disabled] = [!isClip, true, false];
  Object.assign($('save'), { href: link('output', blob), download: file });
  if (isClip) {
    const label = ran.where ? 'Before: bicubic' : 'Before: your clip, enlarged by the browser';
    playBoth(link('before', made.clips[0]), links.get('output'), made.rate, label);
  } else {
    compare(made.before, made.after);
  }
  result.thumb = await thumbnail(made.after ?? original.show);
  await keepRecord();
  say('Done.');
  $('result').hidden = false; // only now: its links work
  $('done').focus();
  $('done').scrollIntoView();
}

/** The name of the network that took part; none where all is bicubic. A server's record names it also then. */
const networkOf = ({ model, settings: { strength, steps } }) => ((strength ?? steps.strength) > 0 ? model?.name : null);

/** Make the result small again and compare it with the original. */
export async function check() {
  $('check').disabled = true;
  const mine = result, marked = mine.record.steps?.some(({ step }) => step === 'mark');
  const db = await consistency(mine.original.picture);
  if (mine !== result) return; // another result has come meanwhile
  $('psnr').textContent = db === Infinity ? 'It is equal, pixel by pixel.'
    : `PSNR to the original: ${db.toFixed(2)} dB over all three colours; the higher, the closer.${
      marked ? ' The label in the corner lowers it.' : ''}`;
  $('consistency').hidden = false;
  say($('psnr').textContent);
  result.record.what = { ...result.record.what, lr_consistency_psnr_db: Number(db.toFixed(3)) };
  await keepRecord();
}

function entry({ id, record, file, thumb }) {
  const url = URL.createObjectURL(thumb), item = make('li');
  const words = [file, new Date(record.ended ?? Date.now()).toLocaleString(), networkOf(record) ?? 'bicubic only'];
  item.append(make('img', { src: url, alt: '', onload: () => URL.revokeObjectURL(url) }),
    make('p', { textContent: words.join(' · ') }),
    make('a', { textContent: 'Record', ariaLabel: `Record of ${file}`, download: `${file}.record.json`,
      href: URL.createObjectURL(asFile(record)) }),
    make('button', { textContent: 'Delete', ariaLabel: `Delete ${file}`,
      onclick: () => store.remove(id).then(showHistory) }));
  return item;
}

export async function showHistory() {
  const runs = await store.all().catch(() => []);
  $('past').hidden = !runs.length;
  $('history').replaceChildren(...runs.map(entry));
}
