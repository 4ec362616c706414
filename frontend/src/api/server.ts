import { request } from "./client";
import type { Indexing, Info } from "./types";

export const getInfo = (signal: AbortSignal) => request<Info>("/api/v1/info", { signal });

export const getIndexing = (signal: AbortSignal) =>
  request<Indexing>("/api/v1/indexing", { signal });
