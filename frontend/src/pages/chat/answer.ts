import { batch, computed, signal } from "@preact/signals";
import { type ChatEvent, type Question, stop } from "../../api/chat";
import { ApiError } from "../../api/client";
import { rate } from "../../api/messages";
import type { AnswerKind, Citation, Feedback, Message } from "../../api/types";

/** Where an answer is: before its first word, being written, or over. */
export type Phase = "searching" | "queued" | "writing" | "complete" | "stopped" | "failed";

/** Whether an answer ended because its reader may no longer read what it is made of. */
export const isRevoked = ({ code }: Pick<ApiError, "code">) => code === "access_revoked";

/** Whether asking once more can help. What was lost with an access is asked of what is left. */
export function canRetry(error: ApiError): boolean {
  const refused = error.status >= 400 && error.status < 500 && error.status !== 429;
  return error.retryable || isRevoked(error) || !refused;
}

/** One answer, each part a signal, so that a word more re-renders its text and nothing else. */
export class Answer {
  readonly id = signal("");
  readonly phase = signal<Phase>("searching");
  readonly text = signal("");
  readonly citations = signal<Citation[]>([]);
  readonly position = signal(0);
  readonly lost = signal(false);
  readonly kind = signal<AnswerKind | null>(null);
  readonly model = signal("");
  readonly query = signal("");
  readonly stages = signal<Record<string, number>>({});
  readonly error = signal<ApiError | undefined>(undefined);
  /** When it was written, if that was for an earlier question. */
  readonly cachedAt = signal("");
  readonly cachedQuestion = signal("");
  /** Code of why no model wrote this, where one should have. */
  readonly fallback = signal("");

  /** What its reader thinks of it. */
  readonly feedback = signal<Feedback | null>(null);

  /** What it answers, as it was sent. */
  request?: Question;

  readonly live = computed(() => {
    const phase = this.phase.value;
    return phase === "searching" || phase === "queued" || phase === "writing";
  });

  #pending = "";
  #frame = 0;
  #stopWanted = false;

  static of(message: Message): Answer {
    const answer = new Answer();
    answer.settle(message);
    return answer;
  }

  /** Takes over what the server has stored. */
  settle(message: Message): void {
    this.#forget();
    batch(() => {
      this.id.value = message.id;
      this.text.value = message.content;
      this.citations.value = message.citations;
      this.kind.value = message.kind;
      this.feedback.value = message.feedback ?? null;
      this.model.value = message.model ?? "";
      this.query.value = message.query ?? "";
      this.stages.value = message.stages ?? {};
      this.lost.value = false;
      this.cachedAt.value = message.cached_at ?? "";
      this.cachedQuestion.value = message.cached_question ?? "";
      this.fallback.value = message.state === "complete" ? (message.error_code ?? "") : "";
      this.phase.value = message.state === "streaming" ? "writing" : message.state;
      if (message.state === "failed") {
        const code = message.error_code ?? "internal_error";
        this.error.value ??= new ApiError(code, 0, "", true);
      }
    });
  }

  /** Drops the text that the server had saved: its stream begins with the first word again. */
  rewind(): void {
    this.#forget();
    this.text.value = "";
  }

  fail(error: ApiError): void {
    if (isRevoked(error)) this.#drop();
    else this.#flush();
    batch(() => {
      this.error.value = error;
      this.lost.value = false;
      this.phase.value = "failed";
    });
  }

  take(event: ChatEvent): void {
    switch (event.type) {
      case "start":
        this.id.value = event.message_id;
        // Not the first one: another process of the server took over, and tells it all again.
        this.rewind();
        if (this.#stopWanted) this.stop();
        break;
      case "queue":
        batch(() => {
          this.position.value = event.position;
          this.phase.value = event.position > 0 ? "queued" : "writing";
        });
        break;
      case "sources":
        batch(() => {
          this.citations.value = event.citations;
          this.query.value = event.query;
          this.phase.value = "writing";
        });
        break;
      case "delta":
        this.#append(event.text);
        break;
      case "connection":
        this.lost.value = event.lost;
        break;
      case "done":
        this.settle(event.message);
        break;
      case "error":
        this.fail(ApiError.fromProblem(event.problem));
        break;
    }
  }

  /** Asks the server to stop; the stream then ends with what has been written. */
  async stop(): Promise<void> {
    if (!this.id.peek()) {
      this.#stopWanted = true;
      return;
    }
    await stop(this.id.peek(), AbortSignal.timeout(10_000));
  }

  /** Shown at once; saying it again takes it back, as does a server that refuses it. */
  async rate(said: Feedback): Promise<void> {
    const before = this.feedback.peek();
    const now = before === said ? null : said;
    this.feedback.value = now;
    try {
      await rate(this.id.peek(), now, AbortSignal.timeout(10_000));
    } catch (error) {
      if (this.feedback.peek() === now) this.feedback.value = before;
      throw error;
    }
  }

  /** What may no longer be read is not left standing. */
  #drop(): void {
    this.#forget();
    batch(() => {
      this.text.value = "";
      this.citations.value = [];
      this.query.value = "";
    });
  }

  /** Words arrive faster than a screen can show them: one update a frame is enough, but for the
   * first, which are waited for. */
  #append(text: string): void {
    this.#pending += text;
    if (document.hidden || !this.text.peek()) this.#flush();
    else if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#flush());
  }

  #flush(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (!this.#pending) return;
    const more = this.#pending;
    this.#pending = "";
    batch(() => {
      this.text.value += more;
      this.phase.value = "writing";
    });
  }

  #forget(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#pending = "";
  }
}
