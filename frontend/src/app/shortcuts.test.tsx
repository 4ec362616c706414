import { expect, test } from "vitest";
import { meaningOf } from "./shortcuts";

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
