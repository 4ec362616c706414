import { render } from "preact";
import { act } from "preact/test-utils";
import { expect, test } from "vitest";
import { maxQuestion } from "../../app/server";
import { chooseLanguage } from "../../i18n";
import { Composer, sends } from "./composer";
import { draft } from "./drafts";

const ENTER = {
  key: "Enter",
  shiftKey: false,
  ctrlKey: false,
  metaKey: false,
  isComposing: false,
  keyCode: 13,
};

test("Enter sends, but not while a syllable is being composed", () => {
  expect(sends(ENTER)).toBe(true);
  expect(sends({ ...ENTER, shiftKey: true })).toBe(false);
  expect(sends({ ...ENTER, ctrlKey: true })).toBe(true);
  expect(sends({ ...ENTER, metaKey: true, isComposing: true })).toBe(false);
  expect(sends({ ...ENTER, isComposing: true })).toBe(false);
  expect(sends({ ...ENTER, keyCode: 229 })).toBe(false);
  expect(sends({ ...ENTER, key: "a" })).toBe(false);
});

test("that a question is too long comes into a region that was there before", async () => {
  chooseLanguage("en");
  const root = document.createElement("div");
  document.body.append(root);
  await act(() => render(<Composer />, root));
  const alert = root.querySelector("[role=alert]");
  expect(alert?.textContent).toBe("");
  await act(() => {
    draft.value = "a".repeat(maxQuestion.peek() + 2);
  });
  expect(root.querySelector("[role=alert]")).toBe(alert);
  expect(alert?.textContent).toBe("2 characters too long");
  await act(() => {
    draft.value = "";
  });
  expect(alert?.textContent).toBe("");
  render(null, root);
});
