import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import type { ApiError } from "../api/client";
import { explain, t } from "../i18n";
import "./field.css";

interface Props {
  label: string;
  name: string;
  type?: "text" | "email" | "password";
  value?: string;
  help?: string;
  autocomplete?: AutoFill;
  minLength?: number;
  maxLength?: number;
  optional?: boolean;
  focused?: boolean;
  readOnly?: boolean;
}

type AutoFill = "username" | "current-password" | "new-password" | "name" | "email" | "off";

/** A labelled text field; its value is read from the form by its name. */
export function Field(props: Props): JSX.Element {
  const { label, name, type = "text", value = "", help, autocomplete = "off" } = props;
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        class="input"
        id={id}
        name={name}
        type={type as "text"}
        defaultValue={value}
        autocomplete={autocomplete}
        required={!props.optional}
        readOnly={props.readOnly}
        minLength={props.minLength}
        maxLength={props.maxLength ?? 200}
        aria-describedby={help ? `${id}-help` : undefined}
        // After the first paint: a page that opens with a form is there to be filled in.
        ref={(input) => {
          if (props.focused && input && !input.dataset.focused) {
            input.dataset.focused = "yes";
            queueMicrotask(() => input.focus());
          }
        }}
      />
      {help && <small id={`${id}-help`}>{help}</small>}
    </div>
  );
}

/** What a form's fields hold, by name. Passwords are taken as they are, the rest without the ends. */
export function valuesOf(form: HTMLFormElement): (name: string) => string {
  const data = new FormData(form);
  return (name) => {
    const value = String(data.get(name) ?? "");
    const input = form.elements.namedItem(name);
    return input instanceof HTMLInputElement && input.type === "password" ? value : value.trim();
  };
}

/** Why a form was refused. Always there, so that a screen reader hears what comes in. */
export function FormError({ error }: { error: ApiError | undefined }): JSX.Element {
  return (
    <p class="form-error" role="alert">
      {error && explain(error)}
      {error && error.retryAfter > 0 && ` ${t.value.waitSeconds(Math.ceil(error.retryAfter))}`}
    </p>
  );
}

/** A choice among few, as one looks for in a line of a form. */
export function Choice({
  label,
  value,
  onChange,
  children,
  quiet,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  children: ComponentChildren;
  /** The label is said to screen readers only. */
  quiet?: boolean;
}): JSX.Element {
  return (
    <label class="field">
      <span class={quiet ? "hidden" : ""}>{label}</span>
      <select class="input" value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {children}
      </select>
    </label>
  );
}

export function Check({
  label,
  help,
  checked,
  onChange,
}: {
  label: string;
  help?: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
}): JSX.Element {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>
        {label}
        {help && <small>{help}</small>}
      </span>
    </label>
  );
}
