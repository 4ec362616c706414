import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Citation } from "../../api/types";
import { t } from "../../i18n";
import { placeBeside } from "../../ui/place";

/** The id of the one card that there is; the chip that it belongs to names it. */
export const CARD = "citation-card";

export const pointed = signal<{ citation: Citation; chip: Element } | null>(null);

// Long enough to pass over a chip, or to go from it to the card, without anything flashing.
const OPEN_MS = 150;
const CLOSE_MS = 150;
let timer: ReturnType<typeof setTimeout> | undefined;

function soon(next: typeof pointed.value, ms: number): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    pointed.value = next;
  }, ms);
}

/** What makes an element show the card of its citation: the pointer over it, or the focus. */
export function pointing(citation: Citation) {
  const leave = () => soon(null, CLOSE_MS);
  return {
    onPointerEnter: (event: { pointerType: string; currentTarget: Element }) => {
      // A finger opens the source itself.
      if (event.pointerType === "touch") return;
      soon({ citation, chip: event.currentTarget }, pointed.peek() ? 0 : OPEN_MS);
    },
    onPointerLeave: leave,
    onFocus: (event: { currentTarget: Element }) => {
      const chip = event.currentTarget;
      if (chip.matches(":focus-visible")) soon({ citation, chip }, 0);
    },
    onBlur: leave,
  };
}

export function unpoint(): void {
  clearTimeout(timer);
  pointed.value = null;
}

/** The passage of a citation, where it is cited. */
export function CitationCard(): JSX.Element {
  const card = useRef<HTMLDivElement>(null);
  const now = pointed.value;
  useEffect(() => {
    if (!now || !card.current) return;
    card.current.showPopover();
    placeBeside(card.current, now.chip, "above", "left");
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") unpoint();
    };
    addEventListener("keydown", onKey);
    addEventListener("scroll", unpoint, { capture: true, passive: true, once: true });
    const shown = card.current;
    return () => {
      shown.hidePopover();
      removeEventListener("keydown", onKey);
      removeEventListener("scroll", unpoint, { capture: true });
    };
  }, [now]);
  useEffect(() => unpoint, []);
  return (
    <div
      id={CARD}
      class="citation-card"
      popover="manual"
      role="tooltip"
      ref={card}
      onPointerEnter={() => clearTimeout(timer)}
      onPointerLeave={() => soon(null, CLOSE_MS)}
    >
      {now && <Inside citation={now.citation} />}
    </div>
  );
}

function Inside({ citation }: { citation: Citation }): JSX.Element {
  const { number, document_name: name, page, quote, available } = citation;
  if (!available) return <p>{t.value.sourceGone}</p>;
  return (
    <>
      <p class="card-name">
        <span class="chip">{number}</span>
        <span>{name}</span>
        {page && <span class="source-page">{t.value.page(page)}</span>}
      </p>
      <p class="card-quote">{plain(quote)}</p>
    </>
  );
}

/** A quote of Markdown without the marks of lists and code. */
export function plain(quote: string): string {
  return quote.replace(/^[-*] /, "").replace(/`([^`]*)`?/g, "$1");
}
