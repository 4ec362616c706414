import type { JSX, TargetedSubmitEvent } from "preact";
import { useId } from "preact/hooks";
import type { Round } from "../../api/caches";
import { ta } from "../../i18n/admin";
import { formatWhen } from "../../lib/format";
import { FormError } from "../../ui/field";
import { useSending } from "../../ui/send";
import { Section } from "../../ui/sheet";
import * as store from "./caches-store";

/** Asking ahead what people ask most: beginning a round, and how the latest one gets on. */
export function Ahead({ round }: { round: Round | null }): JSX.Element {
  const sending = useSending();
  const id = useId();
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const count = Number(new FormData(event.currentTarget).get("questions"));
    sending.run((signal) => store.warm(count, signal));
  };
  return (
    <Section title={ta.value.ahead} help={ta.value.aheadHelp}>
      <form class="card ahead" onSubmit={submit}>
        <div class="ahead-form">
          <label for={id}>{ta.value.aheadCount}</label>
          <input
            class="input"
            id={id}
            name="questions"
            type="number"
            min={1}
            max={1000}
            defaultValue="20"
            required
          />
          <button
            class="button primary"
            type="submit"
            disabled={sending.busy.value || store.warming.value}
          >
            {ta.value.aheadStart}
          </button>
        </div>
        <FormError error={sending.error.value} />
        {round && <Latest round={round} />}
      </form>
    </Section>
  );
}

function Latest({ round }: { round: Round }): JSX.Element {
  const { running, questions, asked, failed } = round;
  const label = ta.value.aheadRunning(asked, questions);
  const when = formatWhen(round.began_at);
  return (
    <div class="ahead-round">
      <p class="small" role="status">
        {running
          ? label
          : questions === 0
            ? ta.value.aheadNone(when)
            : asked < questions
              ? ta.value.aheadEarly(asked, questions, when)
              : ta.value.aheadDone(questions, when)}
        {failed > 0 && <span class="bad"> {ta.value.aheadFailed(failed)}</span>}
      </p>
      {running && <progress value={asked} max={questions || 1} aria-label={label} />}
    </div>
  );
}
