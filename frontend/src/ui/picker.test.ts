import { expect, test } from "vitest";
import { found, toggled } from "./picker";

const all = [
  { id: "1", name: "Kim Minji" },
  { id: "2", name: "박서준" },
];

test("people are found by any part of their name", () => {
  expect(found(all, " MIN ")).toEqual([all[0]]);
  expect(found(all, "서준".normalize("NFD"))).toEqual([all[1]]);
  expect(found(all, "")).toEqual(all);
  expect(found(all, "x")).toEqual([]);
});

test("a tick adds once and takes away", () => {
  expect(toggled(["1"], "2", true)).toEqual(["1", "2"]);
  expect(toggled(["1"], "1", true)).toEqual(["1"]);
  expect(toggled(["1", "2"], "1", false)).toEqual(["2"]);
});
