import { render } from "preact";
import { act } from "preact/test-utils";
import { expect, test } from "vitest";
import { maxQuestion } from "../../app/server";
import { chooseLanguage } from "../../i18n";
import { Announcer } from "../../ui/toast";
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

test("that a question is too long is spoken once, and shown at each key", async () => {
  chooseLanguage("en");
  const root = document.createElement("div");
  document.body.append(root);
  await act(() => {
    render([<Composer />, <Announcer />], root);
  });
  const spoken = () => root.querySelector("[aria-live]")?.textContent;
  const hint = () => root.querySelector(".composer-hint")?.textContent;
  const type = (more: number) =>
    act(() => {
      draft.value = "a".repeat(maxQuestion.peek() + more);
    });
  await type(2);
  expect([spoken(), hint()]).toEqual(Array(2).fill("2 characters too long"));
  await type(3);
  expect([spoken(), hint()]).toEqual(["2 characters too long", "3 characters too long"]);
  await type(0);
  expect(hint()).toContain("Enter");
  // Nothing of it is left in the field's description.
  expect(root.querySelector("textarea")?.getAttribute("aria-describedby")).toBeNull();
  expect(spoken()).toBe("");
  await type(2);
  expect(spoken()).toBe("2 characters too long");
  draft.value = "";
  render(null, root);
});
