import { render } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Key } from "../../api/account";
import { json } from "../../api/fake-server";
import type { Person } from "../../api/people";
import { chooseLanguage } from "../../i18n";
import { DialogHost } from "../../ui/dialog";
import { KeysOf } from "./keys";

const PERSON = { id: "p".repeat(32), name: "Lee" } as Person;
const KEY: Key = {
  ...{ id: "k".repeat(32), name: "Nightly import", hint: "abcdefgh", scopes: ["read"] },
  ...{ created_at: "2026-11-01T00:00:00Z", expires_at: null, last_used_at: null },
};
let keys: Key[] = [];
let calls: string[] = [];
let root: HTMLElement;

beforeEach(() => {
  chooseLanguage("en");
  keys = [KEY];
  calls = [];
  globalThis.fetch = async (input, init = {}) => {
    const method = init.method ?? "GET";
    calls.push(`${method} ${input}`);
    if (method === "GET") return json({ items: keys })();
    keys = [];
    return new Response(null, { status: 204 });
  };
  root = document.createElement("div");
  document.body.append(root);
});
afterEach(() => {
  render(null, root);
  root.remove();
});

test("an administrator sees somebody's keys and revokes one", async () => {
  render(
    <>
      <KeysOf person={PERSON} close={() => undefined} />
      <DialogHost />
    </>,
    root,
  );
  await vi.waitFor(() => expect(root.textContent).toContain("Nightly import"));
  expect(root.textContent).toContain("API keys of Lee");
  root.querySelector<HTMLElement>("[aria-label='Revoke: Nightly import']")?.click();
  const sure = () => root.querySelector<HTMLElement>(".dialog-actions .danger");
  await vi.waitFor(() => expect(sure()).toBeTruthy());
  sure()?.click();
  await vi.waitFor(() => expect(root.textContent).toContain("There are none."));
  expect(calls[1]).toBe(`DELETE /api/v1/users/${PERSON.id}/keys/${KEY.id}`);
});
