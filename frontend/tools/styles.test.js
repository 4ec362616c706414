import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SOURCE = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../src");

/** Sheets stay once they are loaded: two parts with one class change each other's looks, or not, by
 * where one was before. */
test("no class is styled by itself in the sheets of two parts", () => {
  const sheets = readdirSync(SOURCE, { recursive: true }).filter((name) => name.endsWith(".css"));
  expect(sheets.length).toBeGreaterThan(10);
  const places = new Map();
  for (const sheet of sheets) {
    const text = readFileSync(path.join(SOURCE, sheet), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    for (const [, selectors] of text.matchAll(/([^{}]+)\{/g)) {
      for (const selector of selectors.split(",").map((one) => one.trim())) {
        if (!/^\.[\w-]+$/.test(selector)) continue;
        places.set(selector, (places.get(selector) ?? new Set()).add(sheet));
      }
    }
  }
  const shared = [...places].filter(([, found]) => found.size > 1);
  expect(shared.map(([selector, found]) => `${selector}: ${[...found].join(", ")}`)).toEqual([]);
});
