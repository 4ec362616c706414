/** Server-sent events read from a fetch, because EventSource cannot POST.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation */

export interface Frame {
  event: string;
  data: string;
  id: string;
}

/** Feed it text as it arrives, in any pieces; it returns the frames that are complete. */
export class FrameParser {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id = "";

  push(text: string): Frame[] {
    const frames: Frame[] = [];
    // A CR at the very end may be the first half of CRLF: wait for the next piece.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") this.#finish(frames);
      else this.#field(line);
    }
    return frames;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, which is how the server keeps the connection open
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id") this.#id = value;
  }

  #finish(frames: Frame[]): void {
    if (this.#data.length > 0) {
      frames.push({
        event: this.#event || "message",
        data: this.#data.join("\n"),
        id: this.#id,
      });
    }
    this.#event = "";
    this.#data = [];
  }
}

/**
 * Yields the frames of a response's body, those together that arrived together. Throws a TypeError when nothing at all, not even a
 * comment, arrives for `silenceMs`: a connection can die without either side being told.
 */
export async function* frames(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  silenceMs: number,
): AsyncGenerator<Frame[]> {
  const reader = body.getReader();
  const text = new TextDecoder();
  const parser = new FrameParser();
  try {
    for (;;) {
      const { value, done } = await orSilence(reader.read(), silenceMs);
      if (done) return;
      const found = parser.push(text.decode(value, { stream: true }));
      if (found.length > 0) yield found;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function orSilence<T>(read: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TypeError("The stream went silent")), ms);
  });
  try {
    return await Promise.race([read, silence]);
  } finally {
    clearTimeout(timer);
  }
}
