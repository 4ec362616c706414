// @vitest-environment node
import { expect, test } from "vitest";
import { critical } from "./critical.js";

const HTML = '<div class="app"><h2 class="title on">x</h2><p>y</p></div>';

test.each([
  [":root{--a:1}", ":root{--a:1}"],
  ["*,::before{margin:0}", "*,::before{margin:0}"],
  [".app>h2{margin:0}", ".app>h2{margin:0}"],
  [".title.on,.other{top:0}", ".title.on{top:0}"],
  [".app .other{top:0}", ""],
  ["table{top:0}", ""],
  [".title:hover{top:0}", ""],
  ["p:not(.over){top:0}", "p:not(.over){top:0}"],
  ["@media (width<9px){.app{top:0}.no{top:0}}", "@media (width<9px){.app{top:0}}"],
  ["@media (width<9px){.no{top:0}}", ""],
  ["@keyframes spin{to{rotate:1turn}}", ""],
  ['input[type="text"]{top:0}', ""],
])("of %s the first paint needs %s", (css, expected) => {
  expect(critical(css, HTML)).toBe(expected);
});
