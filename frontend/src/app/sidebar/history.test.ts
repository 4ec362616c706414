import { expect, test } from "vitest";
import { json, serve } from "../../api/fake-server";
import { load, loadMore, search } from "./history";

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
