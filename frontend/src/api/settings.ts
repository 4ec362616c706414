import { request } from "./client";

export type SettingValue = string | number | boolean | null;
export type SettingSource = "default" | "environment" | "dotenv" | "file" | "option";
export type PartStatus = "ready" | "degraded" | "unavailable";

export interface Setting {
  name: string;
  section: string;
  /** Null of a secret one. */
  value: SettingValue;
  default: SettingValue;
  is_set: boolean;
  secret: boolean;
  source: SettingSource;
  help: { en: string; ko: string };
}

export const PARTS = ["database", "engine", "worker", "model"] as const;
export type PartName = (typeof PARTS)[number];

export interface ServerState {
  version: string;
  python: string;
  database: "sqlite" | "postgresql";
  library_revision: number;
  /** Null while the search engine does not answer. */
  index: {
    generation: number;
    passages: number;
    embedded: number;
    embedder: string;
    vector_backend: string;
  } | null;
  parts: Record<PartName, { status: PartStatus; detail: string }>;
}

export function getSettings(signal: AbortSignal) {
  return request<{ items: Setting[]; server: ServerState }>("/api/v1/settings", { signal });
}
