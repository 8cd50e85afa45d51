// What the browser keeps: the last results as thumbnails and records, and the files that let it work offline.
const KEPT = 20;

function request(made) {
  return new Promise((resolve, reject) => {
    made.onsuccess = () => resolve(made.result);
    made.onerror = () => reject(made.error);
  });
}

async function runs(mode) {
  const opening = indexedDB.open('enlarger', 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore('runs', { keyPath: 'id', autoIncrement: true });
  return (await request(opening)).transaction('runs', mode).objectStore('runs');
}

/** All that is kept, the latest first. */
export const all = async () => (await request((await runs('readonly')).getAll())).reverse();

/** Keep a result, or replace the one of the same `id`; gives the id. */
export async function keep(run) {
  const store = await runs('readwrite'), id = await request(store.put(run));
  for (const old of (await request(store.getAllKeys())).slice(0, -KEPT)) store.delete(old);
  return id;
}

export const remove = async (id) => request((await runs('readwrite')).delete(id));
export const clear = async () => request((await runs('readwrite')).clear());

/** Keep files for use offline; whether the browser can. Rejects if one is missing. */
export async function keepOffline(files) {
  await navigator.serviceWorker.register('sw.js');
  // Ready, it has the page itself; if a file of that is missing, it never is.
  const tired = new Promise((resolve) => setTimeout(resolve, 15000));
  if (!await Promise.race([navigator.serviceWorker.ready, tired])) return false;
  const cache = await caches.open('large');
  for (const { url } of await cache.keys()) if (!files.includes(url)) await cache.delete(url); // of older versions
  for (const file of files) if (!await cache.match(file)) await cache.add(file);
  return true;
}
