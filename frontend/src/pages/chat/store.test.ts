import { effect } from "@preact/signals";
import { expect, test, vi } from "vitest";
import { json, serve, stream } from "../../api/fake-server";
import type { Citation, Message } from "../../api/types";
import * as history from "../../app/sidebar/history";
import { Answer } from "./answer";
import * as markdown from "./lazy-markdown";
import { Chat } from "./store";

const id = (number: number) => number.toString(16).padStart(32, "0");
const CONVERSATION = id(1);
const START = {
  conversation_id: CONVERSATION,
  question_id: id(2),
  message_id: id(3),
  title: "제목",
};
const CITATION: Citation = {
  number: 1,
  document_id: id(9),
  document_name: "a.pdf",
  version_id: 1,
  chunk_id: 1,
  page: 2,
  start: 0,
  end: 3,
  quote: "가나다",
  available: true,
};

const message = (number: number, more: Partial<Message>): Message => ({
  id: id(number),
  role: "assistant",
  content: "",
  state: "complete",
  kind: "extractive",
  model: null,
  query: null,
  created_at: "2026-01-01T00:00:00Z",
  stages: { total: 12 },
  citations: [],
  parent_id: id(2),
  ...more,
});

const done = message(3, { content: "답 [1]", citations: [CITATION] });

test("a first question opens a conversation and ends as the server stored it", async () => {
  const opened: string[] = [];
  const chat = new Chat((conversation) => opened.push(conversation));
  const calls = serve(
    stream([
      ["start", START],
      ["queue", { position: 2 }],
      ["sources", { query: "q", citations: [CITATION] }],
      ["delta", { text: "답 " }],
      ["delta", { text: "[1]" }],
      ["done", { message: done }],
    ]),
  );
  await chat.ask("질문");
  const answer = chat.turns.value[0]?.answer.value;
  expect(answer?.text.value).toBe("답 [1]");
  expect(answer?.phase.value).toBe("complete");
  expect(answer?.kind.value).toBe("extractive");
  expect(answer?.citations.value).toEqual([CITATION]);
  expect(chat.writing.value).toBeUndefined();
  expect(opened).toEqual([CONVERSATION]);

  // The address now names the conversation that is already on the page: nothing is loaded.
  await chat.show(CONVERSATION);
  expect(calls).toHaveLength(1);
});

test("the place in the line is told as it moves, until the turn has come", () => {
  const answer = new Answer();
  const told = [2, 1, 0].map((position) => {
    answer.take({ type: "queue", position });
    return [answer.phase.value, answer.position.value];
  });
  expect(told).toEqual([
    ["queued", 2],
    ["queued", 1],
    ["writing", 0],
  ]);
});

test("a word more changes the text of one answer and nothing else", async () => {
  vi.stubGlobal("requestAnimationFrame", (run: () => void) => setTimeout(run, 0));
  const chat = new Chat();
  serve(
    stream([
      ["start", START],
      ["sources", { query: "q", citations: [CITATION] }],
      ...Array.from({ length: 50 }, (): [string, unknown] => ["delta", { text: "x" }]),
      ["done", { message: message(3, { content: "x".repeat(50), citations: [CITATION] }) }],
    ]),
  );
  let turns = 0;
  let sources = 0;
  const stop = effect(() => {
    turns++;
    chat.turns.value;
  });
  const asked = chat.ask("질문");
  const answer = chat.turns.value[0]?.answer.value;
  const stopSources = effect(() => {
    sources++;
    answer?.citations.value;
  });
  await asked;
  stop();
  stopSources();
  expect(turns).toBe(2); // empty, asked
  expect(sources).toBeLessThanOrEqual(3); // none, found, stored
  vi.unstubAllGlobals();
});

