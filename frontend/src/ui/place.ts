const GAP = 4;
const MARGIN = 8;

/** Puts a popover below (or above, where there is no room) what it belongs to, inside the window. */
export function placeBeside(
  popover: HTMLElement,
  anchor: Element,
  prefer: "below" | "above",
  /** Which edges are in line. */
  align: "left" | "right" = "right",
): void {
  const at = anchor.getBoundingClientRect();
  const { width, height } = popover.getBoundingClientRect();
  const below = at.bottom + GAP;
  const above = at.top - height - GAP;
  const fitsBelow = below + height <= innerHeight - MARGIN;
  const top = (prefer === "below" && fitsBelow) || above < MARGIN ? below : above;
  const left = Math.min(
    Math.max(MARGIN, align === "left" ? at.left : at.right - width),
    innerWidth - width - MARGIN,
  );
  popover.style.left = `${left}px`;
  popover.style.top = `${top}px`;
}
