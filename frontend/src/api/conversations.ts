import { readAhead, request, withQuery } from "./client";
import type { Conversation, Message, Page } from "./types";

const BASE = "/api/v1/conversations";

export interface Transcript extends Conversation {
  /** Each question, then its answers in the order written. */
  messages: Message[];
}

export function listConversations(q: string, cursor: string | undefined, signal: AbortSignal) {
  return request<Page<Conversation>>(withQuery(BASE, { q, cursor, limit: 50 }), { signal });
}

export function getConversation(id: string, signal: AbortSignal) {
  return request<Transcript>(`${BASE}/${id}`, { signal });
}

export function readConversationAhead(id: string): void {
  readAhead(`${BASE}/${id}`);
}

export function renameConversation(id: string, title: string, signal: AbortSignal) {
  return request<Conversation>(`${BASE}/${id}`, { method: "PATCH", json: { title }, signal });
}

export function deleteConversation(id: string, signal: AbortSignal) {
  return request<void>(`${BASE}/${id}`, { method: "DELETE", signal });
}

export function exportAddress(id: string, format: "markdown" | "json"): string {
  return withQuery(`${BASE}/${id}/export`, { format });
}
