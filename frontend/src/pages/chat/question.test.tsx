import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, expect, test } from "vitest";
import { Answer } from "./answer";
import { Composer } from "./composer";
import { chat, editing } from "./current";
import { Question } from "./question";
import { Turn } from "./store";

const root = document.createElement("div");
document.body.append(root);
afterEach(() => {
  render(null, root);
  editing.value = null;
  chat.turns.value = [];
});

function press(key: string, more: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  root.querySelector("textarea")?.dispatchEvent(event);
  return event;
}

test("Escape ends an edit and nothing else, and leaves a syllable being composed alone", async () => {
  const turn = new Turn("질문", [], "q");
  editing.value = turn;
  await act(() => render(<Question turn={turn} />, root));
  press("Escape", { isComposing: true });
  expect(editing.value).toBe(turn);
  expect(press("Escape").defaultPrevented).toBe(true);
  expect(editing.value).toBeNull();
});

test("ArrowUp edits the last question once the server has it", async () => {
  const answer = new Answer();
  const turn = new Turn("질문", [answer]);
  chat.turns.value = [turn];
  await act(() => render(<Composer />, root));
  press("ArrowUp");
  expect(editing.value).toBeNull();
  answer.id.value = "m";
  press("ArrowUp");
  expect(editing.value).toBe(turn);
});
