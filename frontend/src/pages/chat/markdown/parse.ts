import { Marked, type Token, type Tokens } from "marked";

/** A marker such as [2] or [1, 3] in an answer. */
export interface CitationToken extends Tokens.Generic {
  type: "citation";
  raw: string;
  numbers: number[];
}

/** A formula in TeX; `display` for one on lines of its own. */
export interface MathsToken extends Tokens.Generic {
  type: "maths";
  raw: string;
  tex: string;
  display: boolean;
}

const MARKER = /^\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()/;

const MARKED = String.raw`\[\d{1,3}(?:\s*,\s*\d{1,3}){0,2}\](?!\()`;
// What comes before markers: spaces (no line begins with them), the end of a word, or a word in bold.
const BEFORE = String.raw` {1,3}|[\p{L}\p{N}.,:%]`;
const BOLD = String.raw`\*\*(?! )([^*_~\[\]\\<>&$\n${"`"}]{1,12})(?<! )\*\*`;
/** Markers with what stands on the same line: the same as in likeopt/web/markdown.py. */
const KEPT = new RegExp(
  `^((?:${BEFORE}|${BOLD})?)(${MARKED}(?:[,;]? ?${MARKED})?[가-힣]{0,4}[.,:;!?)…。，、]*)`,
  "u",
);
const BEFORE_END = new RegExp(`(?:${BEFORE})$`, "u");

/** Where in a text markers begin, with what is kept beside them. */
function startOfKept(source: string): number | undefined {
  const at = source.search(/\[\d/);
  if (at < 0) return undefined;
  return at - (BEFORE_END.exec(source.slice(Math.max(0, at - 4), at))?.[0].length ?? 0);
}

function kept(source: string): Tokens.Generic | undefined {
  const [raw, before = "", bold, markers = ""] = KEPT.exec(source) ?? [];
  if (!raw) return undefined;
  const first = bold
    ? { type: "strong", raw: before, text: bold, tokens: [plain(bold)] }
    : plain(before);
  const others = markers.split(/(\[[^\]]*\])/).map((piece) => citation(piece) ?? plain(piece));
  return { type: "kept", raw, tokens: [first, ...others].filter((token) => token.raw) };
}

const plain = (raw: string): Tokens.Generic => ({ type: "text", raw, text: raw });

function citation(source: string): CitationToken | undefined {
  const found = MARKER.exec(source);
  if (!found?.[1]) return undefined;
  return { type: "citation", raw: found[0], numbers: found[1].split(",").map(Number) };
}

const BLOCK_MATHS = /^ {0,3}(?:\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\])[ \t]*(?:\n|$)/;
// Prices are no formulas: no space inside the dollars, no digit after them ("$5 or $10").
const INLINE_MATHS =
  /^(?:\$\$([^$\n]+?)\$\$|\$(?![\s$])((?:\\[^\n]|[^$\n\\])*?)(?<!\s)\$(?![\d$])|\\\(([^\n]+?)\\\)|\\\[([^\n]+?)\\\])/;

function maths(found: RegExpExecArray | null, display: boolean): MathsToken | undefined {
  const tex = found?.slice(1).find((group) => group !== undefined);
  if (!found || !tex?.trim()) return undefined;
  return { type: "maths", raw: found[0], tex: tex.trim(), display };
}

/**
 * Markdown as tokens. Answers come from models and documents, so nothing in them is trusted:
 * HTML is not recognised and stays text, and `[1]: https://…` defines no link, or a document
 * could turn the marker of a citation into an address of its choice.
 */
const markdown = new Marked({
  gfm: true,
  breaks: true,
  tokenizer: {
    html: () => undefined,
    tag: () => undefined,
    def: () => undefined,
  },
  extensions: [
    {
      name: "blockMaths",
      level: "block",
      start: (source) => indexOf(source, /^ {0,3}(?:\$\$|\\\[)/m),
      tokenizer: (source) => maths(BLOCK_MATHS.exec(source), true),
    },
    {
      name: "inlineMaths",
      level: "inline",
      start: (source) => indexOf(source, /\$|\\[([]/),
      tokenizer: (source) => maths(INLINE_MATHS.exec(source), /^(?:\$\$|\\\[)/.test(source)),
    },
    {
      name: "citation",
      level: "inline",
      start: (source) => indexOf(source, /\[\d/),
      tokenizer: citation,
    },
    { name: "kept", level: "inline", start: startOfKept, tokenizer: kept },
  ],
});

function indexOf(source: string, what: RegExp): number | undefined {
  const at = source.search(what);
  return at < 0 ? undefined : at;
}

export function parse(source: string): Token[] {
  return markdown.lexer(source);
}

/**
 * Parses a text that grows at its end. Only its last block can still change, so only that is read
 * again: a word more costs the same at the end of a long answer as at its beginning. (That holds
 * because nothing reaches back: definitions of links are not recognised.)
 */
export class GrowingText {
  #source = "";
  #tokens: Token[] = [];

  parse(source: string): Token[] {
    const text = source.replace(/\r\n?/g, "\n");
    const grown = this.#source !== "" && text.startsWith(this.#source);
    const finished = grown ? this.#finished() : [];
    const length = finished.reduce((sum, { raw }) => sum + raw.length, 0);
    this.#source = text;
    this.#tokens = [...finished, ...parse(text.slice(length))];
    return this.#tokens;
  }

  #finished(): Token[] {
    const last = this.#tokens.findLastIndex(({ type }) => type !== "space");
    return this.#tokens.slice(0, Math.max(0, last));
  }
}

const NAMED: Record<string, string> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: " ",
};

/** Markdown allows entities in text; without HTML somebody has to read them. */
export function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gi,
    (all, ...groups) => {
      const [decimal, hexadecimal, name] = groups as (string | undefined)[];
      if (name) return NAMED[name.toLowerCase()] ?? all;
      const code = decimal ? Number(decimal) : Number.parseInt(hexadecimal ?? "", 16);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all;
    },
  );
}
