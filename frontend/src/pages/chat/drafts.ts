import { effect, signal } from "@preact/signals";
import { newKey, type Question } from "../../api/chat";
import { session } from "../../api/client";
import { inTab } from "../../lib/stored";

/** What is typed and not sent yet: one text for each conversation, and one for a new one. It is for
 * nobody but who typed it, and survives a reload of the tab, as after signing in again. */

type Id = string | null;

const NAME = "drafts";

/** Null once the page is theirs no more: it is left, or loaded anew for somebody else. */
let owner: string | null = "";
let texts: Record<string, string> = {};
// Of questions that came to nothing, by what they ask.
let keys: Record<string, string> = {};
let shown = "";

/** What is in the question field. */
export const draft = signal("");

effect(() => {
  const now = session.value;
  // A session that has ended is taken up again.
  const id = now && !now.user ? owner : (now?.user?.id ?? "");
  if (owner === null || id === owner) return;
  owner = owner ? null : id;
  ({ texts, keys } = owner ? read(owner) : { texts: {}, keys: {} });
  draft.value = texts[shown] ?? "";
});

function read(user: string): { texts: typeof texts; keys: typeof keys } {
  try {
    const kept = JSON.parse(inTab.recall(NAME) ?? "null");
    if (kept?.user === user) return { texts: { ...kept.texts }, keys: { ...kept.keys } };
  } catch {
    // Not what was written here.
  }
  inTab.remember(NAME, null);
  return { texts: {}, keys: {} };
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

/** A question came to nothing, as far as this page knows: the server may have it all the same. */
export function keepKey({ key, ...asked }: Question): void {
  keys[JSON.stringify(asked)] = key;
}

/** The key of a question: of what came to nothing and is sent again it is the same, over a load of the
 * tab too, so that the server does not answer twice. */
export function keyOf(asked: Omit<Extract<Question, { question: string }>, "key">): string {
  return keys[JSON.stringify(asked)] ?? newKey();
}

/** The answer to `asked` has begun: the same words once more are another question, and so are those
 * of an earlier one in the same conversation, which its answer is shown in by now. */
export function forgetKeys(asked: Question): void {
  if ("regenerate" in asked) return;
  const id = asked.conversation_id;
  keep((other) => other.conversation_id !== id);
}

function keep(wanted: (asked: { question: string; conversation_id?: string }) => boolean): void {
  keys = Object.fromEntries(Object.entries(keys).filter(([asked]) => wanted(JSON.parse(asked))));
}

/** Writes all of it down, not at each key: typing shall not wait for a disk. `unsent` are questions
 * that failed: they are in sight, and in no field yet. */
export function keepDrafts(unsent: string[] = []): void {
  if (!owner) return;
  const text = draft.peek().trim() ? draft.peek() : unsent.join("\n\n");
  const found = Object.entries({ ...texts, [shown]: text }).filter(([, one]) => one.trim());
  // What has been cleared meanwhile, or written otherwise, is not the same question.
  const there = [...found, ...unsent.map((one) => [shown, one])];
  keep(({ question, conversation_id: id = "" }) =>
    there.some(([place, one]) => place === id && one?.trim() === question),
  );
  const kept = { user: owner, texts: Object.fromEntries(found), keys };
  inTab.remember(NAME, found.length > 0 ? JSON.stringify(kept) : null);
}
