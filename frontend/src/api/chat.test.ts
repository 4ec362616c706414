import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ask, type ChatEvent, resume } from "./chat";
import { ApiError } from "./client";
import { json, serve, stream } from "./fake-server";

const ID = "0123456789abcdef0123456789abcdef";
const START = { conversation_id: ID, question_id: ID, message_id: ID, title: "t" };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

/** What happened in short, without the waiting. */
async function collect(events: AsyncGenerator<ChatEvent[]>): Promise<string[]> {
  let over = false;
  const seen = read(events).finally(() => {
    over = true;
  });
  seen.catch(() => undefined); // who asked hears of it
  while (!over) await vi.advanceTimersByTimeAsync(1000);
  return seen;
}

async function* each(events: AsyncGenerator<ChatEvent[]>): AsyncGenerator<ChatEvent> {
  for await (const together of events) yield* together;
}

async function read(events: AsyncGenerator<ChatEvent[]>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of each(events)) {
    if (event.type === "delta") seen.push(event.text);
    else if (event.type === "connection") seen.push(event.lost ? "(lost)" : "(back)");
    else seen.push(`<${event.type}>`);
  }
  return seen;
}

const never = () => new AbortController().signal;

test("an answer is followed to its end over a dropped connection, no word twice", async () => {
  const calls = serve(
    stream(
      [
        ["start", START],
        ["delta", { text: "a" }],
      ],
      { cut: true },
    ),
    () => Promise.reject(new TypeError("still offline")),
    // The server replays from what we name; a word that we have all the same is left out.
    stream(
      [
        ["delta", { text: "a" }],
        ["delta", { text: "b" }],
        ["done", { message: {} }],
      ],
      { first: 2 },
    ),
  );
  const seen = await collect(ask({ question: "q", key: "k" }, never()));
  expect(seen).toEqual(["<start>", "a", "(lost)", "(lost)", "(back)", "b", "<done>"]);
  expect(calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "POST /api/v1/chat",
    `GET /api/v1/chat/${ID}/stream`,
    `GET /api/v1/chat/${ID}/stream`,
  ]);
  expect(calls[0]?.body).toEqual({ question: "q", stream: true });
  expect(calls[2]?.headers.get("Last-Event-ID")).toBe("2");
});

test("a stream that ends without an end is a dropped one", async () => {
  serve(stream([["start", START]]), stream([["done", { message: {} }]], { first: 2 }));
  expect(await collect(ask({ question: "q", key: "k" }, never()))).toEqual([
    "<start>",
    "(lost)",
    "(back)",
    "<done>",
  ]);
});

test("a question whose answer never began is not asked twice", async () => {
  const calls = serve(() => Promise.reject(new TypeError("offline")));
  await expect(collect(ask({ question: "q", key: "k" }, never()))).rejects.toMatchObject({
    code: "offline",
  });
  expect(calls).toHaveLength(1);
});

test("what the server refuses is told with its reason", async () => {
  serve(
    json({ code: "busy", detail: "64 questions wait.", retryable: true, request_id: "r1" }, 503),
  );
  const refusal = await collect(ask({ question: "q", key: "k" }, never())).catch((error) => error);
  expect(refusal).toBeInstanceOf(ApiError);
  expect(refusal).toMatchObject({ code: "busy", status: 503, retryable: true, requestId: "r1" });
});

test("an answer that is gone is not asked for again and again", async () => {
  const calls = serve(json({ code: "not_found", detail: "Gone." }, 404));
  await expect(collect(resume(ID, never()))).rejects.toMatchObject({ code: "not_found" });
  expect(calls).toHaveLength(1);
});

test("leaving ends the stream", async () => {
  const leave = new AbortController();
  serve(stream([["start", START]], { cut: true }));
  const events = ask({ question: "q", key: "k" }, leave.signal);
  await events.next();
  leave.abort();
  await expect(events.next()).rejects.toMatchObject({ name: "AbortError" });
});
