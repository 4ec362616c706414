import postcss from "postcss";

/**
 * Of a style sheet, the rules that may apply to `html`: those whose selectors name no class that is
 * not in it. States, such as hover, need no rule before the whole sheet is there.
 *
 * @param {string} css @param {string} html @returns {string}
 */
export function critical(css, html) {
  const used = new Set(
    [...html.matchAll(/class="([^"]*)"/g)].flatMap(([, list]) => list.split(" ")),
  );
  const tags = new Set([...html.matchAll(/<([a-z0-9]+)/g)].map(([, tag]) => tag));
  for (const tag of ["html", "body"]) tags.add(tag);
  const applies = (selector) => {
    if (/:(hover|focus|active|checked|-webkit|-moz)|::(selection|view)/.test(selector))
      return false;
    // What must not be there need not be there.
    const classes = [...selector.replace(/:not\([^)]*\)/g, "").matchAll(/\.([a-zA-Z][\w-]*)/g)];
    if (!classes.every(([, name]) => used.has(name))) return false;
    const bare = selector.replace(/\[[^\]]*\]|[.#:][\w-]+(\([^)]*\))?/g, " ");
    return [...bare.matchAll(/[a-z][a-z0-9]*/g)].every(([tag]) => tags.has(tag));
  };
  const root = postcss.parse(css);
  root.walkRules((rule) => {
    if (rule.parent?.type === "atrule" && rule.parent.name === "keyframes") return;
    const kept = rule.selectors.filter(applies);
    if (kept.length > 0) rule.selectors = kept;
    else rule.remove();
  });
  root.walkAtRules((rule) => {
    if (rule.name === "keyframes" || (rule.nodes && rule.nodes.length === 0)) rule.remove();
  });
  return root.toString().trim();
}
