import { render } from "preact-render-to-string";
import { describe, expect, test } from "vitest";
import Markdown from ".";

const html = (source: string) =>
  render(
    <Markdown source={source} citation={(number) => (number <= 3 ? <b>{number}</b> : undefined)} />,
  );

describe("nothing in an answer runs or loads", () => {
  test.each([
    "<script>alert(1)</script>",
    "text <img src=x onerror=alert(1)> text",
    "<div\nonclick='alert(1)'>\n\nhello",
    "<a href='javascript:alert(1)'>x</a>",
    "<!-- comment --><style>*{display:none}</style>",
    "<svg/onload=alert(1)>",
    "- <iframe src='https://example.com'></iframe>",
    "| a |\n| - |\n| <img src=x onerror=alert(1)> |",
  ])("HTML stays text: %s", (source) => {
    expect(html(source)).not.toMatch(/<(script|img|a|style|svg|iframe|div\s+onclick)[\s/>]/i);
    expect(html(source)).toContain("&lt;");
  });

  test.each([
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHN2Zz4=)",
    "[x](vbscript:x)",
    "[x](/api/v1/documents)",
    "[x](//example.com)",
    "<javascript:alert(1)>",
  ])("a dangerous link is only its text: %s", (source) => {
    expect(html(source)).not.toContain("<a");
  });

  test("links leave without telling where from", () => {
    expect(html("[x](https://example.com/a?b=c)")).toContain(
      '<a href="https://example.com/a?b=c" target="_blank" rel="noopener noreferrer nofollow">x</a>',
    );
  });

  test("images are links, not loaded", () => {
    const shown = html("![chart](https://example.com/?q=secret)");
    expect(shown).not.toContain("<img");
    expect(shown).toContain(
      '<a href="https://example.com/?q=secret" target="_blank" rel="noopener noreferrer nofollow">chart</a>',
    );
    expect(html("![chart](data:image/svg+xml;base64,PHN2Zz4=)")).not.toContain("<a");
  });
});

describe("citations", () => {
  test("markers become chips, one each, also where they touch", () => {
    expect(html("하나[1] 둘 [2, 3][1].").replace(/<\/?span[^>]*>/g, "")).toContain(
      "하나<b>1</b> 둘 <b>2</b><b>3</b><b>1</b>.",
    );
  });

  test("a marker without a source stays text, and so do numbers in code", () => {
    expect(html("x [9] `a[1]`")).toContain('x<span class="kept"> [9]</span> <code>a[1]</code>');
  });

  test.each([
    ["비용은 환급됩니다[1].", '비용은 환급됩니<span class="kept">다<b>1</b>.</span>'],
    ["It is repaid [1], [2]. So", 'repaid<span class="kept"> <b>1</b>, <b>2</b>.</span> So'],
    ["**환급**[1]로 한다", '<span class="kept"><strong>환급</strong><b>1</b>로</span> 한다'],
    ["a **long, long, and much longer word**[1]", '</strong><span class="kept"><b>1</b></span>'],
    ["[see [1]](https://a.example)", 'see<span class="kept"> <b>1</b></span></a>'],
    ["a &gt;[1]\n[2]", 'a ><span class="kept"><b>1</b></span><br/><span class="kept"><b>2</b>'],
    ["\\[1] $a[1]$", "[1] "],
    [`all [${"1, ".repeat(5)}1]`, `all ${"<b>1</b>".repeat(6)}`],
  ])("markers keep to the line of what they prove: %s", (source, shown) => {
    expect(html(source)).toContain(shown);
  });

  test("no definition can turn a marker into a link", () => {
    const shown = html("see [1]\n\n[1]: https://evil.example/");
    expect(shown).toContain("<b>1</b>");
    expect(shown).not.toMatch(/<a[^>]*>\s*1/);
  });
});

describe("ordinary Markdown", () => {
  test("headings, lists, tables and code", () => {
    expect(html("# A\n\n1. one\n2. two\n   - deep\n\n| a | b |\n|---|--:|\n| 1 | 2 |")).toBe(
      '<div class="markdown"><h3>A</h3><ol start="1"><li>one</li><li>two<ul><li>deep</li></ul></li></ol>' +
        '<div class="scroll" tabindex="0"><table><thead><tr><th class>a</th><th class="right">b</th></tr></thead>' +
        '<tbody><tr><td class>1</td><td class="right">2</td></tr></tbody></table></div></div>',
    );
    // Coloured or not yet: the highlighter comes when it comes.
    const code = html("```py\nx < 1\n").replace(/<\/?span[^>]*>/g, "");
    expect(code).toContain("<code>x &lt; 1</code>");
  });

  test("entities and escapes are read", () => {
    expect(html("a &lt; b &amp;&#38; \\*c\\* &#x41;")).toContain("a &lt; b &amp;&amp; *c* A");
  });

  test("any half of an answer can be shown while it is written", () => {
    const whole =
      "**굵게** `code` [1]\n\n| a | b |\n|---|---|\n| 1 | [2] |\n\n```\nx\n```\n- a\n  1. b";
    for (let end = 0; end <= whole.length; end++)
      expect(() => html(whole.slice(0, end))).not.toThrow();
  });
});

test("what is to be done and what is done are told by a sign, not by a field", () => {
  expect(html("- [ ] todo\n- [x] done\n- other")).toContain(
    '<li class="task">☐\u00a0todo</li><li class="task">☑\u00a0done</li><li>other</li>',
  );
  expect(html("- [ ] one\n\n- [x] two")).toContain('<li class="task"><p>☐\u00a0one</p></li>');
});
