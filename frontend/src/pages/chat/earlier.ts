import { useEffect, useRef, useState } from "preact/hooks";
import type { Turn } from "./store";

/**
 * Long conversations are drawn from their end, which is what is in sight. What is above follows when
 * the browser has nothing else to do, a little at a time: 100 answers at once held up a phone for
 * more than a second.
 */

/** One takes a phone 15 ms, which nobody notices. */
const STEP = 1;
/** In px, what `.turn` is taken for until it was seen (chat.css). */
export const TURN_PX = 480;

/** How many the server has drawn of the first conversation. Those are the ones to begin with, or what
 * is there of one would become another one. */
let served = document.querySelectorAll("#app .turn").length;

/** Index of the first turn to draw; the room of those before it is to be kept. */
export function useFirst(turns: Turn[]): number {
  const [, drawAgain] = useState(0);
  const drawn = useRef<{ top: Turn | undefined; first: number }>({ top: undefined, first: 0 });
  if (drawn.current.top !== turns[0]) {
    // As many as a window shows, most being taller than that.
    const shown = served || Math.max(2, Math.ceil(innerHeight / TURN_PX));
    if (turns.length > 0) served = 0;
    drawn.current = { top: turns[0], first: Math.max(0, turns.length - shown) };
  }
  const { first } = drawn.current;
  useEffect(() => {
    if (first === 0) return;
    return soon(() => {
      drawn.current.first = Math.max(0, first - STEP);
      drawAgain((count) => count + 1);
    });
  }, [turns[0], first]);
  return Math.min(first, turns.length);
}

/** Runs `work` when there is time for it; returns how to call that off. */
function soon(work: () => void): () => void {
  // Safari has no such call.
  if (!("requestIdleCallback" in globalThis)) {
    const timer = setTimeout(work, 30);
    return () => clearTimeout(timer);
  }
  const handle = requestIdleCallback(work, { timeout: 1000 });
  return () => cancelIdleCallback(handle);
}
