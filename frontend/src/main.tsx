import "./app/theme.css";
import { render } from "preact";
import { App } from "./app/app";
import { followMenu } from "./app/menu";
import { followRoute } from "./app/pages";
import { followLinks } from "./app/router";
import { followConnection, loadInfo, watchIndexing } from "./app/server";
import { followSession, loadSession, returnToPlace, user } from "./app/session";
import { followTheme } from "./app/theme";
import { followLanguage } from "./i18n";
import "./icon.svg";

followTheme();
followLanguage();
followLinks();
followRoute();
followMenu();
followConnection();
followSession();
start();

const root = document.getElementById("app");
if (root) render(<App />, root);

async function start(): Promise<void> {
  await loadSession();
  if (!user.peek()) return;
  returnToPlace();
  loadInfo();
  watchIndexing();
}
