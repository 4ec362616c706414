import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { ImageInfo, ImageName, Range } from "../api/images";
import { t } from "../i18n";
import { Modal } from "../ui/modal";
import { Picture } from "../ui/picture";
import { Step } from "../ui/step";
import { Pager, type Turn } from "./pager";

// At the largest, a page is drawn as wide as the server draws any.
const STEPS = [1, 1.5, 2, 2.5] as const;
const PAGE_PX = 960;

/** A picture over the page, as large as one likes. */
export function Zoom({
  of,
  label,
  cited,
  turn,
  close,
}: {
  of: ImageName;
  label: string;
  cited?: Range | undefined;
  turn: Turn | undefined;
  close: () => void;
}): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const known = useSignal<ImageInfo | undefined>(undefined);
  const step = useSignal(0);
  /** What of its height was in the middle before it became larger or smaller. */
  const middle = useRef<[x: number, y: number] | null>(null);
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box || !middle.current) return;
    const [x, y] = middle.current;
    box.scrollLeft = x * box.scrollWidth - box.clientWidth / 2;
    box.scrollTop = y * box.scrollHeight - box.clientHeight / 2;
  }, [step.value]);
  const go = (to: number) => () => {
    const box = scroller.current;
    if (box) {
      middle.current = [
        (box.scrollLeft + box.clientWidth / 2) / box.scrollWidth,
        (box.scrollTop + box.clientHeight / 2) / box.scrollHeight,
      ];
    }
    step.value = to;
  };
  const last = STEPS.length - 1;
  return (
    <Modal title={label} look="zoom" close={close}>
      <div class="zoom-tools">
        {turn && <Pager {...turn} />}
        <span class="zoom-gap" />
        <Step
          icon="minus"
          label={t.value.zoomOut}
          run={step.value > 0 ? go(step.value - 1) : undefined}
        />
        <Step
          icon="plus"
          label={t.value.zoomIn}
          run={step.value < last ? go(step.value + 1) : undefined}
        />
        <Step icon="close" label={t.value.close} run={close} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div class="zoom-scroll" tabIndex={0} ref={scroller}>
        <div
          class="zoom-picture"
          style={{ width: widthOf(of, known.value, STEPS[step.value] ?? 1) }}
        >
          <Picture
            key={`${of.version}/${of.number}`}
            of={of}
            alt={label}
            cited={cited}
            sizes="100vw"
            onKnown={(info) => {
              known.value = info;
              toMarks(scroller.current, info);
            }}
          />
        </div>
      </div>
    </Modal>
  );
}

/** A page is as wide as can be read, a picture as large as it is, and all of it in sight. */
function widthOf({ part }: ImageName, info: ImageInfo | undefined, step: number): string {
  if (part === "page" || !info) return `calc(min(100cqw, ${PAGE_PX}px) * ${step})`;
  const { width, height } = info;
  return `calc(min(100cqw, 100cqh * ${width / height}, ${width}px) * ${step})`;
}

/** Scrolls what shows a page until what is marked on it stands in the middle. */
export function toMarks(scroller: HTMLElement | null, { marks }: ImageInfo): void {
  if (!scroller || marks.length === 0) return;
  const top = Math.min(...marks.map(([, y]) => y));
  const end = Math.max(...marks.map(([, y, , height]) => y + height));
  scroller.scrollTop = ((top + end) / 2) * scroller.scrollHeight - scroller.clientHeight / 2;
}
