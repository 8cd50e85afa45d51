// The page: takes a file and settings, has the file enlarged, and hands the result over to be shown.
import { LIBRARY, openClip } from './clip.js';
import { runtime, unable } from './engine.js';
import { $, Plain, canvas, fail, reading, say, whiten } from './page.js';
import { SCALE, tooLarge } from './pixels.js';
import { findServer } from './server.js';
import { check, forget, present, showHistory } from './show.js';
import * as store from './store.js';
import { byServer, here } from './work.js';

let chosen, opening, stop, offline, models = [], server = {};

async function openPhoto(file) {
  const bitmap = await createImageBitmap(file), { width, height } = bitmap, notes = [];
  if (tooLarge(width, height)) throw new Plain(tooLarge(width, height));
  const picture = canvas(width, height), paint = reading(picture);
  paint.drawImage(bitmap, 0, 0);
  if (paint.getImageData(0, 0, width, height).data.some((value, i) => i % 4 === 3 && value < 255)) {
    notes.push('What is transparent is shown on white.');
    whiten(picture);
  }
  if (file.type === 'image/gif') notes.push('Of a GIF, the first picture.');
  return { kind: 'photograph', file, picture, show: picture, width, height, notes, about: '' };
}

async function openVideo(file) {
  const clip = await openClip(file), part = clip.count / clip.rate, notes = ['In the browser, sound is left out.'];
  if (tooLarge(clip.width, clip.height)) throw new Plain(tooLarge(clip.width, clip.height));
  if (part < clip.seconds - 0.1) notes.push(`There, only the first ${part.toFixed(1)} s are enlarged.`);
  if (clip.guessed) notes.push(`Its colours carry no tag; read as ${clip.guessed}.`);
  return { kind: 'clip', file, ...clip, notes, about: `, ${clip.count} frames` };
}

async function open(file) {
  const isClip = /^video/.test(file.type) || /\.(mkv|mov|avi|ts)$/i.test(file.name);
  try {
    return await (isClip ? openVideo : openPhoto)(file);
  } catch (error) {
    if (error instanceof Plain || error.message === 'out of memory') throw error;
    if (isClip && server.base) return { kind: 'clip', file, notes: [], show: new Image(), about: '' };
    throw new Plain(`“${file.name}” is not a picture or clip that this browser can read; choose a JPEG, PNG, WebP, `
      + 'AVIF, GIF or BMP, or a clip such as MP4 or WebM.');
  }
}

async function choose([file]) {
  if (!file || stop) return;
  [$('message').hidden, $('go').disabled, chosen, opening] = [true, true, null, file];
  try {
    const opened = await open(file);
    if (opening !== file) return; // another one was chosen meanwhile
    chosen = opened;
    const { width, height, about, notes, show } = chosen;
    const size = width ? `${width} × ${height} becomes ${width * SCALE} × ${height * SCALE}` : 'for the server';
    $('about').textContent = [`${file.name}: ${size}${about}.`, ...notes].join(' ');
    $('preview').replaceChildren(show);
    $('go').disabled = false;
    $('go').focus();
  } catch (error) {
    if (opening !== file) return;
    fail(error);
  }
  [$('empty').hidden, $('chosen').hidden, $('file').value] = [Boolean(chosen), !chosen, ''];
}

async function enlarge() {
  const strength = Number($('strength').value), { signal } = stop;
  if (atServer()) return byServer(chosen, strength, $('model').value, signal, server);
  if (!chosen.width) throw new Plain('This browser can\'t read that clip; let the server do it.');
  const aborted = new Promise((_, reject) => { signal.addEventListener('abort', reject); });
  await Promise.race([offline, aborted]); // else the same files would be loaded twice
  return here(chosen, strength, models.find(({ name }) => name === $('model').value), signal);
}

