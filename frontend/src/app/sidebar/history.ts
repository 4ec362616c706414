import { signal } from "@preact/signals";
import { deleteConversation, listConversations, renameConversation } from "../../api/conversations";
import type { Conversation, Page } from "../../api/types";
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

/** Puts a conversation on top: it has just been used. */
export function touch(id: string, title: string): void {
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
  list.amend((page = { items: [], next_cursor: null }) => onTop(page, used));
}

function onTop(page: Page<Conversation>, used: Conversation): Page<Conversation> {
  return { ...page, items: [used, ...page.items.filter(({ id }) => id !== used.id)] };
}

const BEGUN = "begun-";
let begun = 0;

/** Whether the server has not taken it yet. */
export const isBegun = (id: string): boolean => id.startsWith(BEGUN);

/** Puts the conversation `of`, or a new one, on top as soon as a question is sent: what moves later
 * than half a second after that is not taken for its effect. Returns how to take that back. */
export function begin(of: string | null, question: string): () => void {
  if (!of && search.peek().trim()) return () => undefined;
  const id = of ?? `${BEGUN}${begun++}`;
  const now = new Date().toISOString();
  const fresh = { id, title: question, created_at: now, updated_at: "" };
  let before: Conversation | undefined;
  list.amend((page) => {
    before = page?.items.find((item) => item.id === id) ?? (of ? undefined : fresh);
    // Not into a list that could not be read, and no conversation whose title is not known.
    return page && before ? onTop(page, { ...before, updated_at: now }) : page;
  });
  return () =>
    list.amend((page) => {
      const used = page?.items.find((item) => item.id === id && item.updated_at === now);
      if (!page || !used || !before) return page;
      const back = before.updated_at ? [{ ...used, updated_at: before.updated_at }] : [];
      const items = [...page.items.filter((item) => item !== used), ...back];
      return { ...page, items: items.sort((a, b) => b.updated_at.localeCompare(a.updated_at)) };
    });
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
