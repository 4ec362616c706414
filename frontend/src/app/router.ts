import { batch, computed, signal } from "@preact/signals";

/** Of administration, in the order of its navigation. */
export const ADMIN_PAGES = ["jobs", "caches", "settings", "people", "audit"] as const;
export type AdminPage = (typeof ADMIN_PAGES)[number];

export type Route =
  | { page: "chat"; conversation: string | null }
  | { page: "library"; document: string | null }
  | { page: "sign-in" | "link" | "account" | AdminPage }
  | { page: "missing" };

const PLAIN = ["sign-in", "link", "account"] as const;
const ID = "([0-9a-f]{32})";

/** The page that an address names, with or without a slash at its end. */
export function match(address: string): Route {
  const path = withoutSlash(address);
  if (path === "/") return { page: "chat", conversation: null };
  const conversation = path.match(`^/c/${ID}$`)?.[1];
  if (conversation) return { page: "chat", conversation };
  if (path === "/library") return { page: "library", document: null };
  const document = path.match(`^/library/${ID}$`)?.[1];
  if (document) return { page: "library", document };
  if (path === "/admin") return { page: ADMIN_PAGES[0] };
  const admin = ADMIN_PAGES.find((page) => path === `/admin/${page}`);
  const plain = PLAIN.find((page) => path === `/${page}`);
  return { page: admin ?? plain ?? "missing" };
}

/** What stands after `#` in the address, which is then forgotten: nobody who comes by, no history
 * and no copied address shall see it. */
export function takeFragment(): string {
  const found = location.hash.slice(1);
  if (found) history.replaceState(null, "", location.pathname + location.search);
  return found;
}

const withoutSlash = (path: string) => path.replace(/(.)\/$/, "$1");

/** Where one is, which the address then names as all links do. */
function here(): string {
  const path = withoutSlash(location.pathname);
  if (path !== location.pathname && match(path).page !== "missing") {
    history.replaceState(history.state, "", path + location.search + location.hash);
  }
  return path;
}

const path = signal(here());
export const query = signal(new URLSearchParams(location.search));
export const route = computed(() => match(path.value));

const address = () => location.pathname + location.search;

/** As the page shows it. */
let shown = address();

function read(): void {
  batch(() => {
    query.value = new URLSearchParams(location.search);
    path.value = here();
    shown = address();
  });
}

/** How to close what is open over the page, the topmost last. Each has an entry in the browser's
 * history with the page's address, so that Back closes it and stays on the page. */
const layers: (() => void)[] = [];
/** Whether a step back of our own is on its way. */
let stepping = false;
/** Whether another page is being loaded, which a step back would call off. */
let leaving = false;
/** What the entries below are to be called, if the page's address has changed while it was covered. */
let renamed: { from: string; to: string } | undefined;

/** Over how many others the current entry stands. */
const height = (): number => history.state?.layers ?? 0;

/** As many entries as there are layers. */
function settle(): void {
  if (stepping || leaving) return;
  const extra = height() - layers.length;
  stepping = extra > 0;
  if (stepping) history.go(-extra);
  while (height() < layers.length) history.pushState({ layers: height() + 1 }, "");
}

/** Lets Back `close` what covers the page; to be called back once it is closed. */
export function addLayer(close: () => void): () => void {
  layers.push(close);
  settle();
  return () => {
    const at = layers.indexOf(close);
    if (at < 0) return; // by Back
    layers.splice(at, 1);
    settle();
  };
}

function closeAbove(least: number): void {
  for (const close of layers.splice(least).reverse()) close();
}

function onPopState(): void {
  const own = stepping;
  stepping = false;
  if (renamed?.from === address()) {
    history.replaceState(history.state, "", renamed.to);
  }
  if (height() === 0) renamed = undefined;
  if (address() !== shown) read();
  // After a step of our own, what is open was opened since.
  if (!own) closeAbove(height());
  settle();
}

/** Another page is about to be loaded, and no step back of ours shall call that off. */
export function leaveHere(): void {
  leaving = true;
}

/** Shows the page at `to`, an address on this site; `replace` leaves no way back to this one. */
export function navigate(to: string, { replace = false } = {}): void {
  if (stepping) {
    addEventListener("popstate", () => navigate(to, { replace }), { once: true });
    return;
  }
  const covered = height() > 0;
  if (covered && replace) renamed = { from: renamed?.from ?? shown, to };
  // What covers the page is closed when one goes elsewhere: the way back leads to the page itself.
  if (covered && !replace) closeAbove(0);
  if (covered || replace) history.replaceState(replace ? history.state : null, "", to);
  else history.pushState(null, "", to);
  read();
}

/** Loaded anew, without what was open: back to the page's own entry, or Back would do nothing once
 * for each. */
function leaveLayers(): void {
  if (height() === 0) return;
  const here = address(); // which that entry may not have yet, if it came while it was covered
  stepping = true;
  addEventListener("popstate", () => history.replaceState(null, "", here), { once: true });
  history.go(-height());
}

/** Lets ordinary links to our own pages change the page without a reload, by `go`. */
export function followLinks(
  go: (to: string, options: { replace: boolean }) => void = navigate,
): void {
  leaveLayers();
  addEventListener("popstate", onPopState);
  addEventListener("pageshow", () => {
    leaving = false; // or has come back
    settle();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest?.("a");
    if (!link || link.target || link.hash || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || match(link.pathname).page === "missing") return;
    event.preventDefault();
    // To where one is already: the page begins anew, without another step back.
    go(link.pathname + link.search, { replace: link.href === location.href });
  });
}
