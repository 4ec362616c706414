import { computed, signal } from "@preact/signals";
import * as api from "../../api/caches";
import { follow } from "../../lib/follow";
import { Resource } from "../../lib/resource";

/** The page of caches: its numbers, and what clearing has come to. */

export const caches = new Resource<api.Caches>();
export const warming = computed(() => caches.data?.warming?.running ?? false);

export interface Result {
  tag: string;
  layers: api.ClearedLayer[];
}

export const result = signal<Result | undefined>(undefined);

const QUIET_MS = 5000;
const BUSY_MS = 1000;

const load = () => caches.load(api.getCaches);

/** Keeps the numbers fresh while they are seen; returns how to end that. */
export function followCaches(): () => void {
  return follow(load, () => (warming.peek() ? BUSY_MS : QUIET_MS));
}

export async function clear(wanted: api.Wanted, signal: AbortSignal): Promise<void> {
  const { cleared } = await api.clearCaches(wanted, signal);
  result.value = { tag: wanted.tag, layers: cleared };
  load();
}

export async function warm(questions: number, signal: AbortSignal): Promise<void> {
  await api.warmCaches(questions, signal);
  await load();
}

export interface LayerTotals {
  hits: number;
  reads: number;
  /** Null before the first read. */
  rate: number | null;
  errors: number;
}

/** How well a layer works for all uses together. */
export function totalsOf(uses: api.CacheUse[], layer: string): LayerTotals {
  const rows = uses.flatMap(({ layers }) => layers.filter((one) => one.layer === layer));
  const sum = (number: (row: api.CachedIn) => number) =>
    rows.reduce((so, row) => so + number(row), 0);
  const hits = sum((row) => row.hits);
  const reads = hits + sum((row) => row.misses);
  return {
    hits,
    reads,
    rate: reads > 0 ? hits / reads : null,
    errors: sum((row) => row.errors + row.refused),
  };
}
