import { render } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Call, json } from "../../api/fake-server";
import type { Job, JobPage, JobState } from "../../api/jobs";
import { chooseLanguage } from "../../i18n";
import JobsPage from "./jobs";
import * as store from "./jobs-store";

const id = (number: number) => number.toString(16).padStart(32, "0");
const JOB: Job = {
  ...{ id: `${id(1)}-index`, state: "running", kind: "index", document_id: id(1) },
  ...{ document: "규정.pdf", collection_id: "default", collection: "Library", owner: "Kim" },
  step: "write",
  ...{ done: 20, total: 80, error_code: null, error_message: null, not_before: null },
  since: new Date(Date.now() - 180_000).toISOString(),
};

let jobs: Job[] = [];
let calls: Call[] = [];
let refuse = false;
let root: HTMLElement;

/** A server with `jobs`, two to a page at first, or as many as were shown. */
function answer(path: string): Response | Promise<Response> {
  const { searchParams } = new URL(path, "http://here");
  const state = searchParams.get("state") as JobState;
  const from = Number(searchParams.get("cursor") ?? 0);
  const asked = Number(searchParams.get("limit"));
  const limit = asked > 20 ? asked : 2;
  const all = jobs.filter((one) => one.state === state);
  const count = (wanted: JobState) => jobs.filter((one) => one.state === wanted).length;
  const page: JobPage = {
    items: all.slice(from, from + limit),
    next_cursor: all.length > from + limit ? String(from + limit) : null,
    counts: { running: count("running"), failed: count("failed"), queued: count("queued") },
  };
  return json(page)();
}

beforeEach(() => {
  chooseLanguage("en");
  calls = [];
  refuse = false;
  globalThis.fetch = async (input, init = {}) => {
    const path = String(input);
    const method = init.method ?? "GET";
    calls.push({ method, path, headers: new Headers(init.headers), body: undefined });
    if (method === "GET") return answer(path);
    if (refuse) return json({ code: "not_found", detail: "No such document." }, 404)();
    jobs = jobs.filter(({ document_id: document }) => !path.includes(document));
    return new Response(null, { status: 204 });
  };
  for (const list of Object.values(store.lists)) list.set(undefined);
  store.counts.value = undefined;
  root = document.createElement("div");
  document.body.append(root);
});
afterEach(() => {
  render(null, root);
  root.remove();
});

async function open(): Promise<void> {
  render(<JobsPage />, root);
  await vi.waitFor(() => {
    expect(root.querySelector(".panel-title, li.job")).toBeTruthy();
    expect(root.querySelector(".panel.loading")).toBeNull();
  });
}

test("what runs tells whose it is, what is done and how far it is", async () => {
  jobs = [JOB];
  await open();
  const line = root.querySelector("li.job");
  expect(line?.textContent).toContain("Reading · in “Library” · by Kim · since 3 minutes ago");
  expect(line?.textContent).toContain("Storing the text · 20 of 80 passages");
  expect(line?.querySelector("progress")?.value).toBe(20);
  expect(root.textContent).toContain("Nothing has failed.");
});

test("why it failed, and when it is tried again, is said in Korean", async () => {
  const failure = { error_code: "no_text", error_message: "It has no text." };
  const soon = new Date(Date.now() + 120_500).toISOString();
  jobs = [
    { ...JOB, ...failure, state: "failed" },
    { ...JOB, ...failure, id: "2", document_id: id(2), state: "queued", not_before: soon },
  ];
  chooseLanguage("ko");
  await open();
  const [failed, queued] = [...root.querySelectorAll("li.job")].map((line) => line.textContent);
  expect(failed).toContain("파일에 글자가 없습니다.");
  expect(failed).toContain("‘라이브러리’ 컬렉션");
  expect(failed).toContain("3분 전 실패");
  expect(queued).toContain("2분 후 다시 시도합니다.");
});

test("the reason does not repeat the name that stands above it", async () => {
  const told = `${JOB.document} has no text to search in.`;
  jobs = [{ ...JOB, state: "failed", error_code: "no_text", error_message: told }];
  await open();
  expect(root.querySelector(".bad")?.textContent?.trim()).toBe("Has no text to search in.");
});

test("with nothing to do it says so, once", async () => {
  jobs = [];
  await open();
  expect(root.querySelector(".panel-title")?.textContent).toBe("Nothing to do");
  expect(root.querySelectorAll("section")).toHaveLength(0);
});

test("one that is stopped leaves at once, and the counts follow", async () => {
  jobs = [JOB, { ...JOB, id: "2", document_id: id(2), document: "other.md" }];
  await open();
  root.querySelector<HTMLElement>("li.job button")?.click();
  await vi.waitFor(() => expect(root.querySelectorAll("li.job")).toHaveLength(1));
  expect(calls.filter(({ method }) => method === "POST").map(({ path }) => path)).toEqual([
    `/api/v1/jobs/${id(1)}/cancel`,
  ]);
  await vi.waitFor(() => expect(root.querySelector("h2")?.textContent).toBe("Running1"));
  expect(root.querySelector("li.job")?.textContent).toContain("other.md");
});

test("what is embedded cannot be stopped", async () => {
  jobs = [JOB, { ...JOB, id: "2", document_id: id(2), kind: "embed" }];
  await open();
  const lines = [...root.querySelectorAll("li.job")];
  expect(lines.map((line) => line.querySelectorAll("button").length)).toEqual([1, 0]);
});

test("one that cannot be tried again comes back", async () => {
  jobs = [{ ...JOB, state: "failed", error_code: "no_text", error_message: "No text." }];
  refuse = true;
  await open();
  root.querySelector<HTMLElement>("li.job button")?.click();
  await vi.waitFor(() =>
    expect(calls.some(({ path }) => path === `/api/v1/jobs/${id(1)}/retry`)).toBe(true),
  );
  await vi.waitFor(() => expect(root.querySelectorAll("li.job")).toHaveLength(1));
});

test("the rest of a long queue comes when it is asked for", async () => {
  jobs = [1, 2, 3].map((number) => ({
    ...{ ...JOB, state: "queued" as const, document: `${number}.md` },
    ...{ id: `${number}`, document_id: id(number) },
  }));
  await open();
  expect(root.querySelectorAll("li.job")).toHaveLength(2);
  expect([...root.querySelectorAll("h2")].at(-1)?.textContent).toBe("Waiting3");
  root.querySelector<HTMLElement>(".more")?.click();
  await vi.waitFor(() => expect(root.querySelectorAll("li.job")).toHaveLength(3));
  expect(root.querySelector(".more")).toBeNull();
});

test("of more than one page's limit the first are read again, and the rest stays", async () => {
  const queued = (document: string) =>
    Array.from({ length: 203 }, (_, number) => ({
      ...{ ...JOB, state: "queued" as const, document },
      ...{ id: `${number}`, document_id: id(number) },
    }));
  store.lists.queued.set({ items: queued("before.md"), next_cursor: "203" });
  jobs = queued("now.md");
  await open();
  const names = () => store.lists.queued.items.value.map(({ document }) => document);
  await vi.waitFor(() => expect(names()[0]).toBe("now.md"));
  expect(names().filter((name) => name === "now.md")).toHaveLength(200);
  expect(names()).toHaveLength(203);
  expect(store.lists.queued.data?.next_cursor).toBe("203");
});
