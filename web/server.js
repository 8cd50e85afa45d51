// The server, where there is one: asked whether it is there, and given a file only after the page has said so.
import { $, Plain, lasting, say } from './page.js';
const PATIENCE = 45; // seconds without a word, after which a job's server is given up; it speaks every 15

/** Where it is: the origin of the page, or what ?api= names; nothing if none answers. `ours`: models that are known. */
export async function findServer(ours) {
  const asked = new URLSearchParams(location.search).get('api');
  const base = (asked ? new URL(asked, location.href).href : location.origin).replace(/\/$/, '');
  try {
    const answer = await fetch(`${base}/models`, { cache: 'no-store', signal: AbortSignal.timeout(10000) });
    const { models } = await answer.json(); // where there is no server, it is no JSON
    const known = (name) => ours.find((own) => own.name === name);
    const listed = models.map(({ name, learned_from: from }) => known(name) ?? { name, use: `Learned from: ${from}` });
    return { asked, base, host: new URL(base).host, models: listed };
  } catch {
    return { asked };
  }
}

/** An answer that is no refusal. */
async function ask(url, options) {
  const response = await fetch(url, options);
  if (response.ok) return response;
  const { detail = `it answered ${response.status}.` } = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get('Retry-After')), when = wait ? ` Try again in ${lasting(wait)}.` : '';
  throw Object.assign(new Plain(`The server: ${detail}${when}`), { status: response.status });
}

/** Until a job has ended. Events that break off are taken up again; only a server that stays silent is given up. */
function follow(job, signal, onProgress) {
  let feed, watch, silent = 0; // seconds, of those in which this page was awake
  return new Promise((resolve, reject) => {
    const open = () => { feed = Object.assign(new EventSource(`${job}/events`), { onmessage: hear, onerror: again }); };
    const hear = ({ data }) => {
      const { done, total, state, error } = JSON.parse(data);
      silent = 0;
      if (state === 'queued') $('left').textContent = 'The server has it, and will begin when it is its turn …';
      else if (total) onProgress(done, total);
      if (state === 'done') resolve();
      if (/failed|cancelled/.test(state)) reject(new Plain(`The server: ${error ?? 'the job was cancelled.'}`));
    };
    const again = () => {
      feed.close();
      say($('left').textContent = 'The server does not answer; trying again …');
      setTimeout(() => {
        if (!watch) return;
        // Where something on the way lets no events pass, this alone tells how far it is.
        ask(job, { signal }).then((answer) => answer.text()).then((data) => watch && [hear({ data }), open()])
          .catch((error) => (error.status < 500 ? reject(error) : again()));
      }, 1000);
    };
    const gone = new Plain('The server went away before it was done. Try again later.');
    watch = setInterval(() => ++silent > PATIENCE && reject(gone), 1000);
    signal.addEventListener('abort', () => reject(signal.reason));
    open();
  }).finally(() => [feed.close(), watch = clearInterval(watch)]);
}

/** The enlarged file with its name and record. What takes long is a job; cancelling ends that at the server too. */
export async function enhance({ base }, way, fields, signal, onProgress) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  let answer = await ask(`${base}/${way}`, { method: 'POST', body, signal }), job;
  try {
    if (answer.status === 202) {
      job = `${base}/jobs/${(await answer.json()).id}`;
      await follow(job, signal, onProgress);
      answer = await ask(`${job}/result`, { signal });
    }
    const record = await ask(new URL(answer.headers.get('X-Record'), answer.url), { signal });
    const [, name] = /filename\*?=(?:utf-8''|")([^";]+)/i.exec(answer.headers.get('Content-Disposition')) ?? [];
    return { blob: await answer.blob(), record: await record.json(), file: name && decodeURIComponent(name) };
  } catch (error) {
    if (job && signal.aborted) fetch(job, { method: 'DELETE', keepalive: true }).catch(() => {});
    throw error;
  }
}
