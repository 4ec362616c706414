import type { JSX } from "preact";
import { useCallback, useEffect, useRef } from "preact/hooks";
import { explain, t } from "../../i18n";
import { formatWhen } from "../../lib/format";
import { copy } from "../../ui/clipboard";
import { Icon } from "../../ui/icon";
import { Step } from "../../ui/step";
import { announce, toastError } from "../../ui/toast";
import { type Answer, canRetry, isRevoked } from "./answer";
import { chat, opened } from "./current";
import { LazyMarkdown, loadMarkdown } from "./lazy-markdown";
import { Question } from "./question";
import { Chip, Sources } from "./sources";
import { Stages } from "./stages";
import type { Turn } from "./store";

/** A question and its answer. */
export function TurnView({ turn, last }: { turn: Turn; last: boolean }): JSX.Element {
  const answer = turn.answer.value;
  return (
    <section class="turn">
      <Question turn={turn} />
      {answer && <AnswerView turn={turn} answer={answer} last={last} />}
    </section>
  );
}

function AnswerView({ turn, answer, last }: { turn: Turn; answer: Answer; last: boolean }) {
  useEffect(() => {
    // Before its first word is here.
    loadMarkdown();
  }, []);
  const live = answer.live.value;
  // Another answer is drawn anew, but for the buttons that lead to it: they keep the keyboard.
  const key = turn.shown.value;
  return (
    <article class="answer" tabIndex={-1} aria-busy={live} aria-label={t.value.answer}>
      <Spoken key={`spoken-${key}`} answer={answer} />
      <AnswerText key={`text-${key}`} answer={answer} />
      <Progress answer={answer} />
      {answer.phase.value === "failed" && <Failure turn={turn} answer={answer} last={last} />}
      {/* Below text that grows they would move with each line. */}
      {!live && (
        <Sources
          key={`sources-${key}`}
          citations={answer.citations.value}
          nearest={answer.kind.value === "not_found"}
          open={open}
        />
      )}
      {!live && answer.text.value && <Meta turn={turn} answer={answer} last={last} />}
    </article>
  );
}

function open(citation: NonNullable<typeof opened.value>): void {
  opened.value = citation;
}

/** Asks again; the button goes, and leaves the keyboard with the answer. */
function again(button: HTMLElement, turn: Turn): void {
  button.closest("article")?.focus({ preventScroll: true });
  chat.again(turn);
}

function AnswerText({ answer }: { answer: Answer }): JSX.Element | null {
  const cited = answer.citations.value;
  // The same as long as the sources are: blocks that are finished are then left alone.
  const citation = useCallback(
    (number: number) => {
      const found = cited.find((each) => each.number === number);
      return found && <Chip citation={found} open={open} />;
    },
    [cited],
  );
  if (!answer.text.value) return null;
  return <LazyMarkdown source={answer.text.value} citation={citation} />;
}

/** What is happening until the answer is complete. */
function Progress({ answer }: { answer: Answer }): JSX.Element | null {
  if (!answer.live.value) return null;
  let text = t.value.writing;
  if (answer.lost.value) text = t.value.reconnecting;
  else if (answer.phase.value === "searching") text = t.value.searching;
  else if (answer.phase.value === "queued") text = t.value.queued(answer.position.value);
  else if (answer.text.value) text = "";
  return (
    <p class={text ? "progress" : "progress quiet"}>
      <span class="pulse" /> {text}
    </p>
  );
}

function Failure({ turn, answer, last }: { turn: Turn; answer: Answer; last: boolean }) {
  const error = answer.error.value;
  return (
    <div class="failure" role="alert">
      <Icon name="warning" />
      <div>
        <p>{error && isRevoked(error) ? t.value.accessLost : t.value.failed}</p>
        {error && <p class="muted">{explain(error)}</p>}
        {error?.requestId && <p class="small">{t.value.requestId(error.requestId)}</p>}
      </div>
      {last && (!error || canRetry(error)) && (
        <button class="button" type="button" onClick={(event) => again(event.currentTarget, turn)}>
          <Icon name="again" /> {t.value.retry}
        </button>
      )}
    </div>
  );
}

