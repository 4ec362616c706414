import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, expect, test, vi } from "vitest";
import { session } from "../api/client";
import { json, serve } from "../api/fake-server";
import { chooseLanguage } from "../i18n";
import { SourcePanel } from "../source/panel";
import { Modal } from "../ui/modal";
import { SecretDialog } from "../ui/secret";
import { toast } from "../ui/toast";
import { App } from "./app";
import { menuOpen } from "./menu";
import { prefetch } from "./pages";
import { navigate } from "./router";
import { loadSession, problem } from "./session";

const root = document.createElement("div");
document.body.append(root);
afterEach(() => {
  render(null, root);
  session.value = undefined;
  navigate("/", { replace: true });
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("a server that is away is asked again until it is back, and the page says what it is", async () => {
  chooseLanguage("en");
  vi.useFakeTimers();
  const away = () => Promise.reject(new TypeError("offline"));
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(false); // no event will tell
  navigate("/sign-in");
  serve(away, away, json({ user: null, via: null, csrf: null, guest: false, needs_setup: false }));
  await loadSession();
  await act(() => render(<App />, root));
  expect(root.querySelector("h1")?.textContent).toMatch(/./);
  expect(document.title).toBe(`${root.querySelector("h1")?.textContent} · Like-Opt`);
  expect(problem.value?.code).toBe("offline");
  await vi.advanceTimersByTimeAsync(6000);
  expect(problem.value).toBeUndefined();
});

test("what stands in the place of a page has the way to all others on a phone", async () => {
  chooseLanguage("en");
  const kim = { id: "kim", name: "Kim", email: null, role: "member", has_password: false } as const;
  session.value = { user: kim, via: "session", csrf: "t", guest: false, needs_setup: false };
  serve(json({ items: [], next_cursor: null }), json({ items: [], next_cursor: null }));
  await Promise.all([prefetch("settings"), prefetch("people")]);
  for (const path of ["/admin/settings", "/admin/people", "/nowhere"]) {
    navigate(path);
    await act(() => render(<App />, root));
    expect(root.querySelectorAll("main h1")).toHaveLength(1);
    await act(() => root.querySelector<HTMLElement>("main .menu-button")?.click());
    expect(menuOpen.value).toBe(true);
    menuOpen.value = false;
  }
});

test("the keyboard begins anew with each page, the library's list and its documents among them", async () => {
  serve();
  await act(() => render(<App />, root));
  const main = root.querySelector("main");
  const other = root.querySelector<HTMLElement>(".skip");
  const arrivesAt = async (path: string) => {
    other?.focus();
    await act(() => navigate(path));
    return document.activeElement === main;
  };
  expect(await arrivesAt("/library")).toBe(true);
  expect(await arrivesAt(`/library/${"a".repeat(32)}`)).toBe(true);
  expect(await arrivesAt(`/library/${"b".repeat(32)}`)).toBe(true);
  expect(await arrivesAt("/library")).toBe(true);
  expect(await arrivesAt("/library?tag=a")).toBe(false);
  expect(await arrivesAt("/")).toBe(true);
  // While one writes, a new conversation gets its address.
  expect(await arrivesAt(`/c/${"a".repeat(32)}`)).toBe(false);
});

test("what is said while a window is open is said in it", async () => {
  await act(() =>
    render(
      <Modal title="Window" close={() => undefined}>
        x
      </Modal>,
      root,
    ),
  );
  await act(() => toast("Copied"));
  expect(root.querySelector("dialog [role=status]")?.textContent).toBe("Copied");
});

test("a press beside a window closes it, but not one that shows a secret once", async () => {
  const close = vi.fn();
  const press = () => {
    const dialog = root.querySelector("dialog");
    dialog?.dispatchEvent(new MouseEvent("mousedown", { bubbles: true }));
  };
  const secret = { title: "Key", body: "", label: "Key", secret: "s" };
  await act(() => render(<SecretDialog {...secret} close={close} />, root));
  press();
  expect(close).not.toHaveBeenCalled();
  await act(() => render(null, root));
  await act(() =>
    render(
      <Modal title="Window" close={close}>
        x
      </Modal>,
      root,
    ),
  );
  press();
  expect(close).toHaveBeenCalledTimes(1);
});

test("Escape closes a source unless something else has taken it", async () => {
  const close = vi.fn();
  const citation = {
    ...{ number: 1, document_id: "d", document_name: "a.pdf", version_id: 1, chunk_id: 1 },
    ...{ page: null, start: 0, end: 1, quote: "", available: false },
  };
  await act(() => render(<SourcePanel citation={citation} close={close} />, root));
  const press = () => new KeyboardEvent("keydown", { key: "Escape", cancelable: true });
  const taken = press();
  taken.preventDefault();
  dispatchEvent(taken);
  expect(close).not.toHaveBeenCalled();
  dispatchEvent(press());
  expect(close).toHaveBeenCalledTimes(1);
});
