import { Marked, type Token, type Tokens } from "marked";

/** A marker such as [2] or [1, 3] in an answer. */
export interface CitationToken extends Tokens.Generic {
  type: "citation";
  raw: string;
  numbers: number[];
}

const MARKER = /^\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\](?!\()/;

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
      name: "citation",
      level: "inline",
      start: (source) => {
        const at = source.search(/\[\d/);
        return at < 0 ? undefined : at;
      },
      tokenizer: (source): CitationToken | undefined => {
        const found = MARKER.exec(source);
        if (!found?.[1]) return undefined;
        return { type: "citation", raw: found[0], numbers: found[1].split(",").map(Number) };
      },
    },
  ],
});

export function parse(source: string): Token[] {
  return markdown.lexer(source);
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
