import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { ApiError } from "../api/client";
import type { Page } from "../api/types";
import { toastError } from "../ui/toast";
import { isAbort, wait } from "./wait";

/** Data from the server with the state that it is in. Old data stays while new is loaded. */
export interface Loaded<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
}

type Edit<T> = (data: T) => T;
type Amendment<T> = (data: T | undefined) => T | undefined;
type Fetcher<T> = (signal: AbortSignal) => Promise<T>;

// Two more tries: longer than a restarting engine or a full queue takes, shorter than patience.
const WAITS_MS = [400, 1200];
const LONGEST_ASKED_S = 3;

/** Those whose last load failed for want of a connection, or of a server that had time. */
const waiting = new Set<Resource<unknown>>();
addEventListener("online", () => {
  for (const one of waiting) one.reload();
});

/**
 * One piece of server data: `load` replaces a load under way, so the last call wins. What failed
 * for a passing reason is tried again, a little later and when the connection is back.
 */
export class Resource<T> {
  readonly #state = signal<Loaded<T>>({ data: undefined, error: undefined, loading: false });
  #running: AbortController | undefined;
  #fetcher: Fetcher<T> | undefined;
  /** As the server last had it, without the edits below. */
  #base: T | undefined;
  /** Shown already, not yet confirmed. */
  #edits: Edit<T>[] = [];
  /** Confirmed while a load was under way that may not have seen them. */
  #settled: Amendment<T>[] = [];

  get state(): ReadonlySignal<Loaded<T>> {
    return this.#state;
  }

  get data(): T | undefined {
    return this.#state.value.data;
  }

  /** Until there is something to show: data, or why there is none. */
  settled(): Promise<void> {
    const there = computed(() => {
      const { data, error } = this.#state.value;
      return data !== undefined || error !== undefined;
    });
    return new Promise((resolve) => {
      const end = there.subscribe((is) => {
        if (!is) return;
        resolve();
        queueMicrotask(() => end());
      });
    });
  }

  /** Puts other data in its place, such as what the server answered to a change. */
  set(data: T | undefined): void {
    // A load under way is what ends having nothing.
    if (data === undefined) this.#base = undefined;
    else this.amend(() => data);
    this.#show({ error: undefined });
  }

  /** Changes the data as the server would have it, below what is being changed here. */
  amend(how: Amendment<T>): void {
    this.#base = how(this.#base);
    if (this.#running) this.#settled.push(how);
    this.#show({});
  }

  load(fetcher: Fetcher<T>, keep = true): Promise<void> {
    this.#fetcher = fetcher;
    if (!keep) this.set(undefined);
    return this.run(fetcher, (data) => data);
  }

  /** Does the last load again. */
  reload(): Promise<void> {
    return this.#fetcher ? this.load(this.#fetcher) : Promise.resolve();
  }

  /** Loads, and puts what `join` makes of it and of what is there then in its place. */
  protected async run(
    fetcher: Fetcher<T>,
    join: (data: T, base: T | undefined) => T,
  ): Promise<void> {
    this.abort();
    const running = new AbortController();
    this.#running = running;
    this.#settled = [];
    // An error stays in sight until it is known to be over: a page that is polled does not flicker.
    this.#show({ loading: true });
    try {
      const data = await persistently(fetcher, running.signal);
      if (running.signal.aborted) return;
      this.#running = undefined;
      const seen = this.#settled.reduce<T>((so, edit) => edit(so) ?? so, data);
      this.#base = join(seen, this.#base);
      this.#show({ error: undefined, loading: false });
    } catch (reason) {
      if (running.signal.aborted || isAbort(reason)) return;
      this.#running = undefined;
      const error = ApiError.from(reason);
      if (error.retryable) waiting.add(this as Resource<unknown>);
      this.#show({ error, loading: false });
    }
  }

  /**
   * Shows `edit` at once while `send` tells the server, and takes it back, saying why, if the
   * server refuses: this edit only, whatever else has happened since. True once it has worked.
   */
  async change(edit: Edit<T>, send: () => Promise<unknown>): Promise<boolean> {
    // A function of its own each time, so that the same edit can be under way twice.
    const mine: Edit<T> = (data) => edit(data);
    this.#edits.push(mine);
    this.#show({});
    try {
      await send();
      if (this.#base !== undefined) this.#base = mine(this.#base);
      this.#settled.push((data) => (data === undefined ? data : mine(data)));
      return true;
    } catch (error) {
      toastError(error);
      return false;
    } finally {
      this.#edits = this.#edits.filter((one) => one !== mine);
      this.#show({});
    }
  }

  abort(): void {
    this.#running?.abort();
    this.#running = undefined;
    waiting.delete(this as Resource<unknown>);
  }

  #show(more: Partial<Loaded<T>>): void {
    const base = this.#base;
    const data = base === undefined ? base : this.#edits.reduce<T>((so, edit) => edit(so), base);
    const before = this.#state.peek();
    const after = { ...before, ...more, data };
    // The server had nothing new: nobody need draw anything.
    const same = after.data === before.data && after.error === before.error;
    if (!same || after.loading !== before.loading) this.#state.value = after;
  }
}

/** A list that comes page by page. */
export class Paged<T extends { id: string | number }> extends Resource<Page<T>> {
  readonly items = computed(() => this.data?.items ?? []);
  readonly hasMore = computed(() => !!this.data?.next_cursor);

