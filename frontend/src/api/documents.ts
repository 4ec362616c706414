import {
  ApiError,
  csrfHeader,
  type Problem,
  readAhead,
  request,
  withQuery,
  withSession,
} from "./client";
import { endSharing } from "./reads";
import type { Document, DocumentState, Page, TextPage } from "./types";

const BASE = "/api/v1/documents";

export interface DocumentQuery {
  collection?: string;
  q?: string;
  state?: DocumentState | "";
  tag?: string;
  cursor?: string;
  limit?: number;
}

export function listDocuments(query: DocumentQuery, signal: AbortSignal) {
  return request<Page<Document>>(withQuery(BASE, { limit: 50, ...query }), { signal });
}

export function getDocument(id: string, signal: AbortSignal) {
  return request<Document>(`${BASE}/${id}`, { signal });
}

export function readDocumentAhead(id: string): void {
  readAhead(`${BASE}/${id}`);
  readAhead(`${BASE}/${id}/text?at=0`);
}

export function changeDocument(
  id: string,
  change: { tags?: string[]; name?: string },
  signal: AbortSignal,
) {
  return request<Document>(`${BASE}/${id}`, { method: "PATCH", json: change, signal });
}

export function deleteDocument(id: string, signal: AbortSignal) {
  return request<void>(`${BASE}/${id}`, { method: "DELETE", signal });
}

export function reindexDocument(id: string, signal: AbortSignal) {
  return request<void>(`${BASE}/${id}/reindex`, { method: "POST", signal });
}

export function cancelDocument(id: string, signal: AbortSignal) {
  return request<void>(`${BASE}/${id}/cancel`, { method: "POST", signal });
}

export function addAddress(url: string, collection: string | undefined, signal: AbortSignal) {
  const json = { url, ...(collection && { collection }) };
  return request<Document>(`${BASE}/url`, { method: "POST", json, signal });
}

/** The part of a document's text that holds the character `at`. */
export function getText(id: string, at: number, version: number | undefined, signal: AbortSignal) {
  return request<TextPage>(withQuery(`${BASE}/${id}/text`, { at, version }), { signal });
}

/** Where the original is; a PDF viewer opens it at `page`. */
export function originalAddress(id: string, page?: number | null): string {
  return `${BASE}/${id}/original${page ? `#page=${page}` : ""}`;
}

interface Uploaded {
  items: { name: string; document?: Document; problem?: Problem }[];
}

/** Sends one file under a name; `onProgress` hears the share sent, 0 to 1. */
export function upload(
  file: File,
  name: string,
  collection: string | undefined,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<Document> {
  const form = new FormData();
  // Before the file, so that the server knows where it goes as it arrives.
  if (collection) form.append("collection", collection);
  form.append("file", file, name);
  return withSession(() => sendForm(form, onProgress, signal), signal);
}

/** By XMLHttpRequest, since fetch does not tell how much of a body has left. */
function sendForm(
  form: FormData,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<Document> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    endSharing();
    const xhr = new XMLHttpRequest();
    xhr.open("POST", BASE);
    const headers = { Accept: "application/json", ...csrfHeader() };
    for (const [header, value] of Object.entries(headers)) xhr.setRequestHeader(header, value);
    xhr.responseType = "json";
    xhr.upload.onprogress = (event) => {
      if (event.lengthComputable && event.total > 0) onProgress(event.loaded / event.total);
    };
    xhr.onerror = () => reject(new ApiError("offline", 0, "", true));
    xhr.onabort = () => reject(signal.reason);
    xhr.onload = () => {
      const { items } = (xhr.response ?? {}) as Partial<Uploaded>;
      const [item] = items ?? [];
      endSharing();
      if (item?.document) resolve(item.document);
      else reject(ApiError.fromProblem(item?.problem ?? xhr.response ?? {}, xhr.status));
    };
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    xhr.send(form);
  });
}
