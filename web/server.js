// The server, where there is one: asked whether it is there, and given a file only after the page has said so.
import { Plain } from './page.js';

/** Where it is: the origin of the page, or what ?api= names; nothing if none answers. */
export async function findServer() {
  const asked = new URLSearchParams(location.search).get('api');
  const base = (asked ? new URL(asked, location.href).href : location.origin).replace(/\/$/, '');
  try {
    const health = await fetch(`${base}/health`, { cache: 'no-store', signal: AbortSignal.timeout(4000) });
    if (!health.ok || !health.headers.get('content-type')?.includes('json')) return { asked };
    const known = await (await fetch(`${base}/models`)).json();
    const models = (known.models ?? known).map((model) => (typeof model === 'string' ? { name: model } : model));
    return { asked, base, host: new URL(base).host, models };
  } catch {
    return { asked };
  }
}

async function send(url, { file, ...fields }, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  body.append('file', file);
  const response = await fetch(url, { method: 'POST', body, signal });
  if (response.ok) return response;
  const { detail } = await response.json().catch(() => ({}));
  throw new Plain(`The server: ${typeof detail === 'string' ? detail : `it answered ${response.status}.`}`);
}

/** A photograph: the enlarged file and its record. */
export async function enhancePhoto(server, fields, signal) {
  const response = await send(`${server.base}/enhance`, fields, signal), record = response.headers.get('X-Record');
  return { blob: await response.blob(), record: await (await fetch(new URL(record, response.url), { signal })).json() };
}

/** A clip: a job that reports its progress. Cancelling ends the job on the server too. */
export async function enhanceClip(server, fields, signal, onProgress) {
  const { id } = await (await send(`${server.base}/jobs`, fields, signal)).json();
  const job = `${server.base}/jobs/${encodeURIComponent(id)}`, events = new EventSource(`${job}/events`);
  try {
    await new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => {
        fetch(job, { method: 'DELETE' });
        reject(signal.reason);
      });
      events.onmessage = ({ data }) => {
        const { done, total, state, error } = JSON.parse(data);
        if (total) onProgress(done, total);
        if (/^(done|finished|complete)/.test(state)) resolve();
        if (/^(fail|error|cancel|lost)/.test(state)) reject(new Plain(`The server: ${error ?? `the job ${state}.`}`));
      };
      events.onerror = () => events.readyState === EventSource.CLOSED && reject(new Plain('The server went away.'));
    });
  } finally {
    events.close();
  }
  const [result, record] = await Promise.all([fetch(`${job}/result`, { signal }), fetch(`${job}/record`, { signal })]);
  return { blob: await result.blob(), record: await record.json() };
}
