import type { ComponentChildren, JSX } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icon";
import { placeBeside } from "./place";
import "./menu.css";

export interface Item {
  icon: IconName;
  label: string;
  danger?: boolean;
  /** One of both: what to do, or where to go. */
  run?: () => void;
  href?: string;
}

/** A button that opens a list of actions. The browser closes it on Escape or a click elsewhere. */
export function Menu({
  label,
  items,
  look = "icon-button",
  children,
}: {
  label: string;
  items: Item[];
  /** Class of the button. */
  look?: string;
  children?: ComponentChildren;
}): JSX.Element {
  const id = useId();
  // A list of fifty has as many menus: each is made when it is first opened.
  const [made, make] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);

  const onToggle = (event: { newState?: string }) => {
    if (event.newState !== "open" || !button.current || !list.current) return;
    placeBeside(list.current, button.current, "below");
    list.current.querySelector<HTMLElement>("[role=menuitem]")?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // From the button, the browser goes on to what is after or before it.
    if (event.key === "Tab") return close();
    if (!list.current) return;
    const all = [...list.current.querySelectorAll<HTMLElement>("[role=menuitem]")];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all.at(to % all.length)?.focus();
  };
  const close = () => {
    list.current?.hidePopover();
    button.current?.focus();
  };
  return (
    <>
      <button
        class={look}
        type="button"
        ref={button}
        aria-label={label}
        title={children ? undefined : label}
        aria-haspopup="menu"
        popovertarget={id}
      >
        {children ?? <Icon name="dots" />}
      </button>
      <div
        id={id}
        class="menu"
        role="menu"
        aria-label={label}
        popover="auto"
        ref={list}
        tabIndex={-1}
        onBeforeToggle={() => make(true)}
        onToggle={onToggle}
        onKeyDown={onKeyDown}
      >
        {made && items.map((item) => <MenuItem key={item.label} item={item} close={close} />)}
      </div>
    </>
  );
}

function MenuItem({ item, close }: { item: Item; close: () => void }): JSX.Element {
  const style = item.danger ? "menu-item danger" : "menu-item";
  const inside = (
    <>
      <Icon name={item.icon} /> {item.label}
    </>
  );
  if (item.href) {
    return (
      <a class={style} role="menuitem" href={item.href} download onClick={close}>
        {inside}
      </a>
    );
  }
  const run = () => {
    close();
    item.run?.();
  };
  return (
    <button class={style} role="menuitem" type="button" onClick={run}>
      {inside}
    </button>
  );
}
