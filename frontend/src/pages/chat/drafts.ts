import { effect, signal } from "@preact/signals";
import { session } from "../../api/client";
import { inTab } from "../../lib/stored";

/** What is typed and not sent yet: one text for each conversation, and one for a new one. It is for
 * nobody but who typed it, and survives a reload of the tab, as after signing in again. */

type Id = string | null;

const NAME = "drafts";

/** Null once the page is theirs no more: it is left, or loaded anew for somebody else. */
let owner: string | null = "";
let texts: Record<string, string> = {};
let shown = "";

/** What is in the question field. */
export const draft = signal("");

effect(() => {
  const now = session.value;
  // A session that has ended is taken up again.
  const id = now && !now.user ? owner : (now?.user?.id ?? "");
  if (owner === null || id === owner) return;
  owner = owner ? null : id;
  texts = owner ? read(owner) : {};
  draft.value = texts[shown] ?? "";
});

function read(user: string): Record<string, string> {
  try {
    const kept = JSON.parse(inTab.recall(NAME) ?? "null");
    if (kept?.user === user) return { ...kept.texts };
  } catch {
    // Not what was written here.
  }
  inTab.remember(NAME, null);
  return {};
}

/** Puts what was typed in the conversation `id` into the field. */
export function showDraft(id: Id): void {
  texts[shown] = draft.peek();
  shown = id ?? "";
  draft.value = texts[shown] ?? "";
}

/** The new conversation is `id` from now on, and the next one begins empty. */
export function nameDraft(id: string): void {
  delete texts[shown];
  shown = id;
}

/** Puts back a question that was not sent, unless something else has been typed there. */
export function putBack(question: string, id: Id): void {
  const place = id ?? "";
  if (place === shown) draft.value = draft.peek().trim() ? draft.peek() : question;
  else if (!texts[place]?.trim()) texts[place] = question;
}

export function dropDraft(id: string): void {
  delete texts[id];
}

/** Writes all of it down, not at each key: typing shall not wait for a disk. `unsent` is a question
 * that failed: it is in sight, and in no field yet. */
export function keepDrafts(unsent = ""): void {
  if (!owner) return;
  const text = draft.peek().trim() ? draft.peek() : unsent;
  const found = Object.entries({ ...texts, [shown]: text }).filter(([, one]) => one.trim());
  const kept = { user: owner, texts: Object.fromEntries(found) };
  inTab.remember(NAME, found.length > 0 ? JSON.stringify(kept) : null);
}
