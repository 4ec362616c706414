import { request } from "./client";
import type { Collection } from "./types";

const BASE = "/api/v1/collections";

/** Who may read a collection besides its owner: ids of people and of groups. */
export interface Readers {
  everyone: boolean;
  users: string[];
  groups: string[];
}

export interface Named {
  id: string;
  name: string;
}

/** Whom a collection can be shared with. */
export interface Directory {
  users: Named[];
  groups: Named[];
}

export function listCollections(signal: AbortSignal) {
  return request<{ items: Collection[] }>(BASE, { signal });
}

export function createCollection(name: string, signal: AbortSignal) {
  return request<Collection>(BASE, { method: "POST", json: { name }, signal });
}

export function renameCollection(id: string, name: string, signal: AbortSignal) {
  return request<Collection>(`${BASE}/${id}`, { method: "PATCH", json: { name }, signal });
}

export function deleteCollection(id: string, signal: AbortSignal) {
  return request<void>(`${BASE}/${id}`, { method: "DELETE", signal });
}

export function getReaders(id: string, signal: AbortSignal) {
  return request<Readers>(`${BASE}/${id}/readers`, { signal });
}

export function setReaders(id: string, readers: Readers, signal: AbortSignal) {
  return request<Readers>(`${BASE}/${id}/readers`, { method: "PUT", json: readers, signal });
}

export function getDirectory(signal: AbortSignal) {
  return request<Directory>("/api/v1/directory", { signal });
}
