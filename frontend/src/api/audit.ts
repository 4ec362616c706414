import { request, withQuery } from "./client";
import type { Page } from "./types";

const BASE = "/api/v1/audit";

export interface AuditEvent {
  id: number;
  at: string;
  action: string;
  via: string;
  actor_id: string | null;
  actor_name: string;
  object_kind: string;
  object_id: string | null;
  object_name: string | null;
  address: string;
  request_id: string;
  detail: Record<string, unknown>;
}

/** Empty ones do not count. `action` ending with a dot: all that begin so. Times are RFC 3339. */
export interface AuditFilters {
  actor: string;
  action: string;
  q: string;
  since: string;
  until: string;
}

export function listAudit(filters: AuditFilters, cursor: string | undefined, signal: AbortSignal) {
  return request<Page<AuditEvent>>(withQuery(BASE, { ...filters, cursor }), { signal });
}

export function auditExportAddress(filters: AuditFilters, format: "jsonl" | "csv"): string {
  return withQuery(`${BASE}/export`, { format, ...filters });
}
