import { render } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { CachedIn, Caches, Round } from "../../api/caches";
import { json, serve } from "../../api/fake-server";
import { chooseLanguage } from "../../i18n";
import CachesPage from "./caches";
import * as store from "./caches-store";

const ROW: CachedIn = {
  ...{ layer: "memory", hits: 30, misses: 10, hit_rate: 0.75, sets: 10, evictions: 2 },
  ...{ errors: 0, refused: 0, mean_us: 12.4, p99_us: 64, entries: 8, bytes: 2048 },
};
const MEMORY = {
  ...{ name: "memory", answers: true, left_out: 0, entries: 8, bytes: 2048, evictions: 2 },
};
const USE = { use: "answers", computed: 10, stampedes_avoided: 3, refreshed_early: 0 };

const answer = (more: Partial<Caches> = {}): Caches => ({
  layers: [MEMORY],
  uses: [{ ...USE, layers: [ROW] }],
  warming: null,
  ...more,
});

let root: HTMLElement;
const drawn = () => vi.waitFor(() => expect(root.querySelector(".tile")).toBeTruthy());
const settled = () => new Promise((resolve) => setTimeout(resolve));

beforeEach(() => {
  chooseLanguage("en");
  root = document.createElement("div");
  document.body.append(root);
  store.caches.set(undefined);
  store.result.value = undefined;
});
afterEach(() => {
  render(null, root);
  root.remove();
});

test("each layer tells how well it works, and each use in it", async () => {
  serve(json(answer()));
  render(<CachesPage />, root);
  await drawn();
  const tile = root.querySelector(".tile")?.textContent ?? "";
  for (const told of ["Memory", "Works", "75%", "30 of 40", "2 KB"]) expect(tile).toContain(told);
  const cells = [...root.querySelectorAll("tbody td")].map((cell) => cell.textContent);
  expect(cells).toEqual(["Memory", "75%", "40", "8", "2 KB", "2", "12 μs", "≤ 64 μs", "0"]);
  expect(root.querySelector(".numbers-group")?.textContent).toBe(
    "Answers made 10 times · shared 3 times while being made",
  );
});

test("a layer that does not answer, and one that is left out, are told apart in Korean, too", async () => {
  const dead = { ...MEMORY, name: "redis", answers: false, entries: null, bytes: null };
  serve(json(answer({ layers: [dead, { ...MEMORY, left_out: 2 }], uses: [] })));
  chooseLanguage("ko");
  render(<CachesPage />, root);
  await drawn();
  const [redis, memory] = [...root.querySelectorAll(".tile")].map((tile) => tile.textContent);
  expect(redis).toContain("응답 없음");
  expect(redis).toContain("알 수 없음");
  expect(memory).toContain("프로세스 2개가 제외함");
  expect(root.textContent).toContain("아직 보관한 내용이 없습니다.");
});

test("rates are of all reads of a layer; none is no rate", () => {
  const uses = [
    { ...USE, layers: [ROW, { ...ROW, layer: "disk", hits: 0, misses: 0 }] },
    { ...USE, layers: [{ ...ROW, hits: 0, misses: 60, errors: 2, refused: 5 }] },
  ];
  expect(store.totalsOf(uses, "memory")).toEqual({ hits: 30, reads: 100, rate: 0.3, errors: 7 });
  expect(store.totalsOf(uses, "disk").rate).toBeNull();
});

test("clearing by use tells what came of it in each layer, and the numbers are read again", async () => {
  const cleared = [
    { layer: "memory", entries: 8, bytes: 2048, failed: false },
    { layer: "memcached", entries: null, bytes: null, failed: false },
    { layer: "engine", entries: null, bytes: null, failed: true },
  ];
  const calls = serve(json(answer()), json({ cleared }), json(answer({ uses: [] })));
  render(<CachesPage />, root);
  await drawn();
  root.querySelector<HTMLElement>(".numbers-group button")?.click();
  await settled();
  root.querySelector<HTMLFormElement>("dialog form")?.requestSubmit();
  await vi.waitFor(() => expect(calls).toHaveLength(3));
  expect(calls[1]).toMatchObject({ method: "DELETE", path: "/api/v1/caches?use=answers" });
  await settled();
  expect(root.querySelector("dialog")).toBeNull();
  expect([...root.querySelectorAll(".result li")].map((line) => line.textContent)).toEqual([
    "Memory: 8 entries, 2 KB",
    "Memcached: cleared, not counted",
    "Search engine: did not answer and may still hold everything",
  ]);
});

test("clearing what depends on something sends the tag alone", async () => {
  const calls = serve(json(answer()), json({ cleared: [] }), json(answer()));
  const wanted = { use: "", layer: "", tag: "library" };
  await store.clear(wanted, new AbortController().signal);
  expect(calls[0]?.path).toBe("/api/v1/caches?tag=library");
});

test("a refusal stays in the window that asked", async () => {
  serve(json(answer()), json({ code: "not_found", detail: "There is no such layer." }, 404));
  render(<CachesPage />, root);
  await drawn();
  root.querySelector<HTMLElement>(".page-actions button")?.click();
  await settled();
  root.querySelector<HTMLFormElement>("dialog form")?.requestSubmit();
  await vi.waitFor(() =>
    expect(root.querySelector("dialog")?.textContent).toContain("There is no such layer."),
  );
});

const ROUND: Round = {
  ...{ running: false, questions: 12, asked: 12, failed: 0 },
  began_at: new Date().toISOString(),
};

test.each([
  [{ running: true, asked: 3 }, "Asking: 3 of 12"],
  [{}, "12 questions asked, now"],
  [{ asked: 4 }, "Stopped after 4 of 12, now: people were waiting for the model"],
  [{ failed: 1 }, "12 questions asked, now 1 question got no answer"],
  [{ questions: 0, asked: 0 }, "Nobody has asked anything in the last 30 days (looked now)"],
] as [Partial<Round>, string][])("a round of asking ahead: %j is told", async (more, sentence) => {
  const warming = { ...ROUND, ...more };
  // It is followed again as soon as it runs.
  serve(json(answer({ warming })), json(answer({ warming })));
  render(<CachesPage />, root);
  await drawn();
  expect(root.querySelector(".ahead [role=status]")?.textContent).toBe(sentence);
  const button = root.querySelector<HTMLButtonElement>(".ahead button");
  expect(button?.disabled).toBe(!!more.running);
  expect(!!root.querySelector(".ahead progress")).toBe(!!more.running);
});

test("asking ahead sends how many, and shows at once how it gets on", async () => {
  const warming = { ...ROUND, running: true, asked: 0 };
  const calls = serve(
    json(answer()),
    json({ questions: 5 }, 202),
    json(answer({ warming })),
    json(answer({ warming })),
  );
  render(<CachesPage />, root);
  await drawn();
  const field = root.querySelector<HTMLInputElement>(".ahead input");
  if (field) field.value = "5";
  root.querySelector<HTMLFormElement>("form.ahead")?.requestSubmit();
  await vi.waitFor(() => expect(root.querySelector(".ahead progress")).toBeTruthy());
  expect(calls[1]).toMatchObject({
    method: "POST",
    path: "/api/v1/caches/warm",
    body: { questions: 5 },
  });
});
