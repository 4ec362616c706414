import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Citation } from "../../api/types";
import { t } from "../../i18n";
import { Icon } from "../../ui/icon";
import { CARD, plain, pointed, pointing, unpoint } from "./card";

type Open = (citation: Citation) => void;

/** The number in the text. */
export function Chip({ citation, open }: { citation: Citation; open: Open }): JSX.Element {
  const { number, document_name: name, available } = citation;
  const chip = useRef<HTMLButtonElement>(null);
  const described = useComputed(() => !!pointed.value && pointed.value.chip === chip.current);
  return (
    <button
      ref={chip}
      class={available ? "chip" : "chip gone"}
      type="button"
      aria-label={available ? t.value.openSource(number, name) : t.value.sourceGone}
      aria-describedby={described.value ? CARD : undefined}
      {...pointing(citation)}
      onClick={() => {
        unpoint();
        open(citation);
      }}
    >
      {number}
    </button>
  );
}

/** The list under an answer. */
export function Sources(props: { citations: Citation[]; nearest: boolean; open: Open }) {
  const { citations, nearest, open } = props;
  if (citations.length === 0) return null;
  return (
    <section class="sources">
      <h3>{nearest ? t.value.nearest : t.value.sources}</h3>
      <ol>
        {citations.map((citation) => (
          <li key={citation.number}>
            <Source citation={citation} open={open} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function Source({ citation, open }: { citation: Citation; open: Open }): JSX.Element {
  const { number, document_name: name, page, quote, available } = citation;
  if (!available) {
    return (
      <p class="source gone">
        <span class="chip gone">{number}</span>
        <span class="source-quote">{t.value.sourceGone}</span>
      </p>
    );
  }
  return (
    <button class="source" type="button" onClick={() => open(citation)}>
      <span class="chip">{number}</span>
      <span class="source-text">
        <span class="source-name">
          <Icon name="file" />
          <span>{name}</span>
          {page && <span class="source-page">{t.value.page(page)}</span>}
        </span>
        <span class="source-quote">{plain(quote)}</span>
      </span>
    </button>
  );
}
