import { expect, test } from "vitest";
import { GrowingText, parse } from "./parse";

const formulas = (source: string) => {
  const found: string[] = [];
  const look = (tokens: ReturnType<typeof parse>) => {
    for (const token of tokens) {
      if (token.type === "maths") found.push(token.tex);
      else if ("tokens" in token && token.tokens) look(token.tokens);
    }
  };
  look(parse(source));
  return found;
};

test.each([
  ["so $a^2 + b^2$ is", ["a^2 + b^2"]],
  ["$$\\frac{a}{b}$$", ["\\frac{a}{b}"]],
  ["before\n\n$$\nx = 1\n$$\n\nafter", ["x = 1"]],
  ["\\[x\\] and \\(y\\)", ["x", "y"]],
  ["\\[\nx\n\\]", ["x"]],
  ["비용은 $5에서 $10까지", []],
  ["$5 or $10 and 10 $", []],
  ["`$a$` and \\$a\\$", []],
  ["```\n$$x$$\n```", []],
  ["$$ $$", []],
])("formulas are told from prices and code: %s", (source, expected) => {
  expect(formulas(source)).toEqual(expected);
});

const LONG = [
  "# 제목\n\n첫 문단 **굵게** [1]\n이어서\n\n- 하나\n- 둘\n\n  안쪽\n\n1. a\n2. b\n",
  "| a | b |\n|---|---|\n| 1 | [2] |\n\n```py\nx = 1\n\ny = 2\n```\n> 인용\n이어짐\n",
  "\n---\n\n$$\nx\n$$\n\nSetext\n===\n\n끝 $y$ 입니다.\r\n\r\n    code\n\n* * *\n마지막",
].join("\n");

test("a text that grows is parsed as if it had come at once", () => {
  const growing = new GrowingText();
  for (let end = 0; end <= LONG.length; end += 3) {
    const part = LONG.slice(0, end);
    expect(JSON.stringify(growing.parse(part)), part).toBe(JSON.stringify(parse(part)));
  }
});

test("a block that is finished is the same one after a word more, so nobody draws it again", () => {
  const growing = new GrowingText();
  const before = growing.parse("하나\n\n```\nx\n```\n\n둘");
  const after = growing.parse("하나\n\n```\nx\n```\n\n둘과 셋");
  expect(after[0]).toBe(before[0]);
  expect(after[2]).toBe(before[2]);
  expect(after.at(-1)?.raw).toBe("둘과 셋");
});
