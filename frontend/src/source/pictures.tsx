import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { countPictures, type ImageName, type Range } from "../api/images";
import { t } from "../i18n";
import { Resource } from "../lib/resource";
import { Picture } from "../ui/picture";
import type { Turn } from "./pager";
import { toMarks, Zoom } from "./zoom";
import "./pictures.css";

/** The page of a PDF that a text stands on, with what is cited marked; a press enlarges it. */
export function PageImage({
  of,
  name,
  cited,
  turn,
}: {
  of: ImageName;
  /** Of the document. */
  name: string;
  cited: Range | undefined;
  turn: Turn | undefined;
}): JSX.Element {
  const stage = useRef<HTMLDivElement>(null);
  const enlarged = useSignal(false);
  useEffect(() => {
    if (!enlarged.value) return undefined;
    // The button that opened it is gone if another page was turned to.
    return () => stage.current?.querySelector("button")?.focus();
  }, [enlarged.value]);
  const label = t.value.pageOfDocument(of.number, name);
  const key = `${of.version}/${of.number}/${cited?.start}`;
  return (
    <>
      <div class="page-stage" ref={stage}>
        <Picture
          key={key}
          of={of}
          alt=""
          cited={cited}
          sizes="(max-width: 560px) 100vw, 480px"
          enlarge={{
            label,
            run: () => {
              enlarged.value = true;
            },
          }}
          onKnown={(info) => toMarks(stage.current, info)}
        />
      </div>
      {enlarged.value && (
        <Zoom
          of={of}
          label={label}
          cited={cited}
          turn={turn}
          close={() => {
            enlarged.value = false;
          }}
        />
      )}
    </>
  );
}

// What fits beside a text; a press on one shows the others, too.
const SHOWN = 6;

/** The pictures that lie in a document; nothing where there are none. */
export function Gallery({ document, name }: { document: string; name: string }) {
  const count = useMemo(() => new Resource<{ pictures: number }>(), []);
  const all = useSignal(false);
  const enlarged = useSignal(0);
  useEffect(() => {
    count.load((signal) => countPictures(document, signal));
    return () => count.abort();
  }, []);
  // That they cannot be counted is no news to who came for the text.
  const pictures = count.data?.pictures ?? 0;
  if (pictures === 0) return null;
  const nameOf = (number: number): ImageName => ({ document, part: "picture", number });
  const labelOf = (number: number) => t.value.pictureOfDocument(number, pictures, name);
  const number = enlarged.value;
  const show = (other: number) => () => {
    enlarged.value = other;
  };
  return (
    <>
      <h2>{t.value.picturesInIt(pictures)}</h2>
      <ul>
        {Array.from({ length: all.value ? pictures : Math.min(SHOWN, pictures) }, (_, at) => (
          <li key={at}>
            <Picture
              of={nameOf(at + 1)}
              alt=""
              sizes="208px"
              enlarge={{ label: labelOf(at + 1), run: show(at + 1) }}
            />
          </li>
        ))}
      </ul>
      {!all.value && pictures > SHOWN && (
        <button
          class="button small"
          type="button"
          onClick={() => {
            all.value = true;
          }}
        >
          {t.value.more}
        </button>
      )}
      {number > 0 && (
        <Zoom
          of={nameOf(number)}
          label={labelOf(number)}
          turn={
            pictures === 1
              ? undefined
              : {
                  name: `${number} / ${pictures}`,
                  labels: [t.value.previousPicture, t.value.nextPicture],
                  previous: number > 1 ? show(number - 1) : undefined,
                  next: number < pictures ? show(number + 1) : undefined,
                }
          }
          close={show(0)}
        />
      )}
    </>
  );
}
