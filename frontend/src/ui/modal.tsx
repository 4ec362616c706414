import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { t } from "../i18n";
import "./dialog.css";
import { FormError } from "./field";
import { useLayer } from "./layer";
import type { Sending } from "./send";
import { Announcer } from "./toast";

/** A window over the page. Escape, Back and a press beside it close it; the focus goes back after. */
export function Modal({
  title,
  look,
  firm,
  close,
  children,
}: {
  title: string;
  /** A press beside it does not close it: what it shows is shown once. */
  firm?: boolean;
  /** Of its style, where it is another than that of a question. */
  look?: string;
  close: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  useLayer(true, close);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      class={look ? `dialog ${look}` : "dialog"}
      ref={dialog}
      aria-labelledby={id}
      onCancel={(event) => {
        if (event.target === dialog.current) close();
      }}
      onMouseDown={(event) => {
        if (!firm && event.target === dialog.current) close();
      }}
    >
      <div class="dialog-inside">
        <h2 class="dialog-title" id={id}>
          {title}
        </h2>
        {children}
      </div>
      {/* What is outside of a window is behind it, and not heard. */}
      <Announcer />
    </dialog>
  );
}

/** The end of a form in a window: why it was not taken, a way out, and the `action`. */
export function FormEnd({
  sending,
  close,
  action,
  incomplete,
}: {
  sending: Sending;
  close: () => void;
  action: string;
  incomplete?: boolean;
}): JSX.Element {
  return (
    <>
      <FormError error={sending.error.value} />
      <div class="dialog-actions">
        <button class="button" type="button" onClick={close}>
          {t.value.cancel}
        </button>
        <button class="button primary" type="submit" disabled={sending.busy.value || incomplete}>
          {action}
        </button>
      </div>
    </>
  );
}
