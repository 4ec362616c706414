import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { Modal } from "./modal";

interface Ask {
  title: string;
  body?: string;
  action: string;
  danger?: boolean;
  /** With a field, the dialog asks for a text instead of a yes. */
  field?: { label: string; value: string; type?: "text" | "url" | "password"; help?: string };
}

interface Open extends Ask {
  answer: (value: string | null) => void;
}

const current = signal<Open | undefined>(undefined);

/** Asks for a yes. */
export async function confirm(ask: Omit<Ask, "field">): Promise<boolean> {
  return (await show(ask)) !== null;
}

/** Asks for a text; null if the person thinks better of it. */
export function askText(ask: Ask & Required<Pick<Ask, "field">>): Promise<string | null> {
  return show(ask);
}

function show(ask: Ask): Promise<string | null> {
  current.peek()?.answer(null);
  return new Promise((resolve) => {
    current.value = {
      ...ask,
      answer: (value) => {
        current.value = undefined;
        resolve(value);
      },
    };
  });
}

export function DialogHost(): JSX.Element | null {
  return current.value ? <Dialog {...current.value} /> : null;
}

function Dialog({ title, body, action, danger, field, answer }: Open): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.select(), []);
  const submit = (event: Event) => {
    event.preventDefault();
    const given = input.current?.value ?? "";
    const value = !field ? "yes" : field.type === "password" ? given : given.trim();
    if (value) answer(value);
  };
  return (
    <Modal title={title} close={() => answer(null)}>
      <form class="dialog-form" onSubmit={submit}>
        {body && <p class="dialog-body">{body}</p>}
        {field && (
          <label class="dialog-field">
            <span>{field.label}</span>
            <input
              class="input"
              ref={input}
              type={(field.type ?? "text") as "text"}
              defaultValue={field.value}
              autocomplete={field.type === "password" ? "current-password" : "off"}
              required
              maxLength={2000}
              placeholder={field.type === "url" ? "https://" : undefined}
            />
            {field.help && <small>{field.help}</small>}
          </label>
        )}
        <div class="dialog-actions">
          <button class="button" type="button" onClick={() => answer(null)}>
            {t.value.cancel}
          </button>
          <button class={danger ? "button danger" : "button primary"} type="submit">
            {action}
          </button>
        </div>
      </form>
    </Modal>
  );
}
