/**
 * Buttons that the server has drawn can be pressed before the page's scripts answer for them: the
 * last press is kept, and given to the button that takes its place. Returns what does so, to be
 * called once the app is drawn.
 */
export function keepPress(root: HTMLElement): () => void {
  let place: { look: string; fromEnd: number } | undefined;
  // Counted from the end, where the page's last turns are the same as the app's.
  const alike = (look: string) =>
    [...root.querySelectorAll<HTMLElement>("main button")].filter(
      ({ className }) => className === look,
    );
  const onClick = ({ target }: Event) => {
    const button = target instanceof Element && target.closest("button");
    if (!button) return;
    const all = alike(button.className);
    place = { look: button.className, fromEnd: all.length - all.indexOf(button) };
  };
  root.addEventListener("click", onClick);
  return () => {
    root.removeEventListener("click", onClick);
    if (place) alike(place.look).at(-place.fromEnd)?.click();
  };
}
