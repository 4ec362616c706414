import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, expect, test } from "vitest";
import { ApiError } from "../../api/client";
import { serve } from "../../api/fake-server";
import type { Message } from "../../api/types";
import { chooseLanguage } from "../../i18n";
import { Announcer } from "../../ui/toast";
import { Answer } from "./answer";
import { Turn } from "./store";
import { TurnView } from "./turn";

const root = document.createElement("div");
document.body.append(root);
afterEach(() => render(null, root));

const MESSAGE: Message = {
  ...{ id: "m", role: "assistant", content: "", state: "complete", kind: "generated" },
  ...{ model: "m", query: null, created_at: "2026-01-01T00:00:00Z", stages: null },
  ...{ citations: [], parent_id: "q" },
};

async function show(...answers: Answer[]): Promise<void> {
  const turn = new Turn("질문", answers, "q");
  await act(() =>
    render(
      <>
        <TurnView turn={turn} last />
        <Announcer />
      </>,
      root,
    ),
  );
}

test("each place in the line is said, and then the answer once it is complete", async () => {
  chooseLanguage("en");
  const answer = new Answer();
  await show(answer);
  const said = () => root.querySelector("[aria-live=polite]")?.textContent;
  expect(said()).toMatch(/^Searching/);
  const heard: unknown[] = [];
  for (const position of [3, 1]) {
    await act(() => answer.take({ type: "queue", position }));
    heard.push(said());
    expect(root.querySelector(".progress")?.textContent?.trim()).toBe(said());
  }
  expect(heard[0]).toContain("3");
  expect(heard[1]).not.toBe(heard[0]);
  await act(() => answer.take({ type: "queue", position: 0 }));
  expect(said()).not.toBe(heard[1]);
  await act(() => answer.take({ type: "delta", text: "Two" }));
  expect(said()).not.toContain("Two");
  await act(() => answer.take({ type: "done", message: { ...MESSAGE, content: "Two **days**." } }));
  expect(said()).toMatch(/Two days ?\.$/);
});

test("the buttons between answers keep the keyboard, also where there is no further one", async () => {
  chooseLanguage("en");
  const texts = ["First", "Second", "Third"];
  await show(...texts.map((content, at) => Answer.of({ ...MESSAGE, id: `m${at}`, content })));
  const [previous, next] = [...root.querySelectorAll<HTMLElement>(".pager button")];
  const place = () => root.querySelector(".pager span")?.textContent;
  previous?.focus();
  const places: unknown[] = [];
  for (let at = 0; at < 3; at++) {
    await act(() => previous?.click());
    places.push(place());
    expect(document.activeElement).toBe(previous);
  }
  // A press at the end does nothing.
  expect(places).toEqual(["2/3", "1/3", "1/3"]);
  expect(previous?.getAttribute("aria-disabled")).toBe("true");
  expect(next?.getAttribute("aria-disabled")).toBe("false");
  await act(() => next?.click());
  expect(place()).toBe("2/3");
});

test("asking again leaves the keyboard with the answer", async () => {
  chooseLanguage("en");
  serve(() => new Promise(() => undefined));
  await show(Answer.of({ ...MESSAGE, content: "Two days." }));
  const button = root.querySelector<HTMLElement>("[aria-label='Answer again']");
  button?.focus();
  await act(() => button?.click());
  expect(button?.isConnected).toBe(false);
  expect(document.activeElement).toBe(root.querySelector("article"));
});

test("what failed can be tried again, but not where the server would refuse it again", async () => {
  const offered = async (error: ApiError) => {
    const answer = new Answer();
    answer.fail(error);
    await show(answer);
    return root.querySelector(".failure button") !== null;
  };
  expect(await offered(ApiError.from(new TypeError("offline")))).toBe(true);
  for (const status of [400, 403, 404]) {
    expect(await offered(ApiError.fromProblem({ code: "refused" }, status))).toBe(false);
  }
  for (const status of [429, 500, 503]) {
    expect(await offered(ApiError.fromProblem({ code: "failed" }, status))).toBe(true);
  }
  // Those that come within a stream or were stored.
  expect(await offered(ApiError.fromProblem({ code: "access_revoked", status: 403 }))).toBe(true);
  const stored = Answer.of({ ...MESSAGE, state: "failed", error_code: "interrupted" });
  await show(stored);
  expect(root.querySelector(".failure button")).not.toBeNull();
});
