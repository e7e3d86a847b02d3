// The service worker of the young person's page. It keeps the page and the guidance for when nothing can be reached,
// and shows that something is new. It never keeps an answer of an API, nor anything that somebody wrote.
//
// A page is asked for on the line first, so a new build is seen at once; what is kept stands in when no answer comes,
// or none that helps. What belongs to one build is kept together and goes together, once no page of it is open.
export {};

declare const self: ServiceWorkerGlobalScope;

interface Build {
  version: string;
  /** Without these there is no page: address → integrity of the bytes that belong to this build. */
  shell: Record<string, string>;
  /** Those whose name changes with their bytes, and that the page does without for a while: the encryption. */
  rest: string[];
}

// Put in by the build (tools/service-worker.ts).
declare const BUILD: Build;

const build = BUILD;
const CACHE = "page " + build.version;
const START = "/";
const GUIDANCE = "/guidance/";
const GUIDANCE_DATA = "/guidance/guidance.json";
const KEPT = new Set([...Object.keys(build.shell), ...build.rest]);
const PATIENCE_MS = 5_000;
const MARK = "news";

let leaving = false;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", answer);
self.addEventListener("push", (event) => event.waitUntil(tell()));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open());
});
self.addEventListener("message", (event) => {
  if (event.data === "leave") event.waitUntil(leave(true));
  if (event.data === "leave the app") event.waitUntil(leave(false));
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  // Were the server to have another build by now, the bytes would not fit together: then this one is given up.
  const shell = Object.entries(build.shell).map(([address, integrity]) => fresh(address, integrity));
  try {
    await cache.addAll([...shell, fresh(GUIDANCE), fresh(GUIDANCE_DATA)]);
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
  await Promise.allSettled(build.rest.map((address) => cache.add(address)));
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

function answer(event: FetchEvent): void {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (request.mode === "navigate") {
    if (pathname === START || pathname === GUIDANCE) event.respondWith(newest(event, pathname));
  } else if (pathname === GUIDANCE_DATA) event.respondWith(newest(event, pathname));
  else if (KEPT.has(pathname)) event.respondWith(kept(pathname).then((found) => found ?? fetch(request)));
}

/** From the line, or as it was kept: without a connection, after long silence, and where the server is not well. */
async function newest(event: FetchEvent, address: string): Promise<Response> {
  const ahead = Promise.resolve(event.preloadResponse as Promise<Response | undefined>);
  const line = ahead.then((response) => response ?? fetch(event.request));
  const patience = new Promise<null>((resolve) => setTimeout(() => resolve(null), PATIENCE_MS));
  const found = await Promise.race([line.catch(() => null), patience]);
  if (found?.ok) {
    if (address === START) event.waitUntil(keepGuidance());
    else event.waitUntil(keep(address, found.clone()));
    return found;
  }
  return (await kept(address)) ?? line;
}

function kept(address: string): Promise<Response | undefined> {
  return caches.match(address, { cacheName: CACHE });
}

async function keep(address: string, response: Response): Promise<void> {
  if (!leaving && (await caches.has(CACHE))) await (await caches.open(CACHE)).put(address, response);
}

/** Whoever comes to the page takes today's numbers and hours along, for when they are needed without a connection. */
async function keepGuidance(): Promise<void> {
  for (const address of [GUIDANCE, GUIDANCE_DATA]) {
    const response = await fetch(fresh(address)).catch(() => null);
    if (response?.ok) await keep(address, response);
  }
}

function fresh(address: string, integrity = ""): Request {
  return new Request(address, { cache: "no-cache", integrity });
}

/** Something is new: what, and where, is said nowhere. Whoever has the page before them sees it there. */
async function tell(): Promise<void> {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (pages.some(({ url, visibilityState }) => new URL(url).pathname === START && visibilityState === "visible")) return;
  const words = navigator.language.startsWith("ja") ? "お知らせがあります" : "You have a notice";
  await self.registration.showNotification(words, { tag: MARK, icon: "/icons/192.png", badge: "/icons/badge.png" });
}

async function open(): Promise<void> {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = pages.find(({ url }) => new URL(url).pathname === START);
  await (there ? there.focus() : self.clients.openWindow(START));
}

/** Takes away what shows that somebody was here. An app on the home screen keeps its page; it has no word in it. */
async function leave(everything: boolean): Promise<void> {
  leaving = everything;
  await Promise.allSettled([unsubscribe(), quiet()]);
  if (!everything) return;
  for (const name of await caches.keys()) await caches.delete(name);
  // Last: a worker that is still being installed ends with it.
  await self.registration.unregister();
}

async function unsubscribe(): Promise<void> {
  await (await self.registration.pushManager?.getSubscription())?.unsubscribe();
}

async function quiet(): Promise<void> {
  for (const notification of await self.registration.getNotifications()) notification.close();
}
