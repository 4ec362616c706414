import "./app/theme.css";
import { render } from "preact";
import { App } from "./app/app";
import { followMenu } from "./app/menu";
import { followRoute, prefetch } from "./app/pages";
import { followLinks } from "./app/router";
import { followConnection, loadInfo, watchIndexing } from "./app/server";
import { admin, followSession, loadSession, member, returnToPlace, user } from "./app/session";
import { followTheme } from "./app/theme";
import { followIntent, visit, whenIdle } from "./app/visit";
import { followLanguage } from "./i18n";
import { followVitals } from "./vitals";
import "./icon.svg";

followTheme();
followLanguage();
followLinks(visit);
followIntent();
followRoute();
followMenu();
followConnection();
followSession();
start();
whenIdle(() => followVitals());

const root = document.getElementById("app");
if (root) render(<App />, root);

async function start(): Promise<void> {
  await loadSession();
  if (!user.peek()) return;
  returnToPlace();
  loadInfo();
  watchIndexing();
  whenIdle(prefetchPages);
}

/** Wherever one may go from here; links and menus then lead there at once. */
function prefetchPages(): void {
  prefetch("chat");
  prefetch("library");
  if (member.peek()) prefetch("account");
  if (admin.peek()) {
    prefetch("people");
    prefetch("audit");
  }
}
