import { computed, effect, signal } from "@preact/signals";
import {
  cancelDocument,
  deleteDocument,
  listDocuments,
  reindexDocument,
} from "../../api/documents";
import type { Document, DocumentState } from "../../api/types";
import { indexing, watchIndexing } from "../../app/server";
import { losses } from "../../app/session";
import { Paged, renew } from "../../lib/resource";
import { toastError } from "../../ui/toast";
import * as collections from "./collections";

/** The documents on the library page. */

const MOST = 200; // the server's limit for one page

export const list = new Paged<Document>();

export const name = signal("");
export const wanted = signal<DocumentState | "">("");
export const tag = signal("");
export const filtered = computed(() => !!(name.value.trim() || wanted.value || tag.value));

const never = new AbortController().signal;

function query() {
  return {
    collection: collections.filter.peek(),
    q: name.peek().trim(),
    state: wanted.peek(),
    tag: tag.peek(),
  };
}

// Rows of documents that may no longer be read are not shown until the rest is loaded.
effect(() => {
  if (losses.value > 0) list.set(undefined);
});

// The documents of a collection that was taken away are "not found": all are listed instead, since
// with one collection left there is nothing to choose another by.
const missing = computed(() => list.state.value.error?.status === 404);
effect(() => {
  if (missing.value) collections.load();
});
effect(() => {
  if (!collections.gone.value) return;
  collections.filter.value = "";
  load();
});

/** What the rows shown were asked for with; who is typing has not asked yet. */
let asked = query();

export function load(): Promise<void> {
  return list.load(async (signal) => {
    const wanted = query();
    const page = await listDocuments(wanted, signal);
    asked = wanted;
    return page;
  });
}

export function clearFilters(): void {
  name.value = "";
  wanted.value = "";
  tag.value = "";
  load();
}

export function loadMore(): Promise<void> {
  return list.loadMore((cursor, signal) => listDocuments({ ...asked, cursor }, signal));
}

/** Reads the shown rows again; those beyond the first 200 stay as they were. */
async function refresh(): Promise<void> {
  const before = list.data;
  if (!before || list.state.peek().loading) return;
  const limit = Math.min(MOST, Math.max(50, before.items.length));
  try {
    const now = await listDocuments({ ...asked, limit }, never);
    // Another list is wanted by now, or this one is changed already.
    if (list.data !== before || list.state.peek().loading) return;
    list.set(renew(before, now, limit));
  } catch {
    // The next round tries again; what is shown is only a second old.
  }
}

/** Follows what the server reads for as long as the page is shown; returns how to end that. */
export function follow(): () => void {
  let seen: string | undefined;
  return effect(() => {
    const now = indexing.value;
    if (!now) return;
    const { queued, running, library_revision: revision } = now;
    const pending = [now.pending_words, now.pending_embeddings];
    const mark = JSON.stringify([queued, running, pending, revision]);
    if (seen !== undefined && mark !== seen) refresh();
    seen = mark;
  });
}

export async function remove(id: string): Promise<boolean> {
  const done = await list.remove(id, () => deleteDocument(id, never));
  if (done) watchIndexing();
  return done;
}

export function reindex(id: string): Promise<boolean> {
  return act(() => reindexDocument(id, never));
}

export function cancel(id: string): Promise<boolean> {
  return act(() => cancelDocument(id, never));
}

async function act(send: () => Promise<void>): Promise<boolean> {
  try {
    await send();
    await refresh();
    watchIndexing();
    return true;
  } catch (error) {
    toastError(error);
    return false;
  }
}
