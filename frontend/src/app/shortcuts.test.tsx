import { render } from "preact";
import { act } from "preact/test-utils";
import { expect, test, vi } from "vitest";
import { session } from "../api/client";
import { json, serve } from "../api/fake-server";
import { meaningOf, Shortcuts } from "./shortcuts";
import { Sidebar } from "./sidebar/sidebar";

const press = (key: string, more: Partial<KeyboardEvent> = {}) => ({
  ...{ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false },
  ...more,
});

test("single keys mean something outside of fields, combinations everywhere", () => {
  expect(meaningOf(press("?", { shiftKey: true }), false)).toBe("sheet");
  expect(meaningOf(press("/"), false)).toBe("ask");
  expect(meaningOf(press("/"), true)).toBeNull();
  expect(meaningOf(press("?"), true)).toBeNull();
  expect(meaningOf(press("k", { ctrlKey: true }), true)).toBe("find");
  expect(meaningOf(press("O", { ctrlKey: true, shiftKey: true }), true)).toBe("fresh");
  expect(meaningOf(press("k", { ctrlKey: true, altKey: true }), false)).toBeNull();
  expect(meaningOf(press("k"), false)).toBeNull();
});

test("Ctrl+K leads from any field to the search of earlier conversations, but not out of a window", async () => {
  serve(json({ items: [], next_cursor: null }));
  const kim = { id: "kim", name: "Kim", email: null, role: "member", has_password: false } as const;
  session.value = { user: kim, via: "session", csrf: "t", guest: false, needs_setup: false };
  const root = document.createElement("div");
  document.body.append(root);
  await act(() =>
    render(
      <>
        <Sidebar />
        <textarea />
        <dialog />
        <Shortcuts />
      </>,
      root,
    ),
  );
  const field = root.querySelector("textarea");
  const press = (): KeyboardEvent => {
    const event = new KeyboardEvent("keydown", {
      ...{ key: "k", ctrlKey: true, bubbles: true, cancelable: true },
    });
    field?.dispatchEvent(event);
    return event;
  };
  field?.focus();
  root.querySelector("dialog")?.setAttribute("open", "");
  expect(press().defaultPrevented).toBe(false);
  root.querySelector("dialog")?.removeAttribute("open");
  // The browser's own Ctrl+K does not come as well.
  expect(press().defaultPrevented).toBe(true);
  await vi.waitFor(() =>
    expect(document.activeElement).toBe(root.querySelector(".history input[type=search]")),
  );
  render(null, root);
  session.value = undefined;
});