test("a conversation is read with all answers to a question, the newest shown", async () => {
  const chat = new Chat();
  const calls = serve(
    json({
      id: CONVERSATION,
      title: "제목",
      messages: [
        message(2, { role: "user", content: "질문", parent_id: null, kind: null }),
        message(3, { content: "하나" }),
        message(4, { content: "둘" }),
      ],
    }),
    stream([
      ["start", { ...START, message_id: id(5) }],
      ["done", { message: message(5, { content: "셋" }) }],
    ]),
  );
  await chat.show(CONVERSATION);
  const [turn] = chat.turns.value;
  expect(turn?.question).toBe("질문");
  expect(turn?.answer.value?.text.value).toBe("둘");
  // The limit of the next question is not that of an earlier one.
  chat.scope.value = { id: id(9), name: "a.pdf" };
  if (turn) await chat.again(turn);
  expect(calls[1]?.body).toEqual({ regenerate: id(4), stream: true });
  expect(turn?.answers.value.map((answer) => answer.text.value)).toEqual(["하나", "둘", "셋"]);
  expect(turn?.answer.value?.text.value).toBe("셋");
});

test("an answer that was being written is taken up where it is shown again", async () => {
  const chat = new Chat();
  const calls = serve(
    json({
      id: CONVERSATION,
      title: "제목",
      messages: [
        message(2, { role: "user", content: "질문", parent_id: null, kind: null }),
        message(3, { content: "반", state: "streaming", kind: null }),
      ],
    }),
    stream([
      ["start", START],
      ["delta", { text: "전부" }],
      ["done", { message: message(3, { content: "전부" }) }],
    ]),
  );
  await chat.show(CONVERSATION);
  await vi.waitFor(() => expect(chat.writing.value).toBeUndefined());
  expect(calls[1]?.path).toBe(`/api/v1/chat/${id(3)}/stream`);
  expect(chat.turns.value[0]?.answer.value?.text.value).toBe("전부");
});

test("a stream that another process takes up begins anew, no word twice", async () => {
  vi.useFakeTimers();
  const chat = new Chat();
  serve(
    stream(
      [
        ["start", START],
        ["sources", { query: "q", citations: [CITATION] }],
        ["delta", { text: "답의 " }],
      ],
      { cut: true },
    ),
    stream(
      [
        ["start", START],
        ["delta", { text: "답의 끝" }],
      ],
      { first: 1_000_001 },
    ),
    json({ code: "not_found", detail: "Gone." }, 404),
  );
  const asked = chat.ask("질문");
  await vi.advanceTimersByTimeAsync(10_000);
  await asked;
  vi.useRealTimers();
  expect(chat.turns.value[0]?.answer.value?.text.value).toBe("답의 끝");
});

test("a failed question says why and can be asked again", async () => {
  const chat = new Chat();
  const calls = serve(
    json({ code: "engine_unavailable", detail: "Wait.", retryable: true }, 503),
    stream([
      ["start", START],
      ["done", { message: done }],
    ]),
  );
  await chat.ask("질문");
  const [turn] = chat.turns.value;
  expect(turn?.answer.value?.phase.value).toBe("failed");
  expect(turn?.answer.value?.error.value?.code).toBe("engine_unavailable");
  if (turn) await chat.again(turn);
  expect(turn?.answers.value).toHaveLength(1);
  expect(turn?.answer.value?.phase.value).toBe("complete");
  expect(calls[1]?.body).toEqual({ question: "질문", stream: true });
});

test("what broke before it began is sent again with its key, and nothing else is", async () => {
  const chat = new Chat();
  const broken = () => Promise.reject(new TypeError("network error"));
  const whole = stream([
    ["start", START],
    ["done", { message: done }],
  ]);
  const calls = serve(broken, whole, broken, whole, whole);
  await chat.ask("질문");
  const [turn] = chat.turns.value;
  if (!turn) throw new Error("No turn");
  // As it was: with another body the server would take it for another question.
  chat.scope.value = { id: id(9), name: "a.pdf" };
  for (let times = 0; times < 4; times++) await chat.again(turn);
  expect(calls.map(({ body }) => body)).toEqual([
    { question: "질문", stream: true },
    { question: "질문", stream: true },
    { regenerate: id(3), stream: true },
    { regenerate: id(3), stream: true },
    { regenerate: id(3), stream: true },
  ]);
  const [first, again, other, otherAgain, last] = calls.map((call) =>
    call.headers.get("Idempotency-Key"),
  );
  expect(first).toMatch(/^"[0-9a-z-]{8,}"$/);
  expect([again, otherAgain]).toEqual([first, other]);
  expect(new Set([first, other, last]).size).toBe(3);
  expect(chat.turns.value).toHaveLength(1);
});

