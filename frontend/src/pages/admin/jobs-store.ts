import { computed, signal } from "@preact/signals";
import * as api from "../../api/jobs";
import { follow } from "../../lib/follow";
import { Paged, renew } from "../../lib/resource";

/** Everybody's indexing: what runs, failed and waits. */

export const lists: Record<api.JobState, Paged<api.Job>> = {
  running: new Paged(),
  failed: new Paged(),
  queued: new Paged(),
};
export const counts = signal<Record<api.JobState, number> | undefined>(undefined);

/** Nothing to look at; undefined while that is not known. */
export const done = computed(() => {
  const found = counts.value;
  return found && found.running + found.failed + found.queued === 0;
});

const FIRST = 20;
const MORE = 50;
const MOST = 200; // the server's limit for one page
const BUSY_MS = 2000;
const IDLE_MS = 5000;

const never = new AbortController().signal;

async function read(
  state: api.JobState,
  page: { cursor?: string; limit: number },
  signal: AbortSignal,
): Promise<api.JobPage> {
  const found = await api.listJobs(state, page, signal);
  counts.value = found.counts;
  return found;
}

/** Reads again what is shown. What was loaded beyond one page's limit stays as it was. */
async function refresh(state: api.JobState): Promise<void> {
  const list = lists[state];
  const limit = Math.min(MOST, Math.max(FIRST, list.items.peek().length));
  if (list.state.peek().loading) return;
  await list.load(async (signal) => {
    const now = await read(state, { limit }, signal);
    return renew(list.data, now, limit);
  });
}

const refreshAll = () => Promise.all(api.JOB_STATES.map(refresh));

/** Keeps all of it fresh while it is seen; returns how to end that. */
export function followJobs(): () => void {
  return follow(refreshAll, () => {
    const found = counts.peek();
    return found && found.running + found.queued > 0 ? BUSY_MS : IDLE_MS;
  });
}

export function loadMore(state: api.JobState): Promise<void> {
  return lists[state].loadMore((cursor, signal) => read(state, { cursor, limit: MORE }, signal));
}

/** Reads a document again; true once the server has taken it. */
export function retry({ id, state, document_id: document }: api.Job): Promise<boolean> {
  return act(state, id, () => api.retryJob(document, never));
}

/** Stops reading a document; true once the server has. */
export function cancel({ id, state, document_id: document }: api.Job): Promise<boolean> {
  return act(state, id, () => api.cancelJob(document, never));
}

/** It leaves the list at once, and comes back if the server refuses. */
async function act(state: api.JobState, id: string, send: () => Promise<void>): Promise<boolean> {
  const taken = await lists[state].remove(id, send);
  if (taken) refreshAll();
  return taken;
}
