import { expect, test } from "vitest";
import { summarise } from "./stages";

test("parts of a stage stand below it and are counted once", () => {
  const stages = { rewrite: 1, search: 20, "search.lexical": 5, "search.vector": 9, generate: 100 };
  expect(summarise(stages)).toEqual({
    total: 121,
    rows: [
      ["rewrite", 1],
      ["search", 20],
      ["search.lexical", 5],
      ["search.vector", 9],
      ["generate", 100],
    ],
  });
  expect(summarise({}).total).toBe(0);
  expect(summarise({ generate: 50, total: 80, search: 20 })).toEqual({
    total: 80,
    rows: [
      ["search", 20],
      ["generate", 50],
    ],
  });
});