function Meta({ turn, answer, last }: { turn: Turn; answer: Answer; last: boolean }): JSX.Element {
  const fallback = answer.fallback.value;
  return (
    <footer class="meta">
      {fallback && <p class="small">{t.value.instead(explain({ code: fallback, detail: "" }))}</p>}
      <Badge answer={answer} />
      <Cached turn={turn} answer={answer} last={last} />
      {answer.phase.value === "stopped" && <span class="badge">{t.value.stopped}</span>}
      <span class="meta-actions">
        <Pager turn={turn} />
        <button
          class="icon-button"
          type="button"
          title={t.value.copyAnswer}
          aria-label={t.value.copyAnswer}
          onClick={() => copy(answer.text.peek())}
        >
          <Icon name="copy" />
        </button>
        {last && (
          <button
            class="icon-button"
            type="button"
            title={t.value.regenerate}
            aria-label={t.value.regenerate}
            onClick={(event) => again(event.currentTarget, turn)}
          >
            <Icon name="again" />
          </button>
        )}
        <Rating answer={answer} />
        <Stages key={turn.shown.value} stages={answer.stages.value} query={answer.query.value} />
      </span>
    </footer>
  );
}

/** Whether the answer was of use. */
function Rating({ answer }: { answer: Answer }): JSX.Element {
  const said = answer.feedback.value;
  const choices = [
    ["up", "thumbup", t.value.good],
    ["down", "thumbdown", t.value.bad],
  ] as const;
  return (
    <>
      {choices.map(([feedback, icon, label]) => (
        <button
          key={feedback}
          class={said === feedback ? "icon-button said" : "icon-button"}
          type="button"
          title={label}
          aria-label={label}
          aria-pressed={said === feedback}
          onClick={() => answer.rate(feedback).catch(toastError)}
        >
          <Icon name={icon} />
        </button>
      ))}
    </>
  );
}

function Badge({ answer }: { answer: Answer }): JSX.Element | null {
  const kind = answer.kind.value;
  if (!kind) return null;
  const label =
    kind === "generated" ? t.value.kinds.generated(answer.model.value) : t.value.kinds[kind];
  const icon = { generated: "spark", extractive: "quote", not_found: "search" } as const;
  return (
    <span class={`badge ${kind}`} title={t.value.kindHelp[kind]}>
      <Icon name={icon[kind]} /> {label}
    </span>
  );
}

/** Says of an answer that was written for an earlier question how old it is. */
function Cached({ turn, answer, last }: { turn: Turn; answer: Answer; last: boolean }) {
  const at = answer.cachedAt.value;
  if (!at) return null;
  return (
    <span class="badge" title={t.value.cachedHelp}>
      <Icon name="clock" /> {t.value.cached(formatWhen(at))}
      {answer.cachedQuestion.value && <q>{answer.cachedQuestion.value}</q>}
      {last && (
        <button class="link" type="button" onClick={(event) => again(event.currentTarget, turn)}>
          {t.value.askAgain}
        </button>
      )}
    </span>
  );
}

/** Between the answers to one question. */
function Pager({ turn }: { turn: Turn }): JSX.Element | null {
  const count = turn.answers.value.length;
  if (count < 2) return null;
  const { previousAnswer, nextAnswer, answerOf } = t.value;
  const shown = turn.shown.value;
  const show = (number: number) => () => {
    turn.shown.value = number;
  };
  return (
    <span class="pager">
      <Step icon="left" label={previousAnswer} run={shown > 0 ? show(shown - 1) : undefined} />
      <span title={answerOf(shown + 1, count)}>
        {shown + 1}/{count}
      </span>
      <Step icon="right" label={nextAnswer} run={shown < count - 1 ? show(shown + 1) : undefined} />
    </span>
  );
}

/** Tells screen readers what goes on, and the answer once it is complete, not every word of it. */
function Spoken({ answer }: { answer: Answer }): null {
  const wasLive = useRef(answer.live.peek());
  const phase = answer.phase.value;
  const position = answer.position.value;
  useEffect(() => {
    const live = answer.live.peek();
    if (phase === "queued") announce(t.peek().queued(position));
    else if (live && !answer.text.peek()) announce(t.peek().searching);
    else if (!live && wasLive.current) announce(ended(answer));
    wasLive.current = live;
  }, [phase, position]);
  return null;
}

/** How an answer that is over is told of. */
export function ended(answer: Answer): string {
  const { answerReady, stopped, failed } = t.peek();
  const text = spoken(answer.text.peek());
  const error = answer.error.peek();
  if (answer.phase.peek() === "failed") return error ? `${failed} ${explain(error)}` : failed;
  return `${answer.phase.peek() === "stopped" ? stopped : answerReady} ${text}`.trim();
}

/** Markdown without its marks, code and numbers of sources, none of which are good to listen to. */
export function spoken(markdown: string): string {
  return markdown
    .replace(/```[\s\S]*?(?:```|$)/g, " ")
    .replace(/\[\d[\d,\s]*\]/g, "")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^\s*(?:#{1,6}|[-*>]|\|?[\s:|-]+\|)\s/gm, "")
    .replace(/[*_`|]+/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}
