/** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** Resolves when the page is visible; at once if it is. */
export function visible(signal: AbortSignal): Promise<void> {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const options = { signal: done.signal };
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.hidden) return;
        done.abort();
        resolve();
      },
      options,
    );
    signal.addEventListener(
      "abort",
      () => {
        done.abort();
        reject(signal.reason);
      },
      options,
    );
  });
}

/** Whether `error` only says that somebody aborted. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
