import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import { t } from "../../i18n";
import { Icon } from "../../ui/icon";
import { toastError } from "../../ui/toast";
import { canAdd } from "./collections";
import { add, filesOf } from "./uploads";

/** The whole window takes files while this is on the page. */
export function DropTarget({ children }: { children: ComponentChildren }): JSX.Element {
  const over = useSignal(false);
  useEffect(() => {
    const done = new AbortController();
    const options = { signal: done.signal };
    // Enter and leave also fire for every element that is passed on the way.
    let depth = 0;
    const set = (value: number) => {
      depth = Math.max(0, value);
      over.value = depth > 0;
    };
    const on = (
      name: "dragenter" | "dragleave" | "dragover" | "drop",
      run: (e: DragEvent) => void,
    ) =>
      addEventListener(
        name,
        (event) => {
          if (!event.dataTransfer?.types.includes("Files")) return;
          event.preventDefault(); // or the browser would show the file in place of the page
          if (!canAdd.peek()) return;
          run(event);
        },
        options,
      );
    on("dragenter", () => set(depth + 1));
    on("dragleave", () => set(depth - 1));
    on("dragover", () => undefined);
    on("drop", ({ dataTransfer }) => {
      set(0);
      if (dataTransfer) filesOf(dataTransfer).then(add, toastError);
    });
    return () => done.abort();
  }, []);
  return (
    <>
      {children}
      {over.value && (
        <div class="drop-veil">
          <p>
            <Icon name="upload" /> {t.value.dropHere}
          </p>
        </div>
      )}
    </>
  );
}
