import { visible, wait } from "../lib/wait";
import { ApiError, open, type Problem, request } from "./client";
import { type Frame, frames } from "./sse";
import type { Citation, Filters, Message } from "./types";

/** A question, in a new conversation or a given one; or the wish for another answer to one. */
export type Question = ({ question: string; conversation_id?: string } | { regenerate: string }) & {
  filters?: Filters;
  /** Its own: sent again with the same one, it is not asked again. */
  key: string;
};

/** What happens while an answer is written. `connection` comes from here, the rest from the server. */
export type ChatEvent =
  | {
      type: "start";
      conversation_id: string;
      question_id: string;
      message_id: string;
      title: string;
    }
  | { type: "queue"; position: number }
  | {
      type: "sources";
      query: string;
      citations: Citation[];
      /** Passages that cannot be found by meaning yet. */
      pending?: number;
      degraded?: { part: string; reason: string }[];
    }
  | { type: "delta"; text: string }
  | { type: "done"; message: Message }
  | { type: "error"; problem: Problem }
  | { type: "connection"; lost: boolean };

// The server says something every 15 s.
const SILENCE_MS = 40_000;
const ATTEMPTS = 7;
const LONGEST_WAIT_MS = 8000;

/** Asks, and follows the answer to its end, over as many connections as it takes. What arrived
 * together comes together: a kept answer is all there at once, and is to be drawn at once. */
export function ask(
  { key, ...question }: Question,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent[]> {
  const first = () =>
    open("/api/v1/chat", {
      method: "POST",
      json: { ...question, stream: true },
      headers: { Accept: "text/event-stream", "Idempotency-Key": `"${key}"` },
      signal,
    });
  return follow(first, undefined, signal);
}

/** A new key for a question. Not `randomUUID`, which only pages from a safe origin have. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
}

/** Follows an answer that is being written, from its beginning. */
export function resume(messageId: string, signal: AbortSignal): AsyncGenerator<ChatEvent[]> {
  return follow(() => reopen(messageId, "", signal), messageId, signal);
}

export function stop(messageId: string, signal: AbortSignal): Promise<void> {
  return request<void>(`/api/v1/chat/${messageId}/stop`, { method: "POST", signal });
}

function reopen(messageId: string, last: string, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (last) headers["Last-Event-ID"] = last;
  return open(`/api/v1/chat/${messageId}/stream`, { headers, signal });
}

async function* follow(
  first: () => Promise<Response>,
  messageId: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent[]> {
  let answer = messageId;
  let last = "";
  let connect = first;
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await connect();
      if (attempt > 0) yield [{ type: "connection", lost: false }];
      if (!response.body) throw new TypeError("The response has no body");
      for await (const arrived of frames(response.body, SILENCE_MS)) {
        attempt = 0;
        const events: ChatEvent[] = [];
        for (const frame of arrived) {
          if (Number(frame.id) <= Number(last || "0")) continue; // seen before it broke
          last = frame.id || last;
          const event = decode(frame);
          if (event?.type === "start") answer = event.message_id;
          if (event) events.push(event);
        }
        if (events.length > 0) yield events;
        if (events.some(({ type }) => type === "done" || type === "error")) return;
      }
      throw new TypeError("The stream ended before the answer did");
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const reason = ApiError.from(error);
      // Without its id an answer cannot be found again: asking once more is the person's decision.
      if (!answer || !reason.retryable || attempt >= ATTEMPTS) throw reason;
      const id = answer;
      connect = () => reopen(id, last, signal);
      yield [{ type: "connection", lost: true }];
      await wait(Math.min(500 * 2 ** attempt, LONGEST_WAIT_MS), signal);
      await visible(signal);
    }
  }
}

const TYPES = new Set(["start", "queue", "sources", "delta", "done", "error"]);

function decode(frame: Frame): ChatEvent | undefined {
  if (!TYPES.has(frame.event)) return undefined; // from a newer server
  const data = JSON.parse(frame.data);
  if (frame.event === "error") return { type: "error", problem: data.problem ?? data };
  return { ...data, type: frame.event } as ChatEvent;
}
