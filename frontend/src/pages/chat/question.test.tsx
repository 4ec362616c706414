import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, expect, test, vi } from "vitest";
import { ApiError } from "../../api/client";
import { serve } from "../../api/fake-server";
import type { Citation } from "../../api/types";
import { Answer } from "./answer";
import { Composer } from "./composer";
import { chat, editing, opened } from "./current";
import { draft } from "./drafts";
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

test("the question field takes the keyboard, but not from a field in which somebody types", async () => {
  const search = document.createElement("input");
  document.body.append(search);
  search.focus();
  await act(() => render(<Composer />, root));
  expect(document.activeElement).toBe(search);
  await act(() => render(null, root));
  search.remove();
  await act(() => render(<Composer />, root));
  expect(document.activeElement).toBe(root.querySelector("textarea"));
});

test("Escape ends an edit and nothing else, and leaves a syllable being composed alone", async () => {
  const turn = new Turn("질문", [], "q");
  editing.value = turn;
  await act(() => render(<Question turn={turn} />, root));
  press("Escape", { isComposing: true });
  expect(editing.value).toBe(turn);
  expect(press("Escape").defaultPrevented).toBe(true);
  expect(editing.value).toBeNull();
});

test("Escape in the field stops the answer being written, once no syllable is being composed", async () => {
  const beside = vi.fn((event: KeyboardEvent) => event.defaultPrevented);
  addEventListener("keydown", beside);
  const answer = new Answer();
  const ids = { conversation_id: "c", question_id: "q", message_id: "m" };
  answer.take({ type: "start", title: "질문", ...ids });
  const turn = new Turn("질문", [answer], "q");
  chat.turns.value = [turn];
  const calls = serve(() => Promise.resolve(new Response(null, { status: 204 })));
  await act(() => render(<Composer />, root));
  press("Escape", { isComposing: true });
  expect(calls).toEqual([]);
  press("Escape");
  expect(calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "POST /api/v1/chat/m/stop",
  ]);
  // A source that is open beside it stays open; without an answer under way Escape is free again.
  expect(beside).toHaveLastReturnedWith(true);
  await act(() => answer.fail(new ApiError("interrupted", 0, "", true)));
  press("Escape");
  expect(beside).toHaveLastReturnedWith(false);
  expect(calls).toHaveLength(1);
  removeEventListener("keydown", beside);
});

test("Escape stops the answer from anywhere on the page, unless something else takes it", async () => {
  const answer = new Answer();
  answer.id.value = "m";
  chat.turns.value = [new Turn("질문", [answer], "q")];
  const calls = serve(() => Promise.resolve(new Response(null, { status: 204 })));
  await act(() =>
    render(
      <>
        <Composer />
        <input />
        <dialog />
      </>,
      root,
    ),
  );
  const press = (on: Element | null = document.body) =>
    on?.dispatchEvent(
      new KeyboardEvent("keydown", { key: "Escape", bubbles: true, cancelable: true }),
    );
  press(root.querySelector("input"));
  const dialog = root.querySelector("dialog");
  dialog?.setAttribute("open", "");
  press();
  dialog?.removeAttribute("open");
  opened.value = {} as Citation;
  press();
  opened.value = null;
  expect(calls).toEqual([]);
  press();
  expect(calls.map(({ path }) => path)).toEqual(["/api/v1/chat/m/stop"]);
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

test("what a question is being changed to survives a look at another page, not its end", async () => {
  const turn = new Turn("질문", [], "q");
  const field = () => root.querySelector("textarea");
  editing.value = turn;
  await act(() => render(<Question turn={turn} />, root));
  await act(() => {
    const now = field();
    if (now) now.value = "질문 둘";
    now?.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await act(() => render(null, root));
  await act(() => render(<Question turn={turn} />, root));
  expect(field()?.value).toBe("질문 둘");
  await act(() => void press("Escape"));
  await act(() => {
    editing.value = turn;
  });
  expect(field()?.value).toBe("질문");
});

test("what a question could not be changed to is in the question field", async () => {
  const turn = new Turn("질문", [], "q");
  chat.turns.value = [turn];
  editing.value = turn;
  await act(() => render(<Question turn={turn} />, root));
  await act(() => {
    const field = root.querySelector("textarea");
    if (field) field.value = "질문 둘";
    field?.dispatchEvent(new Event("input", { bubbles: true }));
  });
  serve(() => Promise.reject(new TypeError("offline")));
  press("Enter");
  await vi.waitFor(() => expect(draft.value).toBe("질문 둘"));
  expect(chat.turns.value).toEqual([turn]);
  draft.value = "";
});
