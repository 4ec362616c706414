/**
 * The service worker: keeps the page's files and one shell, so that the page opens without a network
 * and says so. What the API answers and what belongs to somebody is passed on and never kept.
 *
 * The server puts `BUILD` in front: {version, base, shell, entry, files}; `entry` are the files that the
 * shell names.
 */

/* global BUILD */
const PREFIX = "likeopt-";
const CACHE = PREFIX + BUILD.version;
/** Addresses that are no pages of the app. */
const PROGRAMS = /^\/(?:api|v1|assets|health|ready)(?:\/|$)/;

// Without `skipWaiting()`: a worker takes over when the last page of the release before is closed.
// Chromium may leave a page blank that is reloaded while one worker relieves another (9 of 16 tries
// of `test_new_release.py` then, none of 24 now).
self.addEventListener("install", (event) => {
  event.waitUntil(keep());
});

async function keep() {
  // Not from the browser's own cache: that could hold the shell of the release before. While servers
  // get a release one by one, so could the one that answers; the next visit tries again.
  const shell = await fetch(BUILD.shell, { cache: "reload" });
  const text = await shell.clone().text();
  if (!BUILD.entry.every((name) => text.includes(name))) throw new Error("of another release");
  const cache = await caches.open(CACHE);
  await cache.addAll(BUILD.files.map((name) => BUILD.base + name));
  await cache.put(BUILD.shell, shell);
}

self.addEventListener("activate", (event) => {
  event.waitUntil(tidy());
});

async function tidy() {
  const ours = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  // Pages of the release before may be open (reloaded by force, they do not hold this one back), and
  // still want to load a part of theirs.
  await Promise.all(ours.slice(0, -1).map((name) => caches.delete(name)));
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const url = new URL(request.url);
  if (url.href.startsWith(new URL(BUILD.base, location.origin).href)) {
    event.respondWith(asset(event));
  } else if (request.mode === "navigate") {
    event.respondWith(PROGRAMS.test(url.pathname) ? network(event) : page(event));
  }
});

/** Hashed files never change, so what is kept is as good as what is there. */
async function asset(event) {
  const { request } = event;
  const kept = await caches.match(request, { ignoreVary: true });
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok && response.headers.get("Cache-Control")?.includes("immutable")) {
    // What cannot be kept, on a full disk, is as good for now.
    event.waitUntil(put(request, response.clone()).catch(() => undefined));
  }
  return response;
}

async function put(request, response) {
  const cache = await caches.open(CACHE);
  await cache.put(request, response);
}

/**
 * The answer that the browser began to fetch while this script started. Every navigation has to take
 * it: one that is left to the browser is asked for twice, and a code from a provider is good for once.
 */
async function network(event) {
  return (await event.preloadResponse) ?? (await fetch(event.request));
}

/** Always the server's own page; the kept shell only where no answer comes at all. */
async function page(event) {
  try {
    return await network(event);
  } catch (error) {
    // Not the one of the release before, whose cache is older and would be looked into first.
    const shell = await caches.match(BUILD.shell, { ignoreVary: true, cacheName: CACHE });
    if (!shell) throw error;
    return shell;
  }
}
