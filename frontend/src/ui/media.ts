import { type ReadonlySignal, signal } from "@preact/signals";

function matches(query: string): ReadonlySignal<boolean> {
  const list = matchMedia(query);
  const state = signal(list.matches);
  list.addEventListener("change", () => {
    state.value = list.matches;
  });
  return state;
}

/** The same widths as in the style sheets: below, the menu is a drawer. */
export const narrow = matches("(max-width: 860px)");
/** Below, a source covers the conversation instead of standing beside it. */
export const compact = matches("(max-width: 1180px)");
export const stillness = matches("(prefers-reduced-motion: reduce)");
