import { expect, test } from "vitest";
import { sends } from "./composer";

const ENTER = { key: "Enter", shiftKey: false, isComposing: false, keyCode: 13 };

test("Enter sends, but not while a syllable is being composed", () => {
  expect(sends(ENTER)).toBe(true);
  expect(sends({ ...ENTER, shiftKey: true })).toBe(false);
  expect(sends({ ...ENTER, isComposing: true })).toBe(false);
  expect(sends({ ...ENTER, keyCode: 229 })).toBe(false);
  expect(sends({ ...ENTER, key: "a" })).toBe(false);
});
