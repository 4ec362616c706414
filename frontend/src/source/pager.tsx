import type { JSX } from "preact";
import { Icon } from "../ui/icon";

/** Where one is among pages, and the ways to those beside it, where there are any. */
export interface Turn {
  name: string;
  labels: [previous: string, next: string];
  previous: (() => void) | undefined;
  next: (() => void) | undefined;
}

export function Pager({ name, labels, previous, next }: Turn): JSX.Element {
  return (
    <>
      <button
        class="icon-button"
        type="button"
        aria-label={labels[0]}
        title={labels[0]}
        disabled={!previous}
        onClick={previous}
      >
        <Icon name="left" />
      </button>
      <span>{name}</span>
      <button
        class="icon-button"
        type="button"
        aria-label={labels[1]}
        title={labels[1]}
        disabled={!next}
        onClick={next}
      >
        <Icon name="right" />
      </button>
    </>
  );
}
