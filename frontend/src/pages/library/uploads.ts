import { batch, computed, effect, signal } from "@preact/signals";
import { ApiError } from "../../api/client";
import { upload } from "../../api/documents";
import { info, maxUpload, watchIndexing } from "../../app/server";
import { isAbort } from "../../lib/wait";
import * as collections from "./collections";

/** Files on their way to the server. They go on while another page is looked at. */

export interface Upload {
  file: File;
  /** Id of the collection that it goes to; undefined for the server's default. */
  collection: string | undefined;
  state: "waiting" | "sending" | "done" | "failed";
  /** Sent so far, 0 to 1. */
  share: number;
  error?: ApiError;
}

// Enough to hide the round trip of small files; the server writes each to disk before it answers.
const AT_ONCE = 3;

export const uploads = signal<Upload[]>([]);
export const failed = computed(() => uploads.value.filter(({ state }) => state === "failed"));
export const finished = computed(
  () => uploads.value.filter(({ state }) => state === "done").length,
);
export const active = computed(() =>
  uploads.value.some(({ state }) => state === "waiting" || state === "sending"),
);
// The browser asks before it ends what is on its way.
const warn = (event: Event) => event.preventDefault();
effect(() => {
  if (active.value) addEventListener("beforeunload", warn);
  else removeEventListener("beforeunload", warn);
});

/** All files together, 0 to 1, by their size. */
export const progress = computed(() => {
  const sum = (of: (upload: Upload) => number) =>
    uploads.value.reduce((total, each) => total + of(each), 0);
  // A file costs a round trip even when it is empty.
  const weight = ({ file }: Upload) => file.size + 1000;
  return sum((each) => weight(each) * each.share) / Math.max(1, sum(weight));
});

let stop = new AbortController();
let senders = 0;

export function add(files: File[]): void {
  const collection = collections.target.peek()?.id;
  const fresh = files.map((file): Upload => {
    const error = refuse(file);
    return error
      ? { file, collection, state: "failed", share: 1, error }
      : { file, collection, state: "waiting", share: 0 };
  });
  uploads.value = active.peek() ? [...uploads.peek(), ...fresh] : fresh;
  send();
}

export function retry(): void {
  uploads.value = failed
    .peek()
    .map(({ file, collection }) => ({ file, collection, state: "waiting", share: 0 }));
  send();
}

export function clear(): void {
  stop.abort();
  stop = new AbortController();
  uploads.value = [];
}

const NAME_LIMIT = 255;

/**
 * The name to add a file under. The server replaces a document by a new file of the same name, so
 * one from a folder carries the folders between: two files called `README.md` are two documents.
 */
export function nameOf(file: File): string {
  const path = (paths.get(file) ?? file.webkitRelativePath) || file.name;
  const name = path
    .split("/")
    .slice(path.includes("/") ? 1 : 0)
    .join(" › ");
  return name.slice(-NAME_LIMIT);
}

/** What the server would refuse is not sent. */
export function refuse(file: File): ApiError | undefined {
  const known = info.data?.media_types.map(({ suffix }) => suffix.replace(/^\.?/, "."));
  const name = file.name.toLowerCase();
  if (known && known.length > 0 && !known.some((suffix) => name.endsWith(suffix))) {
    return new ApiError("unsupported_type", 415, "", false);
  }
  if (file.size === 0) return new ApiError("empty_file", 422, "", false);
  if (file.size > maxUpload.peek()) return new ApiError("too_large", 413, "", false);
  return undefined;
}

function send(): void {
  while (senders < AT_ONCE && uploads.peek().some(({ state }) => state === "waiting")) {
    senders++;
    sendOne().finally(() => {
      senders--;
      send();
    });
  }
}

async function sendOne(): Promise<void> {
  const next = uploads.peek().find(({ state }) => state === "waiting");
  if (!next) return;
  const { file, collection } = next;
  const { signal } = stop;
  update(file, { state: "sending" });
  try {
    const onProgress = (share: number) => update(file, { share });
    await upload(file, nameOf(file), collection, onProgress, signal);
    update(file, { state: "done", share: 1 });
    watchIndexing();
  } catch (error) {
    if (signal.aborted || isAbort(error)) return;
    update(file, { state: "failed", share: 1, error: ApiError.from(error) });
  }
}

function update(file: File, change: Partial<Upload>): void {
  batch(() => {
    uploads.value = uploads
      .peek()
      .map((each) => (each.file === file ? { ...each, ...change } : each));
  });
}

// Where the files of a dropped folder stood; a browser only tells it of picked ones.
const paths = new WeakMap<File, string>();

/** The files of a drop, folders included. Hidden files are left out, as the server does. */
export async function filesOf(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items]
    .map((item) => item.webkitGetAsEntry())
    .filter((entry) => entry !== null);
  if (entries.length === 0) return [...transfer.files];
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry: FileSystemEntry): Promise<File[]> {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    const file = entry as FileSystemFileEntry;
    const found = await new Promise<File>((resolve, reject) => file.file(resolve, reject));
    paths.set(found, entry.fullPath.replace(/^\//, ""));
    return [found];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // At most 100 entries a call; an empty list is the end.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return found;
    for (const child of some) found.push(...(await walk(child)));
  }
}

/** The files of a folder that was picked, hidden ones left out. */
export function visibleFiles(list: Iterable<File>): File[] {
  return [...list].filter((file) => {
    const path = file.webkitRelativePath || file.name;
    return !path.split("/").some((part) => part.startsWith("."));
  });
}
