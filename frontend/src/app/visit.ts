import { readConversationAhead } from "../api/conversations";
import { readDocumentAhead } from "../api/documents";
import { prefetch } from "./pages";
import { match, navigate, type Route, route } from "./router";

/** Going from page to page: what will be needed is fetched before, and nothing flashes. */

/** How long the page that one leaves may stay while the next one's code is on its way. */
const PATIENCE_MS = 400;
/** A pointer, or the keyboard's focus, that only passes over a link stays on it for less. */
const INTENT_MS = 60;

/** Told how long each change of page took until it was painted, in milliseconds. */
export const changes: { report: (millis: number, page: string) => void } = { report: () => {} };

/** Shows the page at `to` as soon as its code is there. */
export async function visit(to: string, options: { replace?: boolean } = {}): Promise<void> {
  const { page } = match(new URL(to, location.origin).pathname);
  if (page === route.peek().page) return navigate(to, options);
  const began = performance.now();
  if (page !== "missing") await Promise.race([prefetch(page), pause(PATIENCE_MS)]);
  await change(() => navigate(to, options));
  requestAnimationFrame(() => setTimeout(() => changes.report(performance.now() - began, page)));
}

/** Before one page fades into the other, the browser pictures both, and nothing else is painted: so
 * long may that take, but not twice running (bench/README.md). */
const SLOW_MS = 40;
let slow = 0;

/** Changes the page, one fading into the other where the browser can do so quickly and nobody minds
 * motion. */
async function change(update: () => void): Promise<void> {
  const still = slow > 1 || matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (still || document.hidden || !document.startViewTransition) return update();
  let took = -performance.now();
  const transition = document.startViewTransition(async () => {
    took += performance.now();
    update();
    await pause(0); // until it is in the document
    took -= performance.now();
  });
  const onReady = () => {
    slow = took + performance.now() > SLOW_MS ? slow + 1 : 0;
  };
  // Skipped, for example by the next one: the page has changed all the same.
  transition.ready.then(onReady, () => undefined);
  transition.finished.catch(() => undefined);
  await transition.updateCallbackDone;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Fetches a page's code, and what it shows, when somebody is about to go there. */
export function followIntent(): void {
  let pending: ReturnType<typeof setTimeout> | undefined;
  const intend = (event: Event, delay: number) => {
    clearTimeout(pending);
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link || link.origin !== location.origin || link.target) return;
    pending = setTimeout(() => fetchAhead(match(link.pathname)), delay);
  };
  addEventListener("pointerover", (event) => intend(event, INTENT_MS), { passive: true });
  addEventListener("pointerdown", (event) => intend(event, 0), { passive: true });
  addEventListener("focusin", (event) => intend(event, INTENT_MS));
}

function fetchAhead(to: Route): void {
  if (to.page === "missing") return;
  prefetch(to.page);
  if (savesData()) return;
  if (to.page === "chat" && to.conversation) readConversationAhead(to.conversation);
  if (to.page === "library" && to.document) readDocumentAhead(to.document);
}

/** Whether the browser's owner saves data. */
function savesData(): boolean {
  const { connection } = navigator as Navigator & { connection?: { saveData?: boolean } };
  return connection?.saveData === true;
}

/** Runs `work` when the browser has nothing better to do, unless its owner saves data. */
export function whenIdle(work: () => void): void {
  if (savesData()) return;
  // Safari has no such call.
  if ("requestIdleCallback" in globalThis) requestIdleCallback(work, { timeout: 5000 });
  else setTimeout(work, 1000);
}
