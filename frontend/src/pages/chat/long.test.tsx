import { options, render } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { json, serve } from "../../api/fake-server";
import type { Citation, Message } from "../../api/types";
import { chooseLanguage } from "../../i18n";
import { Conversation } from ".";
import { Answer } from "./answer";
import { chat } from "./current";
import { loadMarkdown } from "./lazy-markdown";
import { ended, spoken } from "./turn";

/** How often each component is drawn, by its name. */
const drawn = new Map<string, number>();
// Preact's hook before a component is drawn; its tools for debugging use the same one.
const hooks = options as unknown as { __r?: ((vnode: { type: unknown }) => void) | undefined };
const before = hooks.__r;

beforeEach(() => {
  hooks.__r = (vnode) => {
    before?.(vnode);
    if (typeof vnode.type !== "function") return;
    drawn.set(vnode.type.name, (drawn.get(vnode.type.name) ?? 0) + 1);
  };
  globalThis.ResizeObserver ??= class {
    observe(): void {}
    unobserve(): void {}
    disconnect(): void {}
  };
});
afterEach(() => {
  hooks.__r = before;
  vi.unstubAllGlobals();
});

const id = (number: number) => number.toString(16).padStart(32, "0");
const CITATION: Citation = {
  ...{ number: 1, document_id: id(9), document_name: "a.pdf", version_id: 1, chunk_id: 1 },
  ...{ page: 2, start: 0, end: 3, quote: "가나다", available: true },
};

function message(number: number, more: Partial<Message>): Message {
  return {
    ...{ id: id(number), role: "assistant", content: `답 ${number} [1]`, state: "complete" },
    ...{ kind: "generated", model: "m", query: null, created_at: "2026-01-01T00:00:00Z" },
    ...{ stages: { generate: 12 }, citations: [CITATION], parent_id: null },
    ...more,
  } as Message;
}

test("in a conversation of 200 messages a word draws one message, and of that its last block", async () => {
  const messages = Array.from({ length: 100 }, (_, at) => [
    message(1000 + at * 2, { role: "user", content: `질문 ${at}`, kind: null, citations: [] }),
    message(1001 + at * 2, { parent_id: id(1000 + at * 2) }),
  ]).flat();
  const frames: (() => void)[] = [];
  vi.stubGlobal("requestAnimationFrame", (run: () => void) => frames.push(run));
  vi.stubGlobal("cancelAnimationFrame", () => undefined);
  const frame = async () => {
    for (const run of frames.splice(0)) run();
    await new Promise((resolve) => setTimeout(resolve));
  };
  const idle: (() => void)[] = [];
  vi.stubGlobal("requestIdleCallback", (run: () => void) => idle.push(run));
  vi.stubGlobal("cancelIdleCallback", () => undefined);
  await loadMarkdown();
  const encoder = new TextEncoder();
  let wire: ReadableStreamDefaultController<Uint8Array> | undefined;
  let sent = 0;
  const send = (event: string, data: unknown) =>
    wire?.enqueue(
      encoder.encode(`id: ${++sent}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
    );
  serve(json({ id: id(1), title: "제목", messages }), () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        wire = controller;
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  });
  await chat.show(id(1));
  const root = document.createElement("div");
  document.body.append(root);
  render(<Conversation />, root);
  // What is in sight first, the rest when there is time, and the room of it is kept meanwhile.
  expect(root.querySelectorAll("article.answer")).toHaveLength(2);
  expect(root.textContent).toContain("질문 99");
  const room = root.querySelector<HTMLElement>(".chat-content > div");
  expect(room?.style.height).toBe(`${98 * 480}px`);
  const drawnSoFar = async () => {
    for (const run of idle.splice(0)) run();
    await frame();
    expect(root.querySelectorAll("article.answer")).toHaveLength(100);
  };
  await vi.waitFor(drawnSoFar, { timeout: 10_000 });
  expect(root.querySelector(".question")?.textContent).toContain("질문 0");
  expect(idle).toEqual([]);
  drawn.clear();

  chat.ask("새 질문");
  await vi.waitFor(() => expect(wire).toBeDefined());
  const start = { conversation_id: id(1), question_id: id(2), message_id: id(3), title: "제목" };
  send("start", start);
  send("sources", { query: "q", citations: [CITATION] });
  send("delta", { text: "첫 문단 [1].\n\n- 하나\n- 둘\n\n마지막" });
  const answer = chat.turns.value.at(-1)?.answer.value;
  await vi.waitFor(async () => {
    await frame();
    expect(answer?.text.value).toContain("마지막");
  });
  await frame();

  drawn.clear();
  for (let word = 0; word < 50; word++) {
    const had = answer?.text.value.length ?? 0;
    send("delta", { text: " 말" });
    await vi.waitFor(async () => {
      await frame();
      expect(answer?.text.value.length).toBeGreaterThan(had);
    });
  }
  await frame();
  expect(root.querySelectorAll("article.answer")[100]?.textContent).toContain("말 말 말");
  // Of 101 answers one, and none of its chips, sources or earlier blocks.
  expect(drawn.get("AnswerText")).toBe(50);
  expect(drawn.get("Markdown")).toBe(50);
  expect(drawn.get("Block")).toBe(50);
  for (const name of ["Conversation", "TurnView", "Question", "AnswerView", "Meta", "Chip"]) {
    expect([name, drawn.get(name) ?? 0]).toEqual([name, 0]);
  }
  await chat.show(null);
  render(null, root);
  await frame();
  root.remove();
});

test("what is read aloud has no marks, code or numbers of sources", () => {
  expect(
    spoken("# 제목\n\n**굵게** `a` [1, 2]\n- 하나\n\n```py\nx\n```\n[끝](https://a.example)"),
  ).toBe("제목 굵게 a 하나 끝");
});

test.each([
  ["complete", "The answer is complete. words"],
  ["stopped", "Stopped words"],
  ["failed", "No answer could be made. The language model took too long."],
] as const)("of an answer that is %s is said: %s", (state, said) => {
  chooseLanguage("en");
  const error_code = state === "failed" ? "model_timeout" : null;
  expect(ended(Answer.of(message(5, { state, content: "words", error_code })))).toBe(said);
});
