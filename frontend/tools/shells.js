import esbuild from "esbuild";
import { critical } from "./critical.js";

/**
 * What the server writes into each page before its scripts run: route -> {css, html: language ->
 * markup}. `css` is what that markup needs of `sheets(route)`, to stand in the page itself.
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
  const { SHELLS, LANGUAGES, shell } = await import(`data:text/javascript;base64,${code}`);
  const found = {};
  for (const route of Object.keys(SHELLS)) {
    const html = Object.fromEntries(
      Object.keys(LANGUAGES).map((lang) => [lang, shell(route, lang)]),
    );
    found[route] = { css: critical(sheets(route), Object.values(html).join("")), html };
  }
  return found;
}
