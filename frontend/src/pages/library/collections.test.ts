import { beforeEach, expect, test } from "vitest";
import { json, serve } from "../../api/fake-server";
import type { Collection } from "../../api/types";
import { losses } from "../../app/session";
import { chooseLanguage } from "../../i18n";
import * as collections from "./collections";

const collection = (id: string, writable: boolean): Collection => ({
  id,
  name: id.toUpperCase(),
  owner_id: "u1",
  everyone: id === "default",
  writable,
  documents: 1,
  created_at: "",
});
const load = (...items: Collection[]) => {
  const calls = serve(json({ items }));
  return collections.load().then(() => calls);
};

beforeEach(() => {
  collections.filter.value = "";
  collections.chooseTarget("");
});

test("what is added goes where one looks, else where it went before, else to everyone's", async () => {
  await load(collection("a", true), collection("b", true), collection("default", true));
  expect(collections.target.value?.id).toBe("default");
  collections.chooseTarget("b");
  expect(collections.target.value?.id).toBe("b");
  collections.filter.value = "a";
  expect(collections.target.value?.id).toBe("a");
});

test("never to what one may only read", async () => {
  await load(collection("a", true), collection("default", false));
  collections.filter.value = "default";
  collections.chooseTarget("default");
  expect(collections.target.value?.id).toBe("a");
  expect(collections.isWritable("default")).toBe(false);
  await load(collection("default", false));
  expect(collections.canAdd.value).toBe(false);
  expect(collections.target.value).toBeUndefined();
});

test("a row names its collection only where that tells something", async () => {
  await load(collection("default", true));
  expect(collections.nameOf("default")).toBe("");
  await load(collection("a", true), collection("default", true));
  expect(collections.nameOf("a")).toBe("A");
  collections.filter.value = "a";
  expect(collections.nameOf("a")).toBe("");
});

test("the name that nobody chose is in the reader's language, any other as it was chosen", async () => {
  const given = { ...collection("default", true), name: "Library" };
  const names = () => collections.all.value.map(({ name }) => name);
  chooseLanguage("ko");
  await load(given, { ...collection("a", true), name: "Library" });
  expect(names()).toEqual(["라이브러리", "Library"]);
  expect(collections.nameOf("default")).toBe("라이브러리");
  chooseLanguage("en");
  expect(names()).toEqual(["Library", "Library"]);
  chooseLanguage("ko");
  await load({ ...given, name: "Handbook" });
  expect(names()).toEqual(["Handbook"]);
});

test("a new collection is read with the rest of them", async () => {
  const made = collection("new", true);
  const calls = serve(json(made, 201), json({ items: [made] }));
  expect(await collections.create("NEW")).toBe("new");
  expect(calls[0]?.body).toEqual({ name: "NEW" });
  expect(collections.all.value).toEqual([made]);
});

test("lost access takes the names away at once", async () => {
  await load(collection("a", true));
  losses.value++;
  expect(collections.all.value).toEqual([]);
});
