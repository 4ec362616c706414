import { useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { menuOpen } from "../../app/menu";
import { maxQuestion } from "../../app/server";
import { t } from "../../i18n";
import { countCharacters } from "../../lib/text";
import { Icon } from "../../ui/icon";
import { narrow, touch } from "../../ui/media";
import { announce, toastError } from "../../ui/toast";
import { pointed } from "./card";
import { chat, editing, keep, opened } from "./current";
import { draft } from "./drafts";
import { loadMarkdown } from "./lazy-markdown";

type Press = Pick<
  KeyboardEvent,
  "key" | "shiftKey" | "ctrlKey" | "metaKey" | "isComposing" | "keyCode"
>;

/** Enter sends, but by touch, where only it begins a new line, with Ctrl or Cmd; and never the Enter
 * that ends the composition of a Korean syllable. In Safari that one comes after the composition,
 * with the key code 229 of one that an input method handles. */
export function sends(event: Press): boolean {
  if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return false;
  return event.ctrlKey || event.metaKey || !(event.shiftKey || touch.peek());
}

/** Windows, menus and cards. */
const OVER = "dialog[open], :popover-open";

export function Composer(): JSX.Element {
  const field = useRef<HTMLTextAreaElement>(null);
  const writing = chat.writing.value;
  const text = draft.value.trim();
  const over = countCharacters(text) - maxQuestion.value;
  const scope = chat.scope.value;

  useSignalEffect(() => {
    draft.value;
    grow(field.current);
  });
  useEffect(() => {
    // Who types elsewhere goes on there: on a slow machine, a question field that comes then would
    // get the rest of what is being searched for.
    const elsewhere = document.activeElement?.matches("input");
    if (!narrow.peek() && !elsewhere) field.current?.focus({ preventScroll: true });
  }, [chat.id.value]);
  // Once, and not at each key; how much too long it is by then is told with the field.
  useEffect(() => {
    if (over <= 0) return;
    announce(t.peek().tooLong(over));
    return () => announce("");
  }, [over > 0]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const now = chat.writing.peek();
      if (!now || event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
      if (event.target !== field.current && isTaken(event.target)) return;
      event.preventDefault(); // what is open beside it stays open
      now.stop().catch(toastError);
    };
    // Before the window is told of it, and with it what is open beside the conversation.
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);

  const submit = () => {
    if (!text || over > 0 || writing) return;
    draft.value = "";
    chat.ask(text);
    keep();
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <div class="composer-box">
        {scope && (
          <p class="scope">
            <Icon name="scope" />
            <span>{t.value.onlyIn(scope.name || "…")}</span>
            <button
              type="button"
              aria-label={t.value.removeScope}
              title={t.value.removeScope}
              onClick={() => {
                chat.scope.value = null;
              }}
            >
              <Icon name="close" />
            </button>
          </p>
        )}
        <textarea
          ref={field}
          rows={1}
          value={draft.value}
          placeholder={
            chat.turns.value.length > 0 ? t.value.followUpPlaceholder : t.value.placeholder
          }
          aria-label={t.value.placeholder}
          aria-describedby={over > 0 ? "composer-hint" : undefined}
          enterkeyhint={touch.value ? "enter" : "send"}
          onInput={(event) => {
            draft.value = event.currentTarget.value;
            loadMarkdown();
          }}
          onKeyDown={(event) => {
            if (event.key === "ArrowUp" && !draft.peek()) {
              event.preventDefault();
              const last = chat.turns.peek().at(-1);
              if (last?.known.peek()) editing.value = last;
            }
            if (!sends(event)) return;
            event.preventDefault();
            submit();
          }}
        />
        {writing ? (
          <button
            class="send"
            type="button"
            aria-label={t.value.stop}
            title={t.value.stop}
            onClick={() => writing.stop().catch(toastError)}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button
            class="send"
            type="submit"
            aria-label={t.value.send}
            title={t.value.send}
            // Not `disabled`: the same element was "Stop", and would lose the keyboard.
            aria-disabled={!text || over > 0}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
      <p class={over > 0 ? "composer-hint over" : "composer-hint"} id="composer-hint">
        {over > 0 ? t.value.tooLong(over) : t.value.composerHint}
      </p>
    </form>
  );
}

/** Whether Escape does something else: closes what is open, or empties the field it is pressed in. */
function isTaken(target: EventTarget | null): boolean {
  const open = opened.peek() || pointed.peek() || menuOpen.peek();
  return !!open || target instanceof HTMLInputElement || !!document.querySelector(OVER);
}

/** As tall as what is in it; the style sheet sets the most. */
function grow(field: HTMLTextAreaElement | null): void {
  if (!field) return;
  // After Preact has written the new value.
  requestAnimationFrame(() => {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  });
}
