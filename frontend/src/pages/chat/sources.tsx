import type { JSX } from "preact";
import type { Citation } from "../../api/types";
import { t } from "../../i18n";
import { Icon } from "../../ui/icon";

type Open = (citation: Citation) => void;

/** The number in the text. */
export function Chip({ citation, open }: { citation: Citation; open: Open }): JSX.Element {
  const { number, document_name: name, available } = citation;
  return (
    <button
      class={available ? "chip" : "chip gone"}
      type="button"
      title={available ? where(citation) : t.value.sourceGone}
      aria-label={t.value.openSource(number, name)}
      onClick={() => open(citation)}
    >
      {number}
    </button>
  );
}

function where({ document_name: name, page }: Citation): string {
  return page ? `${name} · ${t.value.page(page)}` : name;
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

/** A quote of Markdown without the marks of lists and code. */
function plain(quote: string): string {
  return quote.replace(/^[-*] /, "").replace(/`([^`]*)`?/g, "$1");
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
