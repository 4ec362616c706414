import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type Markdown from "./markdown";

type Props = Parameters<typeof Markdown>[0];

const loaded = signal<typeof Markdown | undefined>(undefined);

/** Fetched when the browser is idle, and run (20 ms on a phone) when an answer is about to come. */
export async function loadMarkdown(): Promise<void> {
  try {
    loaded.value ??= (
      await import(/* webpackChunkName: "markdown", webpackPrefetch: true */ "./markdown")
    ).default;
  } catch {
    // The answer stays plain text; the next one tries again.
  }
}

/** Plain text for the moment until the code that formats it is there. */
export function LazyMarkdown(props: Props): JSX.Element {
  const Loaded = loaded.value;
  if (Loaded) return <Loaded {...props} />;
  loadMarkdown();
  return <p class="plain">{props.source}</p>;
}
