import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ApiError } from "../api/client";
import { isAbort } from "../lib/wait";

export interface Sending {
  busy: Signal<boolean>;
  error: Signal<ApiError | undefined>;
  /** Does it unless it is being done already; true once it has worked. */
  run: (work: (signal: AbortSignal) => Promise<unknown>) => Promise<boolean>;
}

/** What a form needs while it is sent. Ends with the form. */
export function useSending(): Sending {
  const busy = useSignal(false);
  const error = useSignal<ApiError | undefined>(undefined);
  const gone = useMemo(() => new AbortController(), []);
  useEffect(() => () => gone.abort(), []);
  const run = async (work: (signal: AbortSignal) => Promise<unknown>) => {
    if (busy.peek()) return false;
    busy.value = true;
    error.value = undefined;
    try {
      await work(gone.signal);
      return true;
    } catch (reason) {
      if (!isAbort(reason)) error.value = ApiError.from(reason);
      return false;
    } finally {
      busy.value = false;
    }
  };
  return { busy, error, run };
}