  async loadMore(fetcher: (cursor: string, signal: AbortSignal) => Promise<Page<T>>) {
    const cursor = this.data?.next_cursor;
    if (!cursor) return;
    await this.run(
      (signal) => fetcher(cursor, signal),
      (more, base) => ({ ...more, items: merge(base?.items ?? [], more.items) }),
    );
  }

  /** Takes one out while the server is told. */
  remove(id: T["id"], send: () => Promise<unknown>): Promise<boolean> {
    const without: Edit<Page<T>> = (page) => ({
      ...page,
      items: page.items.filter((item) => item.id !== id),
    });
    return this.change(without, send);
  }

  /** Changes one while the server is told. */
  update(id: T["id"], change: Partial<T>, send: () => Promise<unknown>): Promise<boolean> {
    const changed: Edit<Page<T>> = (page) => ({
      ...page,
      items: page.items.map((item) => (item.id === id ? { ...item, ...change } : item)),
    });
    return this.change(changed, send);
  }
}

/** `first`, then what of `then` is not in it. */
function merge<T extends { id: unknown }>(first: T[], then: T[]): T[] {
  const known = new Set(first.map(({ id }) => id));
  return [...first, ...then.filter(({ id }) => !known.has(id))];
}

/** `before` with its first `limit` rows as they are `now`. */
export function renew<T extends { id: unknown }, P extends Page<T>>(
  before: Page<T> | undefined,
  now: P,
  limit: number,
): P {
  const rest = before?.items.slice(limit) ?? [];
  if (!before || rest.length === 0) return now;
  return { ...now, items: merge(now.items, rest), next_cursor: before.next_cursor };
}

async function persistently<T>(fetcher: Fetcher<T>, signal: AbortSignal): Promise<T> {
  for (const ms of WAITS_MS) {
    try {
      return await fetcher(signal);
    } catch (reason) {
      if (signal.aborted || isAbort(reason)) throw reason;
      const { retryable, retryAfter } = ApiError.from(reason);
      // Without a connection waiting is of no use: the browser says when it is back.
      if (!retryable || retryAfter > LONGEST_ASKED_S || !navigator.onLine) throw reason;
      // Not all pages at once when a server comes back.
      await wait(Math.max(ms * (0.75 + Math.random() / 2), retryAfter * 1000), signal);
    }
  }
  return fetcher(signal);
}
