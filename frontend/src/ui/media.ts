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
/** Letters come from a keyboard on the screen, which has no Shift + Enter. */
export const touch = matches("(hover: none) and (pointer: coarse)");
export const stillness = matches("(prefers-reduced-motion: reduce)");
