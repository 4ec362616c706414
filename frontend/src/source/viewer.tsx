import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { t } from "../i18n";
import { countCharacters } from "../lib/text";
import { Shown } from "../ui/panel";
import { LazyPageImage } from "./lazy-pictures";
import { Pager, type Turn } from "./pager";
import { around, type Passage, type Shown as ShownText, SourceText } from "./text";
import "./source.css";

const PDF = "application/pdf";

/**
 * A document's text with a passage marked; `begun` if that is there already. Give it a `key` that
 * changes with the passage.
 */
export function Viewer(props: { passage: Passage; begun?: SourceText | undefined }): JSX.Element {
  const { passage, begun } = props;
  const source = useMemo(() => begun ?? new SourceText(passage), []);
  const top = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!source.shown.data) source.begin();
    return () => source.shown.abort();
  }, []);
  const toTop = () => top.current?.scrollIntoView({ block: "nearest" });
  return (
    <Shown of={source.shown}>
      {(data) => {
        const parts = around(data, passage);
        const turn = turnOf(data, source, toTop);
        const pictured = data.page.document.media_type === PDF && data.page.paged;
        return (
          <div class="viewer" ref={top}>
            <div class={pictured ? "viewer-inside pictured" : "viewer-inside"}>
              <div class="viewer-top">
                {turn && (
                  <nav class="viewer-pages" aria-label={turn.name}>
                    <Pager {...turn} />
                  </nav>
                )}
                {pictured && <PageOf shown={data} parts={parts} turn={turn} />}
              </div>
              <div class="viewer-main">
                {data.changed && (
                  <div class="notice" role="status">
                    <p>{t.value.sourceChanged}</p>
                    <blockquote>{passage.quote}</blockquote>
                  </div>
                )}
                <Text key={data.page.start} text={data.page.text} parts={parts} />
              </div>
            </div>
          </div>
        );
      }}
    </Shown>
  );
}

type Parts = ReturnType<typeof around>;

/** The page that is shown, as a picture, with the passage marked. */
function PageOf({
  shown,
  parts: [before, inside],
  turn,
}: {
  shown: ShownText;
  parts: Parts;
  turn: Turn | undefined;
}): JSX.Element {
  const { document, number, version, start } = shown.page;
  const first = start + countCharacters(before);
  return (
    <LazyPageImage
      of={{ document: document.id, part: "page", number, version }}
      name={document.name}
      cited={inside ? { start: first, end: first + countCharacters(inside) } : undefined}
      turn={turn}
    />
  );
}

/** What leads from this page to those beside it; undefined if it is the only one. */
function turnOf({ page }: ShownText, source: SourceText, then: () => void): Turn | undefined {
  const { number, pages, paged, start, text, total } = page;
  if (pages < 2) return undefined;
  const go = (step: () => Promise<void>) => () => {
    step().then(then);
  };
  const isLast = start + countCharacters(text) >= total;
  return {
    name: paged ? t.value.pageOf(number, pages) : t.value.partOf(number, pages),
    labels: [t.value.previousPage, t.value.nextPage],
    previous: start > 0 ? go(() => source.previous()) : undefined,
    next: isLast ? undefined : go(() => source.next()),
  };
}

function Text({ text, parts }: { text: string; parts: Parts }): JSX.Element {
  const mark = useRef<HTMLElement>(null);
  const [before, inside, after] = parts;
  useEffect(() => {
    mark.current?.scrollIntoView({ block: "center" });
  }, []);
  if (!text.trim()) return <p class="muted viewer-text">{t.value.noText}</p>;
  return (
    <p class="viewer-text" lang={/[가-힣]/.test(text) ? "ko" : undefined}>
      {before}
      {inside && <mark ref={mark}>{inside}</mark>}
      {after}
    </p>
  );
}
