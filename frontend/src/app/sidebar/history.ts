import { signal } from "@preact/signals";
import { deleteConversation, listConversations, renameConversation } from "../../api/conversations";
import type { Conversation } from "../../api/types";
import { Paged } from "../../lib/resource";

/** The conversations of the side bar. */

export const list = new Paged<Conversation>();
export const { items, hasMore } = list;
export const search = signal("");

// Ours lives as long as the page: a rename goes on when its row is gone.
const never = new AbortController().signal;

/** The words that the list was found by; others may be in the field already. */
let found = "";

export function load(): Promise<void> {
  const wanted = search.peek().trim();
  return list.load(async (stop) => {
    const page = await listConversations(wanted, undefined, stop);
    found = wanted;
    return page;
  });
}

export function loadMore(): Promise<void> {
  return list.loadMore((cursor, stop) => listConversations(found, cursor, stop));
}

/** The one that the server has not taken yet: in its place from the click on, nothing moves later. */
const BEGUN = "";

/** Puts a conversation on top: it has just been used. Null is the one that begins now. */
export function touch(of: string | null, title: string): void {
  const id = of ?? BEGUN;
  const known = list.items.peek().find((item) => item.id === id);
  if (!known && search.peek().trim()) return;
  const now = new Date().toISOString();
  const used = {
    created_at: now,
    ...known,
    id,
    title: title || known?.title || "",
    updated_at: now,
  };
  list.amend((page = { items: [], next_cursor: null }) => ({
    ...page,
    items: [used, ...page.items.filter((item) => item.id !== id && item.id !== BEGUN)],
  }));
}

/** What has begun did not become a conversation. */
export function dropBegun(): void {
  list.amend((page) => page && { ...page, items: page.items.filter(({ id }) => id !== BEGUN) });
}

/** The last title that was given; those who show it elsewhere go by this. */
export const renamed = signal<Pick<Conversation, "id" | "title"> | undefined>(undefined);

/** Calls a conversation `title`, listed here or not, and `before` again if the server refuses. */
export async function rename(id: string, title: string, before: string): Promise<boolean> {
  const mine = { id, title };
  renamed.value = mine;
  const done = await list.update(id, { title }, () => renameConversation(id, title, never));
  if (!done && renamed.peek() === mine) renamed.value = { id, title: before };
  return done;
}

/** The last one that was deleted. */
export const removed = signal("");

export async function remove(id: string): Promise<boolean> {
  const done = await list.remove(id, () => deleteConversation(id, never));
  if (done) removed.value = id;
  return done;
}
