import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { explain, t } from "../../i18n";
import { formatWhen } from "../../lib/format";
import { copy } from "../../ui/clipboard";
import { Icon } from "../../ui/icon";
import { announce } from "../../ui/toast";
import { type Answer, isRevoked } from "./answer";
import { chat, opened } from "./current";
import { LazyMarkdown } from "./lazy-markdown";
import { Chip, Sources } from "./sources";
import { Stages } from "./stages";
import type { Turn } from "./store";

/** A question and its answer. */
export function TurnView({ turn, last }: { turn: Turn; last: boolean }): JSX.Element {
  const answer = turn.answer.value;
  return (
    <section class="turn">
      <div class="question">
        <h2 class="hidden">{t.value.you}</h2>
        <p>{turn.question}</p>
      </div>
      {answer && <AnswerView key={turn.shown.value} turn={turn} answer={answer} last={last} />}
    </section>
  );
}

function AnswerView({ turn, answer, last }: { turn: Turn; answer: Answer; last: boolean }) {
  useSpoken(answer);
  const live = answer.live.value;
  return (
    <article class="answer" aria-busy={live} aria-label={t.value.answer}>
      <AnswerText answer={answer} />
      <Progress answer={answer} />
      {answer.phase.value === "failed" && <Failure turn={turn} answer={answer} last={last} />}
      <Sources
        citations={answer.citations.value}
        nearest={answer.kind.value === "not_found"}
        open={open}
      />
      {!live && answer.text.value && <Meta turn={turn} answer={answer} last={last} />}
    </article>
  );
}

function open(citation: NonNullable<typeof opened.value>): void {
  opened.value = citation;
}

function AnswerText({ answer }: { answer: Answer }): JSX.Element | null {
  const cited = answer.citations.value;
  if (!answer.text.value) return null;
  return (
    <LazyMarkdown
      source={answer.text.value}
      citation={(number) => {
        const found = cited.find((citation) => citation.number === number);
        return found && <Chip citation={found} open={open} />;
      }}
    />
  );
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
      {last && (
        <button class="button" type="button" onClick={() => chat.again(turn)}>
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
            onClick={() => chat.again(turn)}
          >
            <Icon name="again" />
          </button>
        )}
        <Stages stages={answer.stages.value} query={answer.query.value} />
      </span>
    </footer>
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
        <button class="link" type="button" onClick={() => chat.again(turn)}>
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
  const go = (step: number) => {
    turn.shown.value += step;
  };
  return (
    <span class="pager">
      <button
        class="icon-button"
        type="button"
        aria-label={t.value.previousAnswer}
        disabled={turn.shown.value === 0}
        onClick={() => go(-1)}
      >
        <Icon name="left" />
      </button>
      <span title={t.value.answerOf(turn.shown.value + 1, count)}>
        {turn.shown.value + 1}/{count}
      </span>
      <button
        class="icon-button"
        type="button"
        aria-label={t.value.nextAnswer}
        disabled={turn.shown.value === count - 1}
        onClick={() => go(1)}
      >
        <Icon name="right" />
      </button>
    </span>
  );
}

/** Tells screen readers the answer once, when it is complete, instead of every word of it. */
function useSpoken(answer: Answer): void {
  const wasLive = useRef(answer.live.peek());
  const live = answer.live.value;
  useEffect(() => {
    if (live) announce(t.peek().searching);
    else if (wasLive.current && answer.text.peek())
      announce(`${t.peek().answerReady} ${answer.text.peek()}`);
    wasLive.current = live;
  }, [live]);
}
