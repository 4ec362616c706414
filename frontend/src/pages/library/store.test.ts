import { beforeEach, expect, test, vi } from "vitest";
import { json, serve } from "../../api/fake-server";
import type { Collection, Document } from "../../api/types";
import { indexing } from "../../app/server";
import * as collections from "./collections";
import * as store from "./store";

const doc = (id: string, name = id) => ({ id, name }) as Document;
const page = (items: Document[], next_cursor: string | null = null) => json({ items, next_cursor });
const listed = (...ids: string[]) =>
  json({ items: ids.map((id) => ({ id, name: id, writable: true }) as Collection) });
const names = () => store.list.items.value.map(({ name }) => name);

beforeEach(() => {
  collections.filter.value = "";
  store.name.value = "";
  store.list.set(undefined);
});

test("a chosen collection that was taken away gives way to all documents", async () => {
  serve(listed("default", "b"));
  await collections.load();
  collections.filter.value = "b";
  const missing = json({ code: "not_found", detail: "No such collection." }, 404);
  const calls = serve(missing, listed("default"), page([doc("1")]));
  store.load();
  await vi.waitFor(() => expect(names()).toEqual(["1"]));
  expect(store.list.state.value.error).toBeUndefined();
  expect(collections.filter.value).toBe("");
  expect(calls[2]?.path).not.toContain("collection=");
});

test("more of a list is asked for as the list was, whatever is being typed", async () => {
  const calls = serve(page([doc("1")], "c1"), page([doc("2")]));
  store.name.value = "old";
  await store.load();
  store.name.value = "new";
  await store.loadMore();
  expect(calls[1]?.path).toContain("q=old");
  expect(calls[1]?.path).toContain("cursor=c1");
  expect(names()).toEqual(["1", "2"]);
});

test("a list that is read again while one types stays that list", async () => {
  const calls = serve(page([doc("1")]), page([doc("1", "read")]));
  await store.load();
  const end = store.follow();
  const now = { queued: 1, running: [], pending_words: 0, pending_embeddings: 0 };
  indexing.value = { ...now, library_revision: 1 } as unknown as typeof indexing.value;
  store.name.value = "new";
  indexing.value = { ...now, library_revision: 2 } as unknown as typeof indexing.value;
  await vi.waitFor(() => expect(names()).toEqual(["read"]));
  end();
  expect(calls[1]?.path).not.toContain("q=");
});
