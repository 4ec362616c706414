import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { t } from "../i18n";
import { countCharacters } from "../lib/text";
import { Icon } from "../ui/icon";
import { Shown } from "../ui/panel";
import { around, type Passage, type Shown as ShownText, SourceText } from "./text";
import "./source.css";

/** A document's text with a passage marked. Give it a `key` that changes with the passage. */
export function Viewer({ passage }: { passage: Passage }): JSX.Element {
  const source = useMemo(() => new SourceText(passage), []);
  const top = useRef<HTMLDivElement>(null);
  useEffect(() => {
    source.begin();
    return () => source.shown.abort();
  }, []);
  const turn = (step: () => Promise<void>) => async () => {
    await step();
    top.current?.scrollIntoView({ block: "nearest" });
  };
  return (
    <Shown of={source.shown}>
      {(data) => (
        <div class="viewer" ref={top}>
          <Pages
            shown={data}
            previous={turn(() => source.previous())}
            next={turn(() => source.next())}
          />
          {data.changed && (
            <div class="notice" role="status">
              <p>{t.value.sourceChanged}</p>
              <blockquote>{passage.quote}</blockquote>
            </div>
          )}
          <Text key={data.page.start} shown={data} passage={passage} />
        </div>
      )}
    </Shown>
  );
}

function Pages({
  shown,
  previous,
  next,
}: {
  shown: ShownText;
  previous: () => void;
  next: () => void;
}) {
  const { number, pages, paged, start, text, total } = shown.page;
  if (pages < 2) return null;
  const name = paged ? t.value.pageOf(number, pages) : t.value.partOf(number, pages);
  return (
    <nav class="viewer-pages" aria-label={name}>
      <button
        class="icon-button"
        type="button"
        aria-label={t.value.previousPage}
        title={t.value.previousPage}
        disabled={start === 0}
        onClick={previous}
      >
        <Icon name="left" />
      </button>
      <span>{name}</span>
      <button
        class="icon-button"
        type="button"
        aria-label={t.value.nextPage}
        title={t.value.nextPage}
        disabled={start + countCharacters(text) >= total}
        onClick={next}
      >
        <Icon name="right" />
      </button>
    </nav>
  );
}

function Text({ shown, passage }: { shown: ShownText; passage: Passage }): JSX.Element {
  const mark = useRef<HTMLElement>(null);
  const [before, inside, after] = around(shown, passage);
  useEffect(() => {
    mark.current?.scrollIntoView({ block: "center" });
  }, []);
  if (!shown.page.text.trim()) return <p class="muted">{t.value.noText}</p>;
  return (
    <p class="viewer-text" lang={/[가-힣]/.test(shown.page.text) ? "ko" : undefined}>
      {before}
      {inside && <mark ref={mark}>{inside}</mark>}
      {after}
    </p>
  );
}
