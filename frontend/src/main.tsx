import "./app/theme.css";
import "./shell/shell.css";
import { computed, effect, untracked } from "@preact/signals";
import { render } from "preact";
import { App } from "./app/app";
import { followMenu } from "./app/menu";
import { followRoute, PAGES, prefetch, ready } from "./app/pages";
import { followLinks, route } from "./app/router";
import { followConnection, info, loadInfo, watchIndexing } from "./app/server";
import {
  admin,
  followSession,
  isOpen,
  loadSession,
  member,
  operator,
  returnToPlace,
  user,
} from "./app/session";
import { followTheme } from "./app/theme";
import { followIntent, visit, whenIdle } from "./app/visit";
import { followLanguage } from "./i18n";
import { followWorker } from "./offline/register";
import { followHint } from "./shell/hint";
import { keepPress } from "./shell/press";
import { followVitals } from "./vitals";
import "./icon.svg";
import "./icons";

followTheme();
followHint();
followLanguage();
followLinks(visit);
followIntent();
followMenu();
followConnection();
followSession();
/** A server that is slow to tell what it is holds up nothing else. */
const PATIENCE_MS = 3000;

// A task of its own: a phone shows what the server has drawn before it goes on.
setTimeout(start);

async function start(): Promise<void> {
  // Until there is a page to show, what the server has drawn of it stays in sight.
  const root = document.getElementById("app");
  const passOn = root && keepPress(root);
  const drawn = PAGES.find((page) => page === root?.dataset.page) ?? "chat";
  await Promise.all([loadSession(), prefetch(drawn)]);
  // Of what the server is, several parts of each page speak: all come at once, and nothing moves.
  if (user.peek()) await Promise.race([loadInfo(), pause(PATIENCE_MS)]);
  const { page } = route.peek();
  if (page !== "missing") await prefetch(page); // perhaps another one: to sign in
  // Text that the server has drawn stays until the same can take its place.
  if (page !== "missing" && user.peek()) await Promise.race([ready(page), pause(PATIENCE_MS)]);
  followRoute();
  if (root) render(<App />, root);
  // As any other press: once the page is painted and keeps its end in sight.
  if (passOn) requestAnimationFrame(() => setTimeout(passOn));
  // At once, or once it is known who is here: the page may have been opened without a network.
  effect(() => {
    if (entered.value) untracked(enterApp);
  });
  whenIdle(() => followVitals());
  whenIdle(followWorker);
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const entered = computed(() => !!user.value && !isOpen(route.value.page));

function enterApp(): void {
  returnToPlace();
  if (!info.data) loadInfo();
  watchIndexing();
  whenIdle(prefetchPages);
}

/** Wherever one may go from here; links and menus then lead there at once. */
async function prefetchPages(): Promise<void> {
  const wanted = [
    "chat",
    "library",
    member.peek() && "account",
    operator.peek() && "jobs", // and with it, caches and settings
    admin.peek() && "people",
    admin.peek() && "audit",
  ] as const;
  // One by one: their scripts together would hold up a phone.
  for (const page of wanted) {
    if (!page) continue;
    await prefetch(page);
    await new Promise<void>((resolve) => whenIdle(resolve));
  }
}
