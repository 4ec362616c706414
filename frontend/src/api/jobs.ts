import { request, withQuery } from "./client";
import type { Page } from "./types";

const BASE = "/api/v1/jobs";

export const JOB_STATES = ["running", "failed", "queued"] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface Job {
  id: string;
  state: JobState;
  kind: "index" | "embed";
  document_id: string;
  document: string;
  collection_id: string;
  collection: string;
  owner: string;
  step: string;
  /** Passages; `total` is 0 where it is not known. */
  done: number;
  total: number;
  error_code: string | null;
  error_message: string | null;
  since: string;
  /** When it is tried again after a failure. */
  not_before: string | null;
}

export interface JobPage extends Page<Job> {
  counts: Record<JobState, number>;
}

export function listJobs(
  state: JobState,
  page: { cursor?: string; limit?: number },
  signal: AbortSignal,
) {
  return request<JobPage>(withQuery(BASE, { state, ...page }), { signal });
}

export function retryJob(document: string, signal: AbortSignal) {
  return request<void>(`${BASE}/${document}/retry`, { method: "POST", signal });
}

export function cancelJob(document: string, signal: AbortSignal) {
  return request<void>(`${BASE}/${document}/cancel`, { method: "POST", signal });
}
