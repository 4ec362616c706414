import esbuild from "esbuild";
import { critical } from "./critical.js";

/**
 * What the server writes into each page before its scripts run: route -> {css, html: language ->
 * markup, parts: language -> name -> markup}. `css` is what all that needs of `sheets(route)`, to
 * stand in the page itself.
 *
 * @param {string} source of src/shell/skeleton.tsx
 * @param {(route: string) => string} sheets
 */
export async function shells(source, sheets) {
  const { outputFiles } = await esbuild.build({
    entryPoints: [source],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    jsx: "automatic",
    jsxImportSource: "preact",
    loader: { ".css": "empty" },
  });
  const code = Buffer.from(outputFiles[0].contents).toString("base64");
  const { SHELLS, LANGUAGES, draw } = await import(`data:text/javascript;base64,${code}`);
  const found = {};
  for (const route of Object.keys(SHELLS)) {
    const drawn = Object.keys(LANGUAGES).map((lang) => [lang, draw(route, lang)]);
    const of = (pick) => Object.fromEntries(drawn.map(([lang, one]) => [lang, pick(one)]));
    const all = drawn.flatMap(([, { html, parts, more }]) => [html, ...Object.values(parts), more]);
    found[route] = {
      css: critical(sheets(route), all.join("")),
      html: of(({ html }) => html),
      parts: of(({ parts }) => parts),
    };
  }
  return found;
}
