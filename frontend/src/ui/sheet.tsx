import type { ComponentChildren, JSX } from "preact";
import { PageHeader } from "../app/page-header";
import type { Resource } from "../lib/resource";
import "./field.css";
import { Shown } from "./panel";
import "./sheet.css";

/** A page of sections, one below another. */
export function Sheet({
  title,
  actions,
  wide,
  tabs,
  children,
}: {
  title: string;
  wide?: boolean;
  actions?: ComponentChildren;
  /** Below the title: where else one can go from here. */
  tabs?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <div class={wide ? "sheet wide" : "sheet"}>
      <div class="page-top">
        <PageHeader title={title}>{actions}</PageHeader>
        {tabs}
      </div>
      <div class="sheet-scroll">
        <div class="sheet-content">{children}</div>
      </div>
    </div>
  );
}

export function Section({
  title,
  help,
  action,
  children,
}: {
  title: string;
  help?: string;
  action?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="section">
      <header class="section-header">
        <div>
          <h2>{title}</h2>
          {help && <p class="small">{help}</p>}
        </div>
        {action}
      </header>
      {children}
    </section>
  );
}

/** A list as it is loaded: why it cannot be, `none` if it is empty, or a line for each item. */
export function Lines<T>({
  of,
  none,
  line,
}: {
  of: Resource<{ items: T[] }>;
  none?: string;
  line: (item: T) => ComponentChildren;
}): JSX.Element {
  const nothing = none && <p class="none">{none}</p>;
  return (
    <Shown of={of} empty={({ items }) => items.length === 0 && nothing}>
      {({ items }) => <ul class="lines">{items.map(line)}</ul>}
    </Shown>
  );
}

/** A line of a list: what it is, what is known of it, and what can be done. */
export function Line({
  name,
  marks,
  facts,
  action,
}: {
  name: string;
  marks?: ComponentChildren;
  facts: (string | false | null | undefined)[];
  action?: ComponentChildren;
}): JSX.Element {
  return (
    <li class="line">
      <div class="line-main">
        <p class="line-name">
          {name} {marks}
        </p>
        <p class="small">{facts.filter(Boolean).join(" · ")}</p>
      </div>
      {action}
    </li>
  );
}
