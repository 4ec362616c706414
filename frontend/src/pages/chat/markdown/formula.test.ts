import { expect, test } from "vitest";
import { formula } from "./formula";
import { highlight } from "./highlight";

test.each([
  "\\href{javascript:alert(1)}{x}",
  "\\url{https://evil.example}",
  "\\includegraphics{https://evil.example/x.png}",
  "\\data{onclick=alert(1)}{x}",
  "\\class{app}{x}",
  "\\id{app}{x}",
  "\\text{<img src=x onerror=alert(1)>}",
  "\\style{position:fixed}{x}",
])("a formula links, loads and runs nothing: %s", (tex) => {
  const made = formula(tex, true);
  for (const element of made ? [made, ...made.querySelectorAll("*")] : []) {
    expect(element.namespaceURI).toBe("http://www.w3.org/1998/Math/MathML");
    for (const { name, value } of [...element.attributes]) {
      expect(name).not.toMatch(/^(on.*|href|src|id|data-.*|xlink:.*)$/i);
      expect(value).not.toMatch(/javascript:|evil/);
    }
    expect(element.getAttribute("style") ?? "").not.toMatch(/position|url/);
  }
});

test("what is no TeX stays as it was written, and what never ends is given up", () => {
  expect(formula("\\frac{a", false)).toBeUndefined();
  expect(formula("\\def\\a{\\a\\a}\\a", false)).toBeUndefined();
});

test("a fraction is drawn as one", () => {
  expect(formula("\\frac{a}{b}", true)?.querySelector("mfrac")?.children).toHaveLength(2);
});

const kinds = (text: string, name: string) =>
  highlight(text, name)?.map((part) =>
    typeof part === "string" ? part : (part as { props: { class: string } }).props.class,
  );

test("code has its words marked, in a language that is known by any of its names", () => {
  expect(kinds("def f(): # x", "Python")).toEqual(kinds("def f(): # x", "py"));
  expect(kinds("def f(): # x", "py")).toContain("hl-kwd");
  expect(highlight("x", "brainf")).toBeUndefined();
  expect(highlight("x", "constructor")).toBeUndefined();
});

test("no text of the code is lost", () => {
  const text = `const a = "x <b>" + /a+/g; // 끝\n`;
  const parts = highlight(text, "ts")?.map((part) =>
    typeof part === "string" ? part : (part as { props: { children: string } }).props.children,
  );
  expect(parts?.join("")).toBe(text);
});
