import type { Token, Tokens } from "marked";
import { type ComponentChildren, Fragment, h, type JSX, type VNode } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { safeAddress } from "../../../lib/address";
import { Code } from "./code";
import { Maths } from "./maths";
import { type CitationToken, decodeEntities, GrowingText, type MathsToken } from "./parse";
import "./markdown.css";

interface Props {
  source: string;
  /** What to show for a marker; undefined where no source has that number. */
  citation: (number: number) => ComponentChildren | undefined;
}

/**
 * Markdown as elements, made from the parser's tokens one by one: no HTML is ever written, so
 * there is nothing to sanitise, and a block that is finished is not touched by the next word.
 */
export default function Markdown({ source, citation }: Props): JSX.Element {
  const text = useMemo(() => new GrowingText(), []);
  const tokens = useMemo(() => text.parse(source), [source]);
  return <div class="markdown">{useBlocks(tokens, citation)}</div>;
}

/** The element of a block that is as before is the very same one: Preact then skips all of it. */
function useBlocks(tokens: Token[], cite: Cite): VNode[] {
  const before = useRef<{ cite: Cite; made: [Token, VNode][] }>({ cite, made: [] });
  const made = before.current.cite === cite ? before.current.made : [];
  const now = tokens.map((token, key): [Token, VNode] => {
    const known = made[key];
    return known?.[0] === token ? known : [token, <Block key={key} token={token} cite={cite} />];
  });
  before.current = { cite, made: now };
  return now.map(([, element]) => element);
}

type Cite = Props["citation"];

function blocks(tokens: Token[], cite: Cite): ComponentChildren[] {
  return tokens.map((token, key) => <Block key={key} token={token} cite={cite} />);
}

function Block({ token, cite }: { token: Token; cite: Cite }): JSX.Element | null {
  switch (token.type) {
    case "paragraph":
      return <p>{inline(token.tokens ?? [], cite)}</p>;
    case "text": // a line of a tight list
      return <>{token.tokens ? inline(token.tokens, cite) : decodeEntities(token.text)}</>;
    case "heading":
      // The page has its own h1 and h2.
      return h(`h${Math.min(6, token.depth + 2)}`, null, inline(token.tokens ?? [], cite));
    case "code":
      return <Code text={token.text} language={token.lang} />;
    case "maths":
      return <Maths tex={token.tex} display />;
    case "blockquote":
      return <blockquote>{blocks(token.tokens ?? [], cite)}</blockquote>;
    case "list":
      return <List list={token as Tokens.List} cite={cite} />;
    case "table":
      return <Table table={token as Tokens.Table} cite={cite} />;
    case "hr":
      return <hr />;
    case "space":
      return null;
    default:
      return <>{inline([token], cite)}</>;
  }
}

function List({ list, cite }: { list: Tokens.List; cite: Cite }): JSX.Element {
  const items = list.items.map((item, key) => (
    <li key={key} class={item.task ? "task" : undefined}>
      {blocks(item.tokens, cite)}
    </li>
  ));
  return list.ordered ? <ol start={Number(list.start) || 1}>{items}</ol> : <ul>{items}</ul>;
}

function Table({ table, cite }: { table: Tokens.Table; cite: Cite }): JSX.Element {
  const cells = (row: Tokens.TableCell[], tag: "th" | "td") =>
    row.map((cell, at) =>
      h(tag, { key: at, class: table.align[at] ?? "" }, inline(cell.tokens, cite)),
    );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div class="scroll" tabIndex={0}>
      <table>
        <thead>
          <tr>{cells(table.header, "th")}</tr>
        </thead>
        <tbody>
          {table.rows.map((row, key) => (
            <tr key={key}>{cells(row, "td")}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(tokens: Token[], cite: Cite): ComponentChildren[] {
  return tokens.map((token, key) => <Inline key={key} token={token} cite={cite} />);
}

function Inline({ token, cite }: { token: Token; cite: Cite }): JSX.Element {
  const inside = () => ("tokens" in token && token.tokens ? inline(token.tokens, cite) : token.raw);
  switch (token.type) {
    case "strong":
      return <strong>{inside()}</strong>;
    case "em":
      return <em>{inside()}</em>;
    case "del":
      return <del>{inside()}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "br":
      return <br />;
    case "link":
      return <Leaving address={token.href}>{inside()}</Leaving>;
    case "image": // never loaded: its address may carry what was in a document
      return (
        <span class="image">
          <Leaving address={token.href}>{decodeEntities(token.text || token.href)}</Leaving>
        </span>
      );
    case "checkbox":
      // As text: nobody can tick it, and a field would need a name.
      return <>{(token as Tokens.Checkbox).checked ? "☑\u00a0" : "☐\u00a0"}</>;
    case "kept":
      return <span class="kept">{inside()}</span>;
    case "citation":
      return <Citations token={token as CitationToken} cite={cite} />;
    case "maths":
      return <Maths tex={token.tex} display={(token as MathsToken).display} />;
    case "escape":
      return <>{token.text}</>;
    default:
      return <>{"tokens" in token && token.tokens ? inside() : decodeEntities(token.raw)}</>;
  }
}

/** A way out of the page, if it is one that a browser may follow; else only its text. */
function Leaving({ address, children }: { address: string; children: ComponentChildren }) {
  const href = safeAddress(address);
  if (!href) return <>{children}</>;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

function Citations({ token, cite }: { token: CitationToken; cite: Cite }): JSX.Element {
  const chips = token.numbers.map((number) => [number, cite(number)] as const);
  if (chips.some(([, chip]) => chip === undefined)) return <>{token.raw}</>;
  return (
    <>
      {chips.map(([number, chip]) => (
        <Fragment key={number}>{chip}</Fragment>
      ))}
    </>
  );
}
