import { request } from "./client";
import type { Person } from "./people";

/** One's own account. */

const ME = "/api/v1/me";

export interface OwnSession {
  id: string;
  current: boolean;
  created_at: string;
  seen_at: string;
  expires_at: string;
  address: string;
  agent: string;
}

export const SCOPES = ["read", "chat", "write", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

export interface Key {
  id: string;
  name: string;
  /** How its token begins, after `lo_`. */
  hint: string;
  scopes: Scope[];
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
}

export function rename(name: string, signal: AbortSignal) {
  return request<Person>(ME, { method: "PATCH", json: { name }, signal });
}

export function changePassword(current: string, fresh: string, signal: AbortSignal) {
  const json = { current, new: fresh };
  return request<void>(`${ME}/password`, { method: "POST", json, signal });
}

export function listSessions(signal: AbortSignal) {
  return request<{ items: OwnSession[] }>(`${ME}/sessions`, { signal });
}

export function endSession(id: string, signal: AbortSignal) {
  return request<void>(`${ME}/sessions/${id}`, { method: "DELETE", signal });
}

/** Signs out everywhere but here. */
export function endOtherSessions(signal: AbortSignal) {
  return request<{ ended: number }>(`${ME}/sessions`, { method: "DELETE", signal });
}

export function listKeys(signal: AbortSignal) {
  return request<{ items: Key[] }>(`${ME}/keys`, { signal });
}

/** A key and its token, which is told this once. */
export interface MadeKey {
  key: Key;
  token: string;
}

export function makeKey(
  name: string,
  scopes: Scope[],
  expiresAt: string | null,
  signal: AbortSignal,
) {
  const json = { name, scopes, expires_at: expiresAt };
  return request<MadeKey>(`${ME}/keys`, { method: "POST", json, signal });
}

export function revokeKey(id: string, signal: AbortSignal) {
  return request<void>(`${ME}/keys/${id}`, { method: "DELETE", signal });
}
