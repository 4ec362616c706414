import { computed, signal } from "@preact/signals";
import { ApiError } from "../api/client";
import { getIndexing, getInfo } from "../api/server";
import type { Indexing, Info } from "../api/types";
import { Resource } from "../lib/resource";
import { visible, wait } from "../lib/wait";

/** What every page needs to know of the server: what it is, and what it is busy with. */

export const info = new Resource<Info>();
export const loadInfo = () => info.load(getInfo);

const limits = computed(() => info.data?.limits);
export const maxQuestion = computed(() => limits.value?.max_question_chars ?? 8000);
export const maxUpload = computed(() => limits.value?.max_upload_bytes ?? 100 * 1024 * 1024);

export const online = signal(navigator.onLine);
export const indexing = signal<Indexing | undefined>(undefined);

export const busy = computed(() => {
  const now = indexing.value;
  if (!now) return false;
  const { queued, running, pending_words: words, pending_embeddings: vectors } = now;
  return queued + running.length + words + vectors > 0;
});

export function followConnection(): void {
  addEventListener("online", () => {
    online.value = true;
    loadInfo();
    watchIndexing();
  });
  addEventListener("offline", () => {
    online.value = false;
  });
}

const BUSY_MS = 1000;
// Embedding a large library takes hours; its progress need not be seen to the second.
const LONG_MS = 4000;
const LONG_AFTER = 30;

let watch: AbortController | undefined;

/** Asks what is being indexed, again and again until nothing is. Call it after every change. */
export async function watchIndexing(): Promise<void> {
  watch?.abort();
  const running = new AbortController();
  watch = running;
  const { signal: stop } = running;
  try {
    for (let round = 0; ; round++) {
      await visible(stop);
      indexing.value = await getIndexing(stop);
      if (!busy.value) return;
      await wait(round < LONG_AFTER ? BUSY_MS : LONG_MS, stop);
    }
  } catch (error) {
    if (stop.aborted || !ApiError.from(error).retryable) return;
    setTimeout(() => {
      if (watch === running) watchIndexing();
    }, LONG_MS);
  }
}