test("stopping before the answer has an id stops it as soon as it has one", async () => {
  const chat = new Chat();
  const calls = serve(
    async () => {
      await chat.writing.value?.stop();
      return stream([
        ["start", START],
        ["done", { message: message(3, { state: "stopped", content: "반" }) }],
      ])();
    },
    () => new Response(null, { status: 202 }),
  );
  await chat.ask("질문");
  expect(calls[1]?.path).toBe(`/api/v1/chat/${id(3)}/stop`);
  expect(chat.turns.value[0]?.answer.value?.phase.value).toBe("stopped");
});

test("a question asked differently takes what came after it along", async () => {
  const chat = new Chat();
  const calls = serve(
    json({
      id: CONVERSATION,
      title: "제목",
      messages: [
        message(2, { role: "user", content: "하나", parent_id: null, kind: null }),
        message(3, { content: "1" }),
        message(4, { role: "user", content: "둘", parent_id: null, kind: null }),
        message(5, { content: "2", parent_id: id(4) }),
      ],
    }),
    json({ code: "storage_unavailable", retryable: true }, 503),
    () => new Response(null, { status: 204 }),
    stream([
      ["start", { ...START, question_id: id(6), message_id: id(7) }],
      ["done", { message: message(7, { content: "새 답" }) }],
    ]),
    () => new Response(null, { status: 204 }),
    stream([
      ["start", { ...START, question_id: id(8), message_id: id(9) }],
      ["done", { message: message(9, { content: "끝" }) }],
    ]),
  );
  const asked = () => chat.turns.value.map(({ question }) => question);
  await chat.show(CONVERSATION);
  const [first] = chat.turns.value;
  if (!first) throw new Error("no question");
  await expect(chat.edit(first, "바꿈")).rejects.toMatchObject({ code: "storage_unavailable" });
  expect(asked()).toEqual(["하나", "둘"]); // refused: everything is as it was
  await chat.edit(first, "바꿈");
  expect(asked()).toEqual(["바꿈"]);
  expect(chat.turns.value[0]?.answer.value?.text.value).toBe("새 답");
  // What was asked in this visit has its id, too.
  await chat.edit(chat.turns.value[0] ?? first, "또");
  expect(calls.slice(1).map(({ method, path }) => `${method} ${path}`)).toEqual([
    `DELETE /api/v1/messages/${id(2)}`,
    `DELETE /api/v1/messages/${id(2)}`,
    "POST /api/v1/chat",
    `DELETE /api/v1/messages/${id(6)}`,
    "POST /api/v1/chat",
  ]);
  expect(calls[3]?.body).toEqual({ question: "바꿈", conversation_id: CONVERSATION, stream: true });
});

test("a rating is shown at once, said again it is taken back, refused it goes", async () => {
  const answer = Answer.of(done);
  const calls = serve(
    () => new Response(null, { status: 204 }),
    () => new Response(null, { status: 204 }),
    json({ code: "forbidden" }, 403),
  );
  const rated = answer.rate("up");
  expect(answer.feedback.value).toBe("up");
  await rated;
  await answer.rate("up");
  expect(answer.feedback.value).toBeNull();
  await expect(answer.rate("down")).rejects.toMatchObject({ code: "forbidden" });
  expect(answer.feedback.value).toBeNull();
  expect(calls.map(({ body }) => body)).toEqual([
    { feedback: "up" },
    { feedback: null },
    { feedback: "down" },
  ]);
  expect(Answer.of({ ...done, feedback: "down" }).feedback.value).toBe("down");
});

