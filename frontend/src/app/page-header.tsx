import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import { t } from "../i18n";
import { Icon } from "../ui/icon";
import { menuOpen } from "./menu";

/** Calls the window `title`. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Like-Opt` : "Like-Opt";
  }, [title]);
}

/** Opens the side bar where it is a drawer. */
export function MenuButton(): JSX.Element {
  return (
    <button
      class="icon-button menu-button"
      type="button"
      aria-label={t.value.menu}
      onClick={() => {
        menuOpen.value = true;
      }}
    >
      <Icon name="menu" />
    </button>
  );
}

/** The line on top of a page. Its title is also the window's. */
export function PageHeader({
  title,
  quiet,
  children,
}: {
  title: string;
  /** Said to screen readers and in the window's title only. */
  quiet?: boolean;
  children?: ComponentChildren;
}): JSX.Element {
  useTitle(title);
  return (
    <header class="page-header">
      <MenuButton />
      {/* Two elements: one that comes into sight would count as one that has moved. */}
      {quiet ? (
        <h1 class="hidden">{title}</h1>
      ) : (
        <h1 key="shown" class="page-title">
          {title}
        </h1>
      )}
      {quiet && <span class="page-title" />}
      <div class="page-actions">{children}</div>
    </header>
  );
}
