import { signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ApiError } from "../api/client";
import { explain } from "../i18n";
import { isAbort } from "../lib/wait";
import "./toast.css";

interface Toast {
  text: string;
  failed: boolean;
}

const SHOWN_MS = 4000;
const shown = signal<Toast | undefined>(undefined);
const spoken = signal("");
let timer: ReturnType<typeof setTimeout> | undefined;

/** Says something that has happened, for a moment. */
export function toast(text: string, failed = false): void {
  clearTimeout(timer);
  shown.value = { text, failed };
  timer = setTimeout(
    () => {
      shown.value = undefined;
    },
    failed ? SHOWN_MS * 2 : SHOWN_MS,
  );
}

/** Says why something did not work; silent if it was only aborted. */
export function toastError(error: unknown): void {
  if (!isAbort(error)) toast(explain(ApiError.from(error)), true);
}

/** Says something to screen readers only. */
export function announce(text: string): void {
  spoken.value = text;
}

/** Where both are said. Screen readers hear what comes into a region, not what came with it: so it
 * comes empty, also into a window that opens just then. What was spoken before has been heard. */
export function Announcer(): JSX.Element {
  const there = useSignal(false);
  const before = useRef(spoken.peek());
  useEffect(() => {
    there.value = true;
  }, []);
  return (
    <>
      <div class="hidden" aria-live="polite">
        {spoken.value === before.current ? "" : spoken.value}
      </div>
      <div class="toasts" role="status">
        {there.value && shown.value && (
          <p class={shown.value.failed ? "toast failed" : "toast"}>{shown.value.text}</p>
        )}
      </div>
    </>
  );
}