async function work(event) {
  event.preventDefault();
  if (!chosen || stop) return;
  stop = new AbortController();
  forget();
  [$('result').hidden, $('message').hidden, $('work').hidden, $('bench').inert] = [true, true, false, true];
  $('bar').removeAttribute('value');
  say($('left').textContent = atServer() ? 'Sending it, and waiting for the server …' : 'Loading the model …');
  $('cancel').focus();
  const awake = await navigator.wakeLock?.request('screen').catch(() => null);
  try {
    const made = await enlarge();
    stop.signal.throwIfAborted();
    await present({ ...made, original: chosen }, server.host);
  } catch (error) {
    if (stop.signal.aborted) say('Cancelled. Nothing was kept.');
    else fail(error);
  }
  await awake?.release();
  [stop, $('work').hidden, $('bench').inert] = [null, true, false];
  if ($('result').hidden) $('go').focus();
}

function drag(event) {
  event.preventDefault();
  $('drop').classList.toggle('over', event.type === 'dragover');
  if (event.type === 'drop') choose(event.dataTransfer.files);
}

const atServer = () => new FormData($('bench')).get('where') === 'server';
const listed = () => (atServer() ? server.models : models) ?? [];

function showSettings() {
  const old = $('model').value, sent = `Your file will be sent to ${server.host}.`;
  const option = ({ name, title }) => new Option(title ? `${title} (${name})` : name, name, false, name === old);
  $('model').replaceChildren(...listed().map(option));
  [$('upload').hidden, $('upload').textContent] = [!atServer(), sent];
  $('go').textContent = atServer() ? 'Send and enlarge' : 'Enlarge';
  $('privacy').textContent = atServer() ? sent : 'Nothing leaves this computer.';
  showUse();
}

function showUse() {
  $('use').textContent = listed().find(({ name }) => name === $('model').value)?.use ?? '';
  $('share').textContent = `${Math.round($('strength').value * 100)} %`;
}

async function makeOffline() {
  const { script, mjs, wasm, megabytes } = await runtime();
  const files = [script, mjs, wasm, LIBRARY, ...models.map(({ file }) => new URL(file, location.href).href)];
  const size = models.reduce((sum, { bytes }) => sum + bytes / 1e6, 0).toFixed(1);
  const parts = `${megabytes} MB of runtime and ${size} MB of models`;
  $('offline').textContent = `Loading once, to keep: ${parts} …`;
  const kept = await store.keepOffline(files).catch(() => false);
  $('offline').textContent = kept ? `Works without the internet from now on: ${parts} are kept in this browser.`
    : `This browser keeps nothing for use without the internet; each visit loads ${parts}.`;
}

async function start() {
  ({ models } = await (await fetch('models.json')).json());
  for (const model of models) model.file += `?${model.sha256.slice(0, 16)}`; // another model, another address
  showSettings();
  const why = await unable();
  if (!why) offline = makeOffline();
  await showHistory();
  server = await findServer(models);
  $('where').hidden = !server.base;
  if (server.asked && !server.base) fail(new Plain(`The server ${server.asked} can't be reached from this page.`));
  if (!why) return;
  if (!server.base) throw new Plain(`This browser can't compute here, as ${why}, and there is no server that would.`);
  const [own, other] = $('where').querySelectorAll('input');
  [own.disabled, other.checked] = [true, true];
  $('offline').textContent = `This browser can't compute here, as ${why}; the server does it.`;
  showSettings();
}

$('bench').addEventListener('submit', work);
$('bench').addEventListener('change', ({ target }) => target.name === 'where' && showSettings());
$('bench').addEventListener('input', showUse);
$('file').addEventListener('change', () => choose($('file').files));
$('cancel').addEventListener('click', () => stop?.abort());
$('check').addEventListener('click', () => check().catch(fail));
$('clear').addEventListener('click', () => confirm('Delete all earlier results?') && store.clear().then(showHistory));
addEventListener('paste', ({ clipboardData }) => choose(clipboardData.files));
for (const event of ['dragover', 'dragleave', 'drop']) addEventListener(event, drag);
start().catch(fail);
