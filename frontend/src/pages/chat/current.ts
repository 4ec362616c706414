import { effect, signal, untracked } from "@preact/signals";
import { ApiError } from "../../api/client";
import { getDocument } from "../../api/documents";
import type { Citation } from "../../api/types";
import { navigate, query, route } from "../../app/router";
import { removed, renamed } from "../../app/sidebar/history";
import { toastError } from "../../ui/toast";
import { dropDraft, keepDrafts, nameDraft, putBack, showDraft } from "./drafts";
import { Chat, type Turn } from "./store";

/** The conversation that the page shows; it goes on while another page is looked at. */
export const chat = new Chat(
  (id) => {
    nameDraft(id);
    if (route.peek().page === "chat") navigate(`/c/${id}`, { replace: true });
  },
  () => {
    opened.value = null;
  },
  putBack,
);

/** Writes down what is typed and not sent. */
export const keep = () => keepDrafts(chat.unasked);

// A phone ends a page that is out of sight without a word.
addEventListener("visibilitychange", keep);
addEventListener("pagehide", keep);

/** The source beside the conversation. */
export const opened = signal<Citation | null>(null);

/** The question that is being edited. */
export const editing = signal<Turn | null>(null);

/** What it is to be instead; like a draft it survives a look at another page. */
export const edited = signal("");

effect(() => {
  edited.value = editing.value?.question ?? "";
});

effect(() => {
  const now = renamed.value;
  if (now && now.id === chat.id.peek()) chat.title.value = now.title;
});

effect(() => {
  const id = removed.value;
  if (!id) return;
  untracked(() => {
    if (id === chat.id.peek()) show(null);
    dropDraft(id);
    keep();
  });
});

let looking: AbortController | undefined;
let away = false;

effect(() => {
  const now = route.value;
  if (now.page !== "chat") {
    away = true;
    return;
  }
  const document = query.value.get("document");
  untracked(() => {
    show(now.conversation, away);
    away = false;
    if (!now.conversation) limitTo(document);
  });
});

function show(id: string | null, back = false): void {
  const another = id !== chat.id.peek();
  if (another) {
    opened.value = null;
    editing.value = null;
  }
  chat.show(id, back);
  showDraft(id);
  if (another) keep();
}

/** Limits a new conversation to the document that the address names. */
async function limitTo(id: string | null): Promise<void> {
  looking?.abort();
  looking = new AbortController();
  if (!id || !/^[0-9a-f]{32}$/.test(id)) {
    chat.scope.value = null;
    return;
  }
  // At once: a question does not wait for a name.
  const mine = { id, name: "" };
  chat.scope.value = mine;
  // By the time it is known, another conversation may be on the page.
  const still = () => chat.scope.peek() === mine;
  try {
    const { name } = await getDocument(id, looking.signal);
    if (still()) chat.scope.value = { id, name };
  } catch (error) {
    if (!still()) return;
    toastError(error);
    if (ApiError.from(error).status === 404) chat.scope.value = null;
  }
}
