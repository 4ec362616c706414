import { request, withQuery } from "./client";

const BASE = "/api/v1/caches";

/** One use in one layer; null where the layer cannot say. Times are microseconds. */
export interface CachedIn {
  layer: string;
  hits: number;
  misses: number;
  /** Null before the first read. */
  hit_rate: number | null;
  sets: number;
  evictions: number;
  errors: number;
  /** Reads kept from a layer that does not work. */
  refused: number;
  mean_us: number | null;
  /** Upper bound of 99 in 100 reads. */
  p99_us: number | null;
  entries: number | null;
  bytes: number | null;
}

export interface CacheUse {
  use: string;
  computed: number;
  stampedes_avoided: number;
  refreshed_early: number;
  layers: CachedIn[];
}

export interface CacheLayer {
  name: string;
  answers: boolean;
  /** Breakers that are open. */
  left_out: number;
  /** Null while it does not answer. */
  entries: number | null;
  bytes: number | null;
  evictions: number;
}

/** The latest round of asking ahead. */
export interface Round {
  running: boolean;
  questions: number;
  asked: number;
  failed: number;
  began_at: string;
}

export interface Caches {
  layers: CacheLayer[];
  uses: CacheUse[];
  warming: Round | null;
}

export interface ClearedLayer {
  layer: string;
  entries: number | null;
  bytes: number | null;
  failed: boolean;
}

/** What to clear: empty ones do not count, and a tag goes alone. */
export interface Wanted {
  use: string;
  layer: string;
  tag: string;
}

export function getCaches(signal: AbortSignal) {
  return request<Caches>(BASE, { signal });
}

export function clearCaches({ use, layer, tag }: Wanted, signal: AbortSignal) {
  const path = withQuery(BASE, { use, layer, tag });
  return request<{ cleared: ClearedLayer[] }>(path, { method: "DELETE", signal });
}

export function warmCaches(questions: number, signal: AbortSignal) {
  const options = { method: "POST", json: { questions }, signal } as const;
  return request<{ questions: number }>(`${BASE}/warm`, options);
}