test("a question can be limited to one document", async () => {
  const chat = new Chat();
  chat.scope.value = { id: id(9), name: "a.pdf" };
  const calls = serve(
    stream([
      ["start", START],
      ["done", { message: done }],
    ]),
  );
  await chat.ask("질문");
  expect(calls[0]?.body).toMatchObject({ filters: { documents: [id(9)] } });
});

test("an answer that may no longer be read goes, with all that was kept of others", async () => {
  let lost = 0;
  const chat = new Chat(
    () => undefined,
    () => lost++,
  );
  const first = message(3, { content: "비밀 하나", citations: [CITATION] });
  const calls = serve(
    json({
      id: CONVERSATION,
      title: "제목",
      messages: [message(2, { role: "user", content: "질문", parent_id: null, kind: null }), first],
    }),
    stream([
      ["start", { ...START, question_id: id(4), message_id: id(5) }],
      ["sources", { query: "q", citations: [CITATION] }],
      ["delta", { text: "비밀 둘" }],
      ["error", { problem: { code: "access_revoked", status: 403, detail: "Gone." } }],
    ]),
    json({ user: { id: "u1" }, via: "session", csrf: "t", guest: false, needs_setup: false }),
    json({
      id: CONVERSATION,
      title: "제목",
      messages: [
        message(2, { role: "user", content: "질문", parent_id: null, kind: null }),
        { ...first, content: "", citations: [{ ...CITATION, quote: "", available: false }] },
      ],
    }),
  );
  await chat.show(CONVERSATION);
  await chat.ask("또");
  const answers = chat.turns.value.map((turn) => turn.answer.value);
  expect(answers.map((answer) => answer?.text.value)).toEqual(["", ""]);
  expect(answers[0]?.citations.value[0]?.available).toBe(false);
  expect(answers[1]?.citations.value).toEqual([]);
  expect(answers[1]?.phase.value).toBe("failed");
  expect(answers[1]?.error.value?.code).toBe("access_revoked");
  expect(chat.turns.value.map(({ question }) => question)).toEqual(["질문", "또"]);
  expect(lost).toBe(1);
  expect(calls.slice(2).map(({ path }) => path)).toEqual([
    "/api/v1/session",
    `/api/v1/conversations/${CONVERSATION}`,
  ]);
});

test("where nothing can be read again, nothing is left but why", async () => {
  const chat = new Chat();
  serve(
    json({
      id: CONVERSATION,
      title: "제목",
      messages: [
        message(2, { role: "user", content: "질문", parent_id: null, kind: null }),
        message(3, { content: "비밀" }),
      ],
    }),
    stream([
      ["start", { ...START, question_id: id(4), message_id: id(5) }],
      ["error", { problem: { code: "access_revoked", status: 403 } }],
    ]),
    json({ user: null, via: null, csrf: null, guest: false, needs_setup: false }),
    json({ code: "unauthorized" }, 401),
  );
  await chat.show(CONVERSATION);
  await chat.ask("또");
  expect(chat.turns.value.map(({ question }) => question)).toEqual(["또"]);
});

test("an answer of an earlier time says so, and a new one can be had", async () => {
  const chat = new Chat();
  const cached_at = "2026-01-01T00:00:00Z";
  const calls = serve(
    stream([
      ["start", START],
      [
        "done",
        {
          message: message(3, {
            content: "전에",
            kind: "generated",
            cached_at,
            cached_question: "다른 말로",
          }),
        },
      ],
    ]),
    stream([
      ["start", { ...START, message_id: id(4) }],
      ["done", { message: message(4, { content: "새로", kind: "generated", cached_at: null }) }],
    ]),
  );
  await chat.ask("질문");
  const turn = chat.turns.value[0];
  expect(turn?.answer.value?.cachedAt.value).toBe(cached_at);
  expect(turn?.answer.value?.cachedQuestion.value).toBe("다른 말로");
  if (turn) await chat.again(turn);
  expect(calls[1]?.body).toMatchObject({ regenerate: id(3) });
  expect(turn?.answer.value?.cachedAt.value).toBe("");
  expect(turn?.answer.value?.text.value).toBe("새로");
  vi.unstubAllGlobals();
});

