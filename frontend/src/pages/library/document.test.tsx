import { render } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Collection, Document, TextPage } from "../../api/types";
import { chooseLanguage } from "../../i18n";
import * as collections from "./collections";
import { DocumentPage, loadAhead } from "./document";
import { documentActions } from "./row";

const ID = "0".repeat(32);
const DOCUMENT: Document = {
  ...{ id: ID, name: "rules.txt", collection_id: "default", media_type: "text/plain", size: 9 },
  ...{ source: "upload", source_uri: "", tags: ["law"], state: "ready", version_id: 1 },
  ...{ created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00Z", embedded: 2 },
  ...{ searchable_by_words: true, chunks: 2, pages: null, title: null, job: null },
  ...{ error_code: null, error_message: null },
};
const PAGES = ["First.", "Second."];

let shown: Document;
let root: HTMLElement;
let writable: boolean;
let asked: string[];

function answer(path: string, method: string, body: unknown): unknown {
  const { pathname, searchParams } = new URL(path, "http://here");
  if (pathname.endsWith("/collections")) {
    const one = { id: "default", name: "Library", writable } as Collection;
    return { items: [one, { ...one, id: "mine", writable: true }] };
  }
  if (pathname.endsWith("/text")) {
    const number = Number(searchParams.get("at")) < 6 ? 1 : 2;
    const page: Partial<TextPage> = {
      ...{ document: shown, version: 1, number, pages: 2, paged: false, total: 13 },
      ...{ start: number === 1 ? 0 : 6, text: PAGES[number - 1] ?? "" },
    };
    return page;
  }
  if (method === "PATCH") {
    shown = { ...shown, ...(body as object), updated_at: "2026-01-02T00:00:00Z" };
  }
  return shown;
}

beforeEach(() => {
  chooseLanguage("en");
  shown = DOCUMENT;
  writable = true;
  asked = [];
  globalThis.fetch = async (input, init = {}) => {
    asked.push(String(input));
    const body = init.body ? JSON.parse(String(init.body)) : undefined;
    return Response.json(answer(String(input), init.method ?? "GET", body));
  };
  root = document.createElement("div");
  document.body.append(root);
});
afterEach(() => {
  render(null, root);
  root.remove();
});

async function open(): Promise<void> {
  await collections.load();
  render(<DocumentPage id={ID} />, root);
  await vi.waitFor(() => expect(root.querySelector(".facts")).toBeTruthy());
}
const buttons = () => [...root.querySelectorAll("button")];
const button = (name: string) =>
  buttons().find((one) => (one.getAttribute("aria-label") ?? one.textContent)?.trim() === name);

test("whoever adds a tag stays on the page that is being read", async () => {
  await open();
  await vi.waitFor(() => expect(root.textContent).toContain("First."));
  button("Next page")?.click();
  await vi.waitFor(() => expect(root.textContent).toContain("Second."));
  button("Add tag")?.click();
  await vi.waitFor(() => expect(root.querySelector(".tag-input")).toBeTruthy());
  const field = root.querySelector<HTMLInputElement>(".tag-input");
  if (field) field.value = "new";
  field?.form?.dispatchEvent(new Event("submit", { cancelable: true, bubbles: true }));
  await vi.waitFor(() => expect(root.textContent).toContain("Jan 2"));
  expect(shown.tags).toEqual(["law", "new"]);
  expect(root.textContent).toContain("Second.");
});

test("what was read ahead is all there at once, and is not asked for again", async () => {
  await Promise.all([loadAhead(ID), collections.load()]);
  render(<DocumentPage id={ID} />, root);
  expect(root.querySelector(".viewer-text")?.textContent).toBe("First.");
  expect(button("Add tag")).toBeTruthy();
  await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  const document = `/api/v1/documents/${ID}`;
  expect(asked.sort()).toEqual(["/api/v1/collections", document, `${document}/text?at=0`]);
  // Who comes back to it later sees it as it is then.
  render(null, root);
  await open();
  expect(asked.filter((path) => path === document)).toHaveLength(2);
});

test("who may only read is offered nothing that would fail", async () => {
  writable = false;
  const failed = { error_code: "no_text", error_message: "It has no text." };
  shown = { ...DOCUMENT, ...failed, state: "failed", chunks: 0 };
  await open();
  expect(root.querySelector(".status.failed")?.textContent).toContain("no text");
  expect(root.querySelector(".tags")?.textContent).toContain("law");
  expect(root.querySelectorAll(".facts button")).toHaveLength(0);
});

test("only what is being read can be cancelled", async () => {
  await collections.load();
  const labels = (job: Document["job"]) =>
    documentActions({ ...DOCUMENT, state: "indexing", job }).map(({ label }) => label);
  const job = { running: true, step: "write", done: 0, total: 9, attempts: 1, reason: null };
  expect(labels({ ...job, kind: "index" })).toContain("Stop reading");
  for (const other of [null, { ...job, kind: "embed" as const }]) {
    expect(labels(other)).toContain("Read again");
  }
});
