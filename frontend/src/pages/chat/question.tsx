import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { maxQuestion } from "../../app/server";
import { t } from "../../i18n";
import { countCharacters } from "../../lib/text";
import { copy } from "../../ui/clipboard";
import { Icon } from "../../ui/icon";
import { toastError } from "../../ui/toast";
import { sends } from "./composer";
import { chat, edited, editing } from "./current";
import { putBack } from "./drafts";
import type { Turn } from "./store";

/** A question; edited in its place, and asked again. */
export function Question({ turn }: { turn: Turn }): JSX.Element {
  if (editing.value === turn) return <Edit turn={turn} />;
  return (
    <div class="asked">
      <div class="question">
        <h2 class="hidden">{t.value.you}</h2>
        <p>{turn.question}</p>
      </div>
      <div class="asked-actions">
        <button
          class="icon-button"
          type="button"
          title={t.value.copy}
          aria-label={t.value.copy}
          onClick={() => copy(turn.question)}
        >
          <Icon name="copy" />
        </button>
        {turn.known.value && (
          <button
            class="icon-button"
            type="button"
            title={t.value.edit}
            aria-label={t.value.edit}
            onClick={() => {
              editing.value = turn;
            }}
          >
            <Icon name="pencil" />
          </button>
        )}
      </div>
    </div>
  );
}

function Edit({ turn }: { turn: Turn }): JSX.Element {
  const field = useRef<HTMLTextAreaElement>(null);
  const text = edited.value.trim();
  const over = countCharacters(text) - maxQuestion.value;
  const wrong = !text || over > 0 || chat.sending.value;
  const turns = chat.turns.value;
  const drops = t.value.editDrops(turns.length - 1 - turns.indexOf(turn));
  useEffect(() => {
    field.current?.focus();
    field.current?.setSelectionRange(edited.peek().length, edited.peek().length);
    return () => document.querySelector<HTMLElement>(".composer textarea")?.focus();
  }, []);
  const close = () => {
    editing.value = null;
  };
  const submit = () => {
    if (wrong) return;
    close();
    chat.edit(turn, text).catch((error) => {
      putBack(text, chat.id.peek());
      toastError(error);
    });
  };
  return (
    <form
      class="edit"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <h2 class="hidden">{t.value.you}</h2>
      <textarea
        ref={field}
        class="input"
        rows={Math.min(10, turn.question.split("\n").length + 1)}
        value={edited.value}
        aria-label={t.value.editLabel}
        onInput={(event) => {
          edited.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape" && !event.isComposing) {
            event.preventDefault();
            close();
          }
          if (!sends(event)) return;
          event.preventDefault();
          submit();
        }}
      />
      {over > 0 && <p class="over">{t.value.tooLong(over)}</p>}
      <div class="edit-end">
        <p class="small">{drops}</p>
        <button class="button" type="button" onClick={close}>
          {t.value.cancel}
        </button>
        <button class="button primary" type="submit" disabled={wrong}>
          {t.value.askEdited}
        </button>
      </div>
    </form>
  );
}
