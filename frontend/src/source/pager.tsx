import type { JSX } from "preact";
import { Step } from "../ui/step";

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
      <Step icon="left" label={labels[0]} run={previous} />
      <span>{name}</span>
      <Step icon="right" label={labels[1]} run={next} />
    </>
  );
}
