import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { originalAddress } from "../api/documents";
import type { Citation } from "../api/types";
import { t } from "../i18n";
import { Icon } from "../ui/icon";
import { useLayer } from "../ui/layer";
import { Panel } from "../ui/panel";
import { Viewer } from "./viewer";

/** A cited passage in its source: beside the conversation, on small screens above it. */
export function SourcePanel({ citation, close }: { citation: Citation; close: () => void }) {
  const panel = useRef<HTMLElement>(null);
  useLayer(true, close);
  // Before the browser takes the focus from what this covers.
  useLayoutEffect(() => {
    const before = document.activeElement;
    panel.current?.focus({ preventScroll: true });
    const onKey = (event: KeyboardEvent) => {
      // What has taken it, a syllable being composed and a window over the page go first.
      if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
      if (!document.querySelector("dialog[open]")) close();
    };
    addEventListener("keydown", onKey);
    return () => {
      removeEventListener("keydown", onKey);
      // Once what was covered can have it again.
      queueMicrotask(() => {
        if (before instanceof HTMLElement && before.isConnected) before.focus();
      });
    };
  }, []);
  const title = citation.document_name || t.value.source(citation.number);
  return (
    <aside
      class="source-panel"
      aria-label={t.value.source(citation.number)}
      tabIndex={-1}
      ref={panel}
    >
      <header class="source-header">
        <span class="chip">{citation.number}</span>
        <h2 title={title}>{title}</h2>
        <button
          class="icon-button"
          type="button"
          aria-label={t.value.close}
          title={t.value.close}
          onClick={close}
        >
          <Icon name="close" />
        </button>
      </header>
      {citation.available ? (
        <Body citation={citation} />
      ) : (
        <Panel icon="file" body={t.value.sourceGone} />
      )}
    </aside>
  );
}

function Body({ citation }: { citation: Citation }): JSX.Element {
  const { document_id: id, version_id, start, end, quote, page } = citation;
  return (
    <>
      <p class="source-links">
        <a class="button small" href={originalAddress(id, page)} target="_blank" rel="noopener">
          <Icon name="open" /> {page ? t.value.openOriginalAt(page) : t.value.openOriginal}
        </a>
        <a class="button small" href={`/library/${id}`}>
          <Icon name="library" /> {t.value.openInLibrary}
        </a>
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div class="source-scroll" tabIndex={0}>
        <Viewer passage={{ document: id, version: version_id, start, end, quote }} />
      </div>
    </>
  );
}
