import { request } from "./client";
import type { Feedback } from "./types";

const BASE = "/api/v1/messages";

/** What its reader thinks of an answer; null takes it back. */
export function rate(id: string, feedback: Feedback | null, signal: AbortSignal) {
  return request<void>(`${BASE}/${id}/feedback`, { method: "PUT", json: { feedback }, signal });
}

/** Removes a question, its answers and all that was asked after it. */
export function takeBack(id: string, signal: AbortSignal) {
  return request<void>(`${BASE}/${id}`, { method: "DELETE", signal });
}
