import { batch, computed, signal } from "@preact/signals";
import { ask as askServer, type ChatEvent, newKey, type Question, resume } from "../../api/chat";
import { ApiError } from "../../api/client";
import { getConversation } from "../../api/conversations";
import { takeBack } from "../../api/messages";
import type { Message } from "../../api/types";
import { loseAccess } from "../../app/session";
import * as history from "../../app/sidebar/history";
import { Resource } from "../../lib/resource";
import { isAbort } from "../../lib/wait";
import { Answer, isRevoked } from "./answer";
import { forgetKeys, keepKey, keyOf } from "./drafts";
import { loadMarkdown } from "./lazy-markdown";

/** A question and the answers to it; more than one once it has been answered again. */
export class Turn {
  readonly answers = signal<Answer[]>([]);
  readonly shown = signal(0);
  readonly answer = computed(() => this.answers.value[this.shown.value]);
  /** Whether it can be edited: before the server has taken it there is nothing to take back. */
  readonly known = computed(() => !this.answer.value?.live.value || !!this.answer.value.id.value);

  constructor(
    readonly question: string,
    answers: Answer[] = [],
    /** The question's, once the server has it. */
    public id = "",
  ) {
    this.answers.value = answers;
    this.shown.value = Math.max(0, answers.length - 1);
  }

  add(answer: Answer): void {
    batch(() => {
      this.answers.value = [...this.answers.value, answer];
      this.shown.value = this.answers.value.length - 1;
    });
  }
}

/** A document to which questions are limited. */
export interface Scope {
  id: string;
  name: string;
}

/** The conversation on the page. */
export class Chat {
  readonly id = signal<string | null>(null);
  readonly title = signal("");
  readonly turns = signal<Turn[]>([]);
  readonly scope = signal<Scope | null>(null);
  readonly loading = new Resource<true>();
  readonly writing = computed(() => {
    const last = this.turns.value.at(-1)?.answer.value;
    return last?.live.value ? last : undefined;
  });

  /** Whether a question is on its way to the server. */
  readonly sending = computed(() => this.turns.value.some((turn) => !turn.known.value));

  // Ends the streams of the conversation that is left; the server goes on writing.
  #leave = new AbortController();

  constructor(
    private readonly onStart: (conversation: string) => void = () => undefined,
    private readonly onLoss: () => void = () => undefined,
    /** Told of a question that the server never took, and of which conversation it was, when it
     * goes from the page. */
    private readonly onUnasked: (question: string, id: string | null) => void = () => undefined,
  ) {}

  /** What is only here: questions that failed before the server had them. */
  get unasked(): string[] {
    return this.turns
      .peek()
      .filter(failedUnasked)
      .map(({ question }) => question);
  }

  /** Shows the conversation `id`, or an empty one; `back`: after something else was looked at. */
  async show(id: string | null, back = false): Promise<void> {
    if (id !== null && id === this.id.peek() && !this.loading.state.peek().error) {
      if (back) await this.#refresh(id);
      return;
    }
    this.#leave.abort();
    this.#leave = new AbortController();
    const here = this.#leave;
    this.loading.abort();
    const left = this.id.peek();
    const unasked = this.unasked.join("\n\n");
    batch(() => {
      this.id.value = id;
      this.title.value = "";
      this.turns.value = [];
      if (id) this.scope.value = null;
      this.loading.set(id ? undefined : true);
    });
    if (unasked) this.onUnasked(unasked, left);
    if (!id) return;
    await this.loading.load(async (signal) => {
      // With what draws the answers: as plain text they would have another height.
      const [{ title, messages }] = await Promise.all([
        getConversation(id, signal),
        loadMarkdown(),
      ]);
      // Perhaps another conversation is on the page by now.
      signal.throwIfAborted();
      batch(() => {
        this.title.value = title;
        this.turns.value = turnsOf(messages);
      });
      return true as const;
    });
    if (here === this.#leave) this.#followAll();
  }

  /** Reads anew, behind what is shown, what may have been changed or deleted elsewhere. */
  async #refresh(id: string): Promise<void> {
    const before = this.turns.peek();
    const { signal } = this.#leave;
    // What is written comes by itself, and what the server never took is only here.
    const busy = () => before.some((turn) => !turn.id || turn.answer.peek()?.live.peek());
    if (!this.loading.state.peek().data || busy()) return;
    try {
      const { title, messages } = await getConversation(id, signal);
      if (signal.aborted || this.turns.peek() !== before || busy()) return;
      batch(() => {
        this.title.value = title;
        this.turns.value = turnsOf(messages).map((turn, at) => {
          const old = before[at];
          return old && shown(old) === shown(turn) ? old : turn;
        });
      });
      this.#followAll();
    } catch (error) {
      // What cannot be read now stays in sight; what is gone does not.
      if (signal.aborted || ApiError.from(error).status !== 404) return;
      this.onLoss();
      this.turns.value = [];
      await this.loading.load(() => Promise.reject(error));
    }
  }

  ask(text: string): Promise<void> {
    const turn = new Turn(text, [new Answer()]);
    this.turns.value = [...this.turns.peek(), turn];
    return this.#begin(turn);
  }

  /** Another answer to the same question, or the first one if the server never took it. */
  again(turn: Turn): Promise<void> {
    const before = turn.answer.peek();
    const id = before?.id.peek();
    if (!id) turn.answers.value = turn.answers.peek().filter((answer) => answer !== before);
    turn.add(new Answer());
    // What broke before it began may have reached the server, which knows it by its key.
    return this.#begin(turn, id ? { regenerate: id, key: newKey() } : before?.request);
  }

