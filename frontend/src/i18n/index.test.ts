import { expect, test } from "vitest";
import { CATALOGUES, chooseLanguage, explain, followLanguage, preferred } from ".";
import { ADMIN_CATALOGUES } from "./admin";

/** Every sentence of a catalogue by its path. Functions are called with plausible values. */
function sentences(node: unknown, path = ""): [string, string][] {
  if (typeof node === "string") return [[path, node]];
  if (typeof node === "function") return [[path, String(node(2, 3, 4))]];
  return Object.entries(node as object).flatMap(([key, child]) =>
    sentences(child, path ? `${path}.${key}` : key),
  );
}

test("both languages have the same sentences, and none is empty", () => {
  const korean = new Map(sentences({ ...CATALOGUES.ko, admin: ADMIN_CATALOGUES.ko }));
  const english = new Map(sentences({ ...CATALOGUES.en, admin: ADMIN_CATALOGUES.en }));
  expect([...korean.keys()].sort()).toEqual([...english.keys()].sort());
  for (const [path, sentence] of [...korean, ...english]) {
    expect(sentence.trim(), path).not.toBe("");
    expect(sentence, path).not.toMatch(/undefined|NaN|\[object/);
  }
});

test("Korean sentences are in Korean", () => {
  const left = sentences([CATALOGUES.ko, ADMIN_CATALOGUES.ko])
    .filter(([, sentence]) => !/[가-힣]/.test(sentence))
    .filter(([, sentence]) => /[A-Za-z]/.test(sentence));
  expect(left).toEqual([]);
});

test("the choice is remembered and reaches the page", () => {
  followLanguage();
  chooseLanguage("ko");
  expect(document.documentElement.lang).toBe("ko");
  expect(preferred()).toBe("ko");
  chooseLanguage("en");
  expect(document.documentElement.lang).toBe("en");
  expect(preferred()).toBe("en");
});

test("errors are explained in the reader's language", () => {
  const problem = { code: "too_large", detail: "The limit is 100 MiB." };
  chooseLanguage("en");
  expect(explain(problem)).toBe("The limit is 100 MiB.");
  chooseLanguage("ko");
  expect(explain(problem)).toBe(CATALOGUES.ko.errors.too_large);
  expect(explain({ code: "brand_new", detail: "" })).toBe(CATALOGUES.ko.errors.internal_error);
});
