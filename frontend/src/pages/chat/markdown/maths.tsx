import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { formula } from "./formula";

const loaded = signal<typeof formula | undefined>(undefined);

async function load(): Promise<void> {
  try {
    loaded.value ??= (await import(/* webpackChunkName: "formula" */ "./formula")).formula;
  } catch {
    // The formula stays as it was written; the next one tries again.
  }
}

/** A formula as MathML, which browsers draw and screen readers speak by themselves. */
export function Maths({ tex, display }: { tex: string; display: boolean }): JSX.Element {
  const place = useRef<HTMLSpanElement>(null);
  const make = loaded.value;
  if (!make) load();
  useLayoutEffect(() => {
    const made = make?.(tex, display);
    if (made) place.current?.replaceChildren(made);
  }, [make, tex, display]);
  return (
    <span
      // Another formula is another element: what stands in it is not Preact's to change.
      key={`${make ? 1 : 0}${tex}`}
      class={display ? "maths display" : "maths"}
      // What scrolls must be reachable by keyboard.
      tabIndex={display ? 0 : undefined}
      ref={place}
    >
      <code>{tex}</code>
    </span>
  );
}
