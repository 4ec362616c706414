import type { Key } from "./account";
import { request } from "./client";
import type { Role } from "./types";

/** What administrators manage: people, invitations, groups. */

const USERS = "/api/v1/users";
const INVITATIONS = "/api/v1/invitations";
const GROUPS = "/api/v1/groups";

export interface Person {
  id: string;
  name: string;
  email: string | null;
  /** Whether an administrator chose the address: nobody else's lets the provider's people in. */
  email_confirmed: boolean;
  role: Role;
  disabled: boolean;
  has_password: boolean;
  created_at: string;
}

export interface Invitation {
  id: string;
  /** Null: whoever has the link. */
  email: string | null;
  role: Role;
  created_by: string | null;
  created_at: string;
  expires_at: string;
}

export interface Group {
  id: string;
  name: string;
  /** Ids of people. */
  members: string[];
}

export function listPeople(signal: AbortSignal) {
  return request<{ items: Person[] }>(USERS, { signal });
}

export type PersonChange = Partial<Pick<Person, "name" | "role" | "disabled">> & { email?: string };

export function changePerson(id: string, change: PersonChange, signal: AbortSignal) {
  return request<Person>(`${USERS}/${id}`, { method: "PATCH", json: change, signal });
}

/** Makes a link that sets a new password. */
export function resetPassword(id: string, signal: AbortSignal) {
  const options = { method: "POST", signal } as const;
  return request<{ link: string; expires_at: string }>(`${USERS}/${id}/reset`, options);
}

export function signOutPerson(id: string, signal: AbortSignal) {
  return request<{ ended: number }>(`${USERS}/${id}/sign-out`, { method: "POST", signal });
}

export function listKeysOf(id: string, signal: AbortSignal) {
  return request<{ items: Key[] }>(`${USERS}/${id}/keys`, { signal });
}

export function revokeKeyOf(id: string, key: string, signal: AbortSignal) {
  return request<void>(`${USERS}/${id}/keys/${key}`, { method: "DELETE", signal });
}

export function listInvitations(signal: AbortSignal) {
  return request<{ items: Invitation[] }>(INVITATIONS, { signal });
}

export function invite(email: string, role: Role, signal: AbortSignal) {
  const json = { role, ...(email && { email }) };
  const options = { method: "POST", json, signal } as const;
  return request<{ invitation: Invitation; link: string }>(INVITATIONS, options);
}

export function withdrawInvitation(id: string, signal: AbortSignal) {
  return request<void>(`${INVITATIONS}/${id}`, { method: "DELETE", signal });
}

export function listGroups(signal: AbortSignal) {
  return request<{ items: Group[] }>(GROUPS, { signal });
}

export function createGroup(name: string, signal: AbortSignal) {
  return request<Group>(GROUPS, { method: "POST", json: { name }, signal });
}

export function changeGroup(
  id: string,
  change: { name?: string; members?: string[] },
  signal: AbortSignal,
) {
  return request<Group>(`${GROUPS}/${id}`, { method: "PATCH", json: change, signal });
}

export function deleteGroup(id: string, signal: AbortSignal) {
  return request<void>(`${GROUPS}/${id}`, { method: "DELETE", signal });
}
