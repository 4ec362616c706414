import { effect, signal, untracked } from "@preact/signals";
import { getDocument } from "../../api/documents";
import type { Citation } from "../../api/types";
import { navigate, query, route } from "../../app/router";
import { renamed } from "../../app/sidebar/history";
import { toastError } from "../../ui/toast";
import { Chat, type Turn } from "./store";

/** The conversation that the page shows; it goes on while another page is looked at. */
export const chat = new Chat(
  (id) => {
    if (route.peek().page === "chat") navigate(`/c/${id}`, { replace: true });
  },
  () => {
    opened.value = null;
  },
);

/** The source beside the conversation. */
export const opened = signal<Citation | null>(null);

/** The question that is being edited. */
export const editing = signal<Turn | null>(null);

effect(() => {
  const now = renamed.value;
  if (now && now.id === chat.id.peek()) chat.title.value = now.title;
});

let looking: AbortController | undefined;

effect(() => {
  const now = route.value;
  if (now.page !== "chat") return;
  const document = query.value.get("document");
  untracked(() => {
    if (now.conversation !== chat.id.peek()) {
      opened.value = null;
      editing.value = null;
    }
    chat.show(now.conversation);
    if (!now.conversation) limitTo(document);
  });
});

/** Limits a new conversation to the document that the address names. */
async function limitTo(id: string | null): Promise<void> {
  looking?.abort();
  looking = new AbortController();
  if (!id || !/^[0-9a-f]{32}$/.test(id)) {
    chat.scope.value = null;
    return;
  }
  try {
    const { name } = await getDocument(id, looking.signal);
    chat.scope.value = { id, name };
  } catch (error) {
    toastError(error);
  }
}