test("a conversation that arrives after it was left changes nothing", async () => {
  const chat = new Chat();
  const read = json({
    id: CONVERSATION,
    title: "A",
    messages: [message(2, { role: "user", content: "질문", parent_id: null, kind: null })],
  });
  const calls = serve(read);
  // What draws answers comes after the conversation itself.
  let draw = () => {};
  vi.spyOn(markdown, "loadMarkdown").mockReturnValue(
    new Promise<void>((resolve) => {
      draw = resolve;
    }) as ReturnType<typeof markdown.loadMarkdown>,
  );
  const shown = chat.show(CONVERSATION);
  await vi.waitFor(() => expect(calls).toHaveLength(1));
  await new Promise((resolve) => setTimeout(resolve));
  await chat.show(null);
  draw();
  await shown;
  vi.restoreAllMocks();
  expect([chat.id.value, chat.title.value, chat.turns.value]).toEqual([null, "", []]);
});

test("a question on its way is not asked again by an edit, a failed one is", async () => {
  const chat = new Chat();
  let answer = (_: Response) => {};
  const calls = serve(
    () => new Promise<Response>((resolve) => (answer = resolve)),
    stream([
      ["start", START],
      ["done", { message: done }],
    ]),
  );
  const asked = chat.ask("질문");
  const [turn] = chat.turns.value;
  if (!turn) throw new Error("no question");
  expect(turn.known.value).toBe(false);
  await chat.edit(turn, "바꿈");
  expect(chat.turns.value).toEqual([turn]);
  answer(Response.json({ code: "forbidden" }, { status: 403 }));
  await asked;
  expect(turn.known.value).toBe(true);
  await chat.edit(turn, "바꿈");
  expect(calls.map(({ method }) => method)).toEqual(["POST", "POST"]);
  expect(chat.turns.value.map(({ question }) => question)).toEqual(["바꿈"]);
});

const question = (number: number, content: string) =>
  message(number, { role: "user", content, parent_id: null, kind: null });
const conversation = (title: string, ...messages: Message[]) =>
  json({ id: CONVERSATION, title, messages });
const asked = (chat: Chat) => chat.turns.value.map((turn) => turn.question);

test("an answer that is lost while another conversation is opened stays out of that one", async () => {
  const chat = new Chat();
  let identify = (_: Response) => {};
  serve(
    conversation("A", question(2, "하나"), message(3, { content: "1" })),
    stream([
      ["start", { ...START, question_id: id(4), message_id: id(5) }],
      ["error", { problem: { code: "access_revoked", status: 403 } }],
    ]),
    () => new Promise<Response>((resolve) => (identify = resolve)),
    json({ id: id(7), title: "B", messages: [question(8, "다른 것")] }),
    json({ id: id(7), title: "B", messages: [question(8, "다른 것")] }),
  );
  await chat.show(CONVERSATION);
  const lost = chat.ask("둘");
  await vi.waitFor(() => expect(asked(chat)).toEqual(["둘"]));
  await chat.show(id(7));
  identify(Response.json({ user: null, via: null, csrf: null, guest: false, needs_setup: false }));
  await lost;
  expect(asked(chat)).toEqual(["다른 것"]);
});

test("nothing is edited while a later question is on its way, and that one ends", async () => {
  const chat = new Chat();
  let answer = (_: Response) => {};
  const calls = serve(
    conversation("A", question(2, "하나"), message(3, { content: "1" })),
    () => new Promise<Response>((resolve) => (answer = resolve)),
    json({ code: "storage_unavailable", retryable: true }, 503),
  );
  await chat.show(CONVERSATION);
  const [first] = chat.turns.value;
  const later = chat.ask("둘");
  if (first) await chat.edit(first, "바꿈");
  expect(calls).toHaveLength(2);
  answer(
    await stream([
      ["start", { ...START, question_id: id(4), message_id: id(5) }],
      ["done", { message: message(5, { content: "2", parent_id: id(4) }) }],
    ])(),
  );
  await later;
  expect(asked(chat)).toEqual(["하나", "둘"]);
  expect(chat.writing.value).toBeUndefined();
  // Once it is known to the server, an edit that fails leaves everything as it was.
  if (first) await expect(chat.edit(first, "바꿈")).rejects.toThrow();
  expect(asked(chat)).toEqual(["하나", "둘"]);
});

