import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import { t } from "../../../i18n";
import { copy } from "../../../ui/clipboard";
import { Icon } from "../../../ui/icon";
import type { highlight } from "./highlight";

const loaded = signal<typeof highlight | undefined>(undefined);

async function load(): Promise<void> {
  try {
    const found = await import(/* webpackChunkName: "highlight" */ "./highlight");
    loaded.value ??= found.highlight;
  } catch {
    // The code stays in one colour; the next block tries again.
  }
}

/** A block of code, in colours once the part that knows them has come. */
export function Code({ text, language }: { text: string; language?: string }): JSX.Element {
  // What follows the name, such as `py title="a.py"`, is for other programs.
  const name = language?.trim().split(/[\s,{]/)[0] ?? "";
  const paint = name ? loaded.value : undefined;
  if (name && !paint) load();
  const inside = useMemo((): ComponentChildren => paint?.(text, name) ?? text, [paint, text, name]);
  return (
    <div class="code">
      <div class="code-top">
        <span class="code-language">{name}</span>
        <button
          class="icon-button"
          type="button"
          aria-label={t.value.copyCode}
          title={t.value.copyCode}
          onClick={() => copy(text)}
        >
          <Icon name="copy" />
        </button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>
        {/* Coloured, it is another element: parts of one that change places would count as moved. */}
        <code key={paint ? "painted" : "plain"}>{inside}</code>
      </pre>
    </div>
  );
}
