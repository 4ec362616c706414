import { render } from "preact";
import { afterEach, expect, test } from "vitest";
import { session } from "../api/client";
import type { SessionState } from "../api/types";
import { chooseLanguage } from "../i18n";
import { AdminSheet } from "./admin-sheet";

const KIM = { id: "kim", name: "Kim", email: null, role: "admin", has_password: false } as const;
const state = (via: "session" | "guest"): SessionState => ({
  ...{ user: KIM, via, csrf: null, guest: via === "guest", needs_setup: false },
});
const root = document.createElement("div");
afterEach(() => {
  render(null, root);
  session.value = undefined;
});

test.each([
  ["session", ["Jobs", "Caches", "Settings", "People", "Audit log"]],
  // Without sign-in there are no accounts.
  ["guest", ["Jobs", "Caches", "Settings"]],
] as const)("who came by %s is led to %j", (via, names) => {
  chooseLanguage("en");
  session.value = state(via);
  render(<AdminSheet page="caches">x</AdminSheet>, root);
  const links = [...root.querySelectorAll<HTMLAnchorElement>("nav.tabs a")];
  expect(links.map((link) => link.textContent)).toEqual(names);
  expect(
    links.filter((link) => link.getAttribute("aria-current")).map((link) => link.pathname),
  ).toEqual(["/admin/caches"]);
  expect(root.querySelector("h1")?.textContent).toBe("Caches");
});