test("who comes back sees what was shown, and then what has been changed elsewhere", async () => {
  const chat = new Chat();
  const first = [question(2, "하나"), message(3, { content: "1", citations: [CITATION] })];
  const calls = serve(
    conversation("A", ...first),
    conversation("A", ...first),
    json({ code: "storage_unavailable", retryable: true }, 503),
    conversation("B", ...first, question(4, "둘"), message(5, { content: "2", parent_id: id(4) })),
  );
  await chat.show(CONVERSATION);
  const [turn] = chat.turns.value;
  await chat.show(CONVERSATION);
  expect(calls).toHaveLength(1);
  const back = chat.show(CONVERSATION, true);
  expect(asked(chat)).toEqual(["하나"]);
  await back;
  // Nothing of what is the same is drawn again; what cannot be read now stays.
  expect(chat.turns.value).toEqual([turn]);
  await chat.show(CONVERSATION, true);
  expect(chat.turns.value).toEqual([turn]);
  expect(chat.loading.state.value.error).toBeUndefined();
  await chat.show(CONVERSATION, true);
  expect([chat.title.value, ...asked(chat)]).toEqual(["B", "하나", "둘"]);
  expect(chat.turns.value[0]).toBe(turn);
});

test("who comes back to a conversation that is gone is told so", async () => {
  const chat = new Chat();
  serve(conversation("A", question(2, "하나")), json({ code: "not_found" }, 404));
  await chat.show(CONVERSATION);
  await chat.show(CONVERSATION, true);
  expect(chat.loading.state.value.error?.status).toBe(404);
  expect(asked(chat)).toEqual([]);
});

test("coming back leaves alone what is being written and what never arrived", async () => {
  const chat = new Chat();
  let answer = (_: Response) => {};
  const calls = serve(
    conversation("A", question(2, "하나"), message(3, { content: "1" })),
    () => new Promise<Response>((resolve) => (answer = resolve)),
  );
  await chat.show(CONVERSATION);
  const written = chat.ask("둘");
  await chat.show(CONVERSATION, true);
  answer(Response.json({ code: "offline" }, { status: 400 }));
  await written;
  await chat.show(CONVERSATION, true);
  expect(asked(chat)).toEqual(["하나", "둘"]);
  expect(calls).toHaveLength(2);
});

test("a conversation left before the server had its question is in the side bar, or not asked", async () => {
  const unasked = vi.fn();
  const opened = vi.fn();
  const chat = new Chat(opened, undefined, unasked);
  let answer = (_: Response) => {};
  // As a browser does, the request ends with its signal.
  globalThis.fetch = (_, init) =>
    new Promise((resolve, reject) => {
      answer = resolve;
      init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
    });
  history.list.set({ items: [], next_cursor: null });
  const listed = () => history.items.value.map(({ title }) => title);
  const taken = chat.ask("질문");
  // Before the server has said anything.
  expect(listed()).toEqual(["질문"]);
  await chat.show(null);
  answer(await stream([["start", START]], { cut: true })());
  await taken;
  expect(listed()).toEqual(["제목"]);
  // It stays off the page that is looked at by then.
  expect([chat.id.value, chat.turns.value, opened.mock.calls]).toEqual([null, [], []]);
  const refused = chat.ask("둘");
  await chat.show(null);
  answer(Response.json({ code: "engine_unavailable" }, { status: 503 }));
  await refused;
  expect(unasked.mock.calls).toEqual([["둘", null]]);
  expect(listed()).toEqual(["제목"]);
  const denied = chat.ask("셋");
  answer(await stream([["error", { code: "engine_unavailable" }]])());
  await denied;
  expect(listed()).toEqual(["제목"]);
});
