import { computed, effect, signal } from "@preact/signals";
import * as api from "../../api/collections";
import type { Collection } from "../../api/types";
import { losses } from "../../app/session";
import { nameOfCollection } from "../../lib/collection";
import { Resource } from "../../lib/resource";
import { recall, remember } from "../../lib/stored";
import { toastError } from "../../ui/toast";

/** The collections that one may read, which of them is shown, and which takes what is added. */

const list = new Resource<{ items: Collection[] }>();
const never = new AbortController().signal;

export const all = computed(() =>
  (list.state.value.data?.items ?? []).map((each) => ({ ...each, name: nameOfCollection(each) })),
);
export const writable = computed(() => all.value.filter((each) => each.writable));
/** Until it is known, one may: the server has the last word. */
export const canAdd = computed(() => !list.state.value.data || writable.value.length > 0);

/** Whether the first answer, or a failure, is still to come. */
export const awaited = computed(() => !list.state.value.data && !list.state.value.error);

/** Id of the one whose documents are listed, or "". */
export const filter = signal("");
export const shown = computed(() => all.value.find(({ id }) => id === filter.value));
/** Whether that one was deleted, or may no longer be read. */
export const gone = computed(() => !!filter.value && !!list.state.value.data && !shown.value);

const chosen = signal(recall("collection") ?? "");

/** Where what is added goes: the one that is shown, else the one chosen last, else the first. */
export const target = computed(() => {
  const find = (wanted: string) => writable.value.find(({ id }) => id === wanted);
  return find(filter.value) ?? find(chosen.value) ?? find("default") ?? writable.value[0];
});

// A name of a collection that may no longer be read is not shown until the rest is loaded.
effect(() => {
  if (losses.value > 0) list.set(undefined);
});

export function load(): Promise<void> {
  return list.load(api.listCollections);
}

let ahead = false;

/** Reads them before the page is drawn: which there are decides what stands on top of it. */
export function loadAhead(): Promise<void> {
  ahead = true;
  return load();
}

/** Reads them as the page opens, unless that has just been done. */
export function loadOnOpening(): void {
  if (!ahead) load();
  ahead = false;
}

export function chooseTarget(id: string): void {
  chosen.value = id;
  remember("collection", id);
}

export function isWritable(id: string): boolean {
  const found = all.value.find((each) => each.id === id);
  return found ? found.writable : canAdd.value;
}

/** What a row says of where its document is: nothing where all of them are in one place. */
export function nameOf(id: string): string {
  if (all.value.length < 2 || filter.value) return "";
  return all.value.find((each) => each.id === id)?.name ?? "";
}

async function act<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    toastError(error);
    return undefined;
  } finally {
    await load();
  }
}

/** Makes a collection; its id if that worked. */
export async function create(name: string): Promise<string | undefined> {
  return (await act(() => api.createCollection(name, never)))?.id;
}

export async function rename(id: string, name: string): Promise<boolean> {
  return !!(await act(() => api.renameCollection(id, name, never)));
}

export async function remove(id: string): Promise<boolean> {
  return !!(await act(async () => {
    await api.deleteCollection(id, never);
    return true;
  }));
}
