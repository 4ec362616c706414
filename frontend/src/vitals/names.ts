/** Names for what was measured that say nothing about people or their documents. */

const LEVELS = 3;
const LONGEST = 100;

/** An element by the tags and classes of itself and what it stands in: no id, no text. */
export function targetOf(node: Node | null): string | undefined {
  const names: string[] = [];
  let element = node instanceof Element ? node : (node?.parentElement ?? null);
  while (element && element !== document.body && names.length < LEVELS) {
    const classes = [...element.classList].filter((name) => /^[a-z][a-z-]{0,23}$/.test(name));
    names.unshift([element.localName, ...classes.slice(0, 2)].join("."));
    element = element.parentElement;
  }
  const target = names.join(" > ").replace(/[^a-zA-Z0-9 .>_-]/g, "");
  return target ? target.slice(0, LONGEST) : undefined;
}

/** `METHOD /path` with nothing in the place of ids that leads to anybody's. */
export function operationOf(method: string, path: string): string {
  const plain = path.replace(/[?#].*$/, "").replace(
    // Of a picture, also which one of its document: `-p3`.
    /\/([0-9a-f]{64}|[0-9a-f]{32})(?:(-[pi])\d+)?(?=\/|$)/g,
    (_, id: string, part?: string) => `/${"0".repeat(id.length)}${part ? `${part}1` : ""}`,
  );
  return `${method} ${plain}`;
}
