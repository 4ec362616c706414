import { computed, signal } from "@preact/signals";
import { deleteConversation, listConversations, renameConversation } from "../../api/conversations";
import type { Conversation, Page } from "../../api/types";
import { Resource } from "../../lib/resource";
import { toastError } from "../../ui/toast";

/** The conversations of the side bar. */

const list = new Resource<Page<Conversation>>();

export const state = list.state;
export const search = signal("");
export const items = computed(() => list.state.value.data?.items ?? []);
export const hasMore = computed(() => !!list.state.value.data?.next_cursor);

// Ours lives as long as the page: a rename goes on when its row is gone.
const never = new AbortController().signal;

export function load(): Promise<void> {
  const wanted = search.peek().trim();
  return list.load((stop) => listConversations(wanted, undefined, stop));
}

export function loadMore(): Promise<void> {
  const before = list.data;
  if (!before?.next_cursor) return Promise.resolve();
  const wanted = search.peek().trim();
  const cursor = before.next_cursor;
  return list.load(async (stop) => {
    const next = await listConversations(wanted, cursor, stop);
    const known = new Set(before.items.map(({ id }) => id));
    const fresh = next.items.filter(({ id }) => !known.has(id));
    return { items: [...before.items, ...fresh], next_cursor: next.next_cursor };
  });
}

/** Puts a conversation on top: it has just been used. */
export function touch(id: string, title: string): void {
  const data = list.data ?? { items: [], next_cursor: null };
  const known = data.items.find((item) => item.id === id);
  if (!known && search.peek().trim()) return;
  const now = new Date().toISOString();
  const used = {
    created_at: now,
    ...known,
    id,
    title: title || known?.title || "",
    updated_at: now,
  };
  list.set({ ...data, items: [used, ...data.items.filter((item) => item.id !== id)] });
}

/** Shown at once, and taken back if the server refuses. */
export async function rename(id: string, title: string): Promise<boolean> {
  return change(
    (all) => all.map((item) => (item.id === id ? { ...item, title } : item)),
    () => renameConversation(id, title, never),
  );
}

export async function remove(id: string): Promise<boolean> {
  return change(
    (all) => all.filter((item) => item.id !== id),
    () => deleteConversation(id, never),
  );
}

async function change(
  edit: (all: Conversation[]) => Conversation[],
  send: () => Promise<unknown>,
): Promise<boolean> {
  const before = list.data;
  if (before) list.set({ ...before, items: edit(before.items) });
  try {
    await send();
    return true;
  } catch (error) {
    toastError(error);
    list.set(before);
    return false;
  }
}
