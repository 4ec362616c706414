const SOURCES = "button.chip, button.source";

const asked = (turn: Element) => turn.querySelector(".question")?.textContent;

/**
 * A source that the server has drawn can be pressed before the app answers for it: the last press is
 * kept, for the same source of the same question in the app. Only of what is read: nothing is written
 * because of a press that was long ago. Returns what passes it on, to be called once the app is drawn.
 */
export function keepPress(root: HTMLElement): () => void {
  let kept: { question: string | null | undefined; at: number } | undefined;
  const onClick = ({ target }: Event) => {
    const source = target instanceof Element ? target.closest(SOURCES) : null;
    const turn = source?.closest(".turn");
    if (!source || !turn) return;
    kept = { question: asked(turn), at: [...turn.querySelectorAll(SOURCES)].indexOf(source) };
  };
  root.addEventListener("click", onClick);
  return () => {
    root.removeEventListener("click", onClick);
    if (!kept) return;
    const turn = [...root.querySelectorAll(".turn")].findLast(
      (one) => asked(one) === kept?.question,
    );
    turn?.querySelectorAll<HTMLElement>(SOURCES)[kept.at]?.click();
  };
}
