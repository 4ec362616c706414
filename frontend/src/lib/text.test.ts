import { expect, test } from "vitest";
import { countCharacters, cut, indexOfCharacter } from "./text";

test("characters outside the basic plane count once", () => {
  const text = "a😀나𠮷b";
  expect(countCharacters(text)).toBe(5);
  expect(indexOfCharacter(text, 2)).toBe(3);
  expect(indexOfCharacter(text, 99)).toBe(text.length);
});

test("a passage is cut out whole, and clipped to the text", () => {
  expect(cut("가😀나다", 1, 3)).toEqual(["가", "😀나", "다"]);
  expect(cut("가나다", -2, 2)).toEqual(["", "가나", "다"]);
  expect(cut("가나다", 2, 9)).toEqual(["가나", "다", ""]);
});
