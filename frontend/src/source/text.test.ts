import { expect, test } from "vitest";
import type { TextPage } from "../api/types";
import { around } from "./text";

const page: TextPage = {
  document: { id: "0".repeat(32), name: "a.pdf", media_type: "application/pdf" },
  version: 1,
  number: 2,
  pages: 3,
  paged: true,
  start: 100,
  text: "😀가나다라마바사",
  total: 300,
};
const passage = { document: page.document.id, version: 1, start: 102, end: 104, quote: "나다" };

test("the passage is found by characters, counted from the beginning of the document", () => {
  expect(around({ page, changed: false }, passage)).toEqual(["😀가", "나다", "라마바사"]);
});

test("a passage that began on the page before, or ends on the next, is marked as far as it goes", () => {
  expect(around({ page, changed: false }, { ...passage, start: 90 })[1]).toBe("😀가나다");
  expect(around({ page, changed: false }, { ...passage, end: 900 })[1]).toBe("나다라마바사");
});

test("nothing is marked on a page without it", () => {
  expect(around({ page, changed: false }, { ...passage, start: 10, end: 20 })[1]).toBe("");
  expect(around({ page, changed: false }, { ...passage, start: 150, end: 160 })[1]).toBe("");
});

test("in a newer version it is looked for by its words", () => {
  const moved = { ...passage, start: 0, end: 2, quote: "마바" };
  expect(around({ page, changed: true }, moved)).toEqual(["😀가나다라", "마바", "사"]);
  expect(around({ page, changed: true }, { ...moved, quote: "없음" })[1]).toBe("");
});