  /** Asks `text` instead: the question, its answers and what was asked after it go. */
  async edit(turn: Turn, text: string): Promise<void> {
    const before = this.turns.peek();
    const at = before.indexOf(turn);
    // What is on its way to the server would be asked twice, or be lost.
    if (at < 0 || this.sending.peek()) return;
    // An answer that is being written is one of those that go.
    this.#leave.abort();
    this.#leave = new AbortController();
    const next = new Turn(text, [new Answer()]);
    this.turns.value = [...before.slice(0, at), next];
    const here = this.#leave;
    try {
      if (turn.id) await takeBack(turn.id, here.signal);
    } catch (error) {
      if (here.signal.aborted) return;
      this.turns.value = before;
      this.#followAll();
      throw error;
    }
    if (!here.signal.aborted) await this.#begin(next);
  }

  async #begin(turn: Turn, request?: Question): Promise<void> {
    const answer = turn.answers.peek().at(-1);
    if (!answer) return;
    const id = this.id.peek();
    const scope = this.scope.peek();
    const asked = {
      question: turn.question,
      ...(id && { conversation_id: id }),
      ...(scope && { filters: { documents: [scope.id] } }),
    };
    // The server knows what a question that is asked again was limited to.
    answer.request = request ?? { ...asked, key: keyOf(asked) };
    const unlist = history.begin(id, turn.question);
    const sent = new AbortController();
    // Who leaves before the server has taken the question finds it in the side bar all the same.
    this.#leave.signal.addEventListener("abort", () => {
      if (answer.id.peek()) sent.abort();
    });
    await this.#follow(answer, askServer(answer.request, sent.signal), turn, unlist);
  }

  /** Takes up what is being written. */
  #followAll(): void {
    for (const turn of this.turns.peek()) {
      const answer = turn.answer.peek();
      if (!answer?.live.peek() || !answer.id.peek()) continue;
      answer.rewind();
      this.#follow(answer, resume(answer.id.peek(), this.#leave.signal));
    }
  }

  async #follow(
    answer: Answer,
    events: AsyncGenerator<ChatEvent[]>,
    turn?: Turn,
    unlist = () => {},
  ): Promise<void> {
    const here = this.#leave;
    const id = this.id.peek();
    try {
      for await (const together of events) {
        const start = together.find((event) => event.type === "start");
        if (start && answer.request) forgetKeys(answer.request);
        if (here.signal.aborted) {
          if (start) history.touch(start.conversation_id, start.title);
          return;
        }
        // One drawing of it all.
        batch(() => {
          if (start) unlist();
          for (const event of together) {
            if (event.type === "start") {
              if (turn) this.#isAsked(turn, event.question_id);
              this.#started(event.conversation_id, event.title);
            }
            answer.take(event);
          }
        });
      }
    } catch (error) {
      if (isAbort(error)) return;
      if (turn && !turn.id && answer.request) keepKey(answer.request);
      if (!here.signal.aborted) answer.fail(ApiError.from(error));
      else if (turn && !turn.id) this.onUnasked(turn.question, id);
    } finally {
      unlist();
    }
    const { value: why } = answer.error;
    if (!here.signal.aborted && why && isRevoked(why)) await this.#readAgain(answer);
  }

  /** The server has the question of `turn`: perhaps it had, and has told of it with the others. */
  #isAsked(turn: Turn, id: string): void {
    turn.id = id;
    const before = this.turns.peek();
    const kept = before.filter((one) => one === turn || one.id !== id);
    if (kept.length < before.length) this.turns.value = kept;
  }

  /** Access was lost in the middle of `answer`: what else is shown is read anew, or goes with it. */
  async #readAgain(answer: Answer): Promise<void> {
    this.onLoss();
    const kept = this.turns.peek().filter((turn) => turn.answer.peek() === answer);
    const before = this.turns.peek();
    this.turns.value = kept;
    // Another conversation may be on the page when that is known.
    const id = this.id.peek();
    const { signal } = this.#leave;
    await loseAccess();
    if (!id || signal.aborted) return;
    try {
      const { messages } = await getConversation(id, signal);
      const fresh = turnsOf(messages);
      // By place: the server keeps the questions in the order in which they were asked.
      this.turns.value = before.flatMap((turn, at) =>
        kept.includes(turn) ? [turn] : fresh.slice(at, at + 1),
      );
    } catch {
      // What cannot be read again stays away; the answer itself says why.
    }
  }

  #started(conversation: string, title: string): void {
    const fresh = this.id.peek() !== conversation;
    batch(() => {
      this.id.value = conversation;
      this.title.value = title;
    });
    history.touch(conversation, title);
    if (fresh) this.onStart(conversation);
  }
}

function turnsOf(messages: Message[]): Turn[] {
  const answersTo = (id: string) => messages.filter((message) => message.parent_id === id);
  return messages
    .filter(({ role }) => role === "user")
    .map(({ id, content }) => new Turn(content, answersTo(id).map(Answer.of), id));
}

const failedUnasked = (turn: Turn) => !turn.id && turn.answer.peek()?.phase.peek() === "failed";

/** All that a turn shows, to see whether two show the same. */
function shown({ id, question, answers }: Turn): string {
  const all = answers.peek();
  return JSON.stringify([
    id,
    question,
    all.map((one) => [one.id, one.phase, one.text, one.citations, one.feedback]),
  ]);
}
