import { visible, wait } from "./wait";

/**
 * Does `load` now, and again and again after `pause()` milliseconds for as long as somebody can see
 * the page. Returns how to end that.
 */
export function follow(load: () => Promise<unknown>, pause: () => number): () => void {
  const end = new AbortController();
  const round = async () => {
    for (;;) {
      await visible(end.signal);
      await load();
      await wait(pause(), end.signal);
    }
  };
  round().catch(() => undefined);
  return () => end.abort();
}
