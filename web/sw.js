// Lets the page work without a network. The page's own files come from the network while there is one, so that a new
// version is seen at once; runtime and models, which are large and checked or versioned, from the cache.
const PAGE = ['./', 'index.html', 'style.css', 'icon.svg', 'models.json', 'app.js', 'clip.js', 'compare.js',
  'engine.js', 'page.js', 'pixels.js', 'server.js', 'show.js', 'store.js', 'work.js', 'worker.js'];
const ours = new Set(PAGE.map((file) => new URL(file, self.registration.scope).href));
const large = ['vendor/', 'models/'].map((folder) => new URL(folder, self.registration.scope).href);

self.addEventListener('install', (event) => {
  const fresh = PAGE.map((file) => new Request(file, { cache: 'reload' }));
  event.waitUntil(caches.open('page').then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
async function fromNetwork(request, address) {
  const cache = await caches.open('page');
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(address, response.clone());
    return response;
  } catch {
    return (await cache.match(address)) ?? Response.error();
  }
}

const fromCache = async (request) => (await (await caches.open('large')).match(request.url)) ?? fetch(request);

self.addEventListener('fetch', (event) => {
  const { request } = event, [address] = request.url.split(/[?#]/);
  if (request.method !== 'GET') return;
  if (ours.has(address)) event.respondWith(fromNetwork(request, address));
  else if (large.some((folder) => address.startsWith(folder))) event.respondWith(fromCache(request));
});
