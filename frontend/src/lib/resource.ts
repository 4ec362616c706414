import { type ReadonlySignal, signal } from "@preact/signals";
import { ApiError } from "../api/client";
import { isAbort } from "./wait";

/** Data from the server with the state that it is in. Old data stays while new is loaded. */
export interface Loaded<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
}

/** One piece of server data: `load` replaces a load under way, so the last call wins. */
export class Resource<T> {
  readonly #state = signal<Loaded<T>>({ data: undefined, error: undefined, loading: false });
  #running: AbortController | undefined;

  get state(): ReadonlySignal<Loaded<T>> {
    return this.#state;
  }

  get data(): T | undefined {
    return this.#state.value.data;
  }

  /** Changes the data in place, for an optimistic update or a reload elsewhere. */
  set(data: T | undefined): void {
    this.#state.value = { ...this.#state.peek(), data };
  }

  async load(fetcher: (signal: AbortSignal) => Promise<T>, keep = true): Promise<void> {
    this.abort();
    const running = new AbortController();
    this.#running = running;
    const before = keep ? this.#state.peek().data : undefined;
    this.#state.value = { data: before, error: undefined, loading: true };
    try {
      const data = await fetcher(running.signal);
      if (running.signal.aborted) return;
      this.#state.value = { data, error: undefined, loading: false };
    } catch (error) {
      if (running.signal.aborted || isAbort(error)) return;
      this.#state.value = {
        data: this.#state.peek().data,
        error: ApiError.from(error),
        loading: false,
      };
    }
  }

  abort(): void {
    this.#running?.abort();
    this.#running = undefined;
  }
}
