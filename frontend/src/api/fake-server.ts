/** For tests: a fetch whose answers are scripted, one after another. */

export interface Call {
  method: string;
  path: string;
  headers: Headers;
  body: unknown;
}

type Answer = () => Response | Promise<Response>;

/** Replaces `fetch`; returns the calls made so far. More calls than answers are an error. */
export function serve(...answers: Answer[]): Call[] {
  const calls: Call[] = [];
  globalThis.fetch = async (input, init = {}) => {
    calls.push({
      method: init.method ?? "GET",
      path: String(input),
      headers: new Headers(init.headers),
      body: init.body ? JSON.parse(String(init.body)) : undefined,
    });
    const next = answers.shift();
    if (!next) throw new Error(`Unexpected request: ${init.method} ${input}`);
    return next();
  };
  return calls;
}

export const json =
  (body: unknown, status = 200): Answer =>
  () =>
    Response.json(body, { status });

type Event = [name: string, data: unknown];

/** An event stream, numbered from `first`; `cut` breaks the connection after the last event. */
export const stream =
  (events: Event[], { first = 1, cut = false } = {}): Answer =>
  () => {
    const text = events
      .map(
        ([name, data], at) =>
          `id: ${first + at}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`,
      )
      .join("");
    const body = new ReadableStream({
      start(controller) {
        if (text) controller.enqueue(new TextEncoder().encode(text));
        if (!cut) controller.close();
      },
      pull(controller) {
        // Only once everything before has been read: an error discards what is queued.
        if (cut) controller.error(new TypeError("network error"));
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  };
