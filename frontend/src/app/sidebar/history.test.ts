import { expect, test } from "vitest";
import { json, serve } from "../../api/fake-server";
import { begin, isBegun, items, list, load, loadMore, rename, search, touch } from "./history";

test("more of a list is asked for with the words it was found by", async () => {
  const page = json({ items: [], next_cursor: "next" });
  const calls = serve(page, page, page);
  search.value = "leave";
  await load();
  // Typed, and not searched for yet.
  search.value = "lunch";
  await loadMore();
  await load();
  const asked = calls.map(({ path }) => new URL(path, location.origin).searchParams);
  expect(asked.map((query) => [query.get("q"), query.get("cursor")])).toEqual([
    ["leave", null],
    ["leave", "next"],
    ["lunch", null],
  ]);
  search.value = "";
});

const at = (minute: number) => `2026-03-02T09:0${minute}:00Z`;
const row = (id: string, minute: number) => ({
  id,
  title: id.toUpperCase(),
  created_at: at(0),
  updated_at: at(minute),
});
const titles = () => items.value.map(({ title }) => title);

test("a question's conversation is on top from the click on, and back in its place if it fails", () => {
  list.set({ items: [row("c", 3), row("b", 2), row("a", 1)], next_cursor: null });
  const first = begin(null, "First");
  const second = begin(null, "Second");
  const known = begin("a", "Third");
  expect(titles()).toEqual(["A", "Second", "First", "C", "B"]);
  expect(items.value.map(({ id }) => isBegun(id))).toEqual([false, true, true, false, false]);
  first();
  touch("d", "D");
  expect(titles()).toEqual(["D", "A", "Second", "C", "B"]);
  known();
  second();
  second();
  expect(titles()).toEqual(["D", "C", "B", "A"]);
});

test("nothing is listed that is not looked for, or not known, or where no list is", () => {
  const all = { items: [row("a", 1)], next_cursor: null };
  list.set(all);
  begin("elsewhere", "Question")();
  expect(list.data).toEqual(all);
  search.value = "words";
  begin(null, "Question")();
  expect(list.data).toEqual(all);
  search.value = "";
  list.set(undefined);
  begin(null, "Question")();
  expect(list.data).toBeUndefined();
});

test("a list that is read or changed meanwhile holds each conversation once", async () => {
  list.set({ items: [row("c", 3), row("b", 2), row("a", 1)], next_cursor: null });
  let answer = (_: Response) => {};
  globalThis.fetch = () => new Promise((resolve) => (answer = resolve));
  const loading = load();
  const undo = begin("a", "Question");
  answer(Response.json({ items: [row("c", 3), row("b", 2), row("a", 1)], next_cursor: null }));
  await loading;
  expect(titles()).toEqual(["A", "C", "B"]);
  undo();
  expect(titles()).toEqual(["C", "B", "A"]);
  const renaming = rename("a", "New", "A");
  const again = begin("a", "Question");
  expect(titles()).toEqual(["New", "C", "B"]);
  answer(new Response(null, { status: 204 }));
  await renaming;
  again();
  expect(titles()).toEqual(["C", "B", "New"]);
});
