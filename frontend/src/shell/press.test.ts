import { expect, test, vi } from "vitest";
import { keepPress } from "./press";

const turn = (question: string, sources: number, more = "") => `<section class="turn">
  <div class="question"><p>${question}</p></div>
  <article>${`<button class="chip">1</button>`.repeat(sources)}${more}
  <button class="icon-button">Regenerate</button></article></section>`;

function page(html: string): HTMLElement {
  const root = document.createElement("div");
  root.innerHTML = html;
  document.body.replaceChildren(root);
  return root;
}

/** The app takes the place of what was drawn; which of its buttons are pressed then. */
function takeOver(root: HTMLElement, html: string, passOn: () => void): string[] {
  const pressed: string[] = [];
  root.innerHTML = html;
  for (const button of root.querySelectorAll("button")) {
    const at = [...(button.closest(".turn")?.querySelectorAll("button") ?? [])].indexOf(button);
    button.onclick = () => {
      pressed.push(`${button.closest(".turn")?.querySelector("p")?.textContent} ${at}`);
    };
  }
  passOn();
  return pressed;
}

test("a press on a source goes to the same one of the same question", () => {
  const root = page(turn("Why?", 2) + turn("How?", 2));
  const passOn = keepPress(root);
  root.querySelectorAll<HTMLElement>(".chip")[1]?.click();
  const app = turn("Before?", 3) + turn("Why?", 2, "<button>New</button>") + turn("How?", 2);
  expect(takeOver(root, app + turn("Asked elsewhere?", 2), passOn)).toEqual(["Why? 1"]);
});

test("nothing is pressed of another page, nor what does more than show", () => {
  const root = page(turn("Why?", 1));
  const passOn = keepPress(root);
  root.querySelector<HTMLElement>(".icon-button")?.click();
  expect(takeOver(root, turn("Why?", 1), passOn)).toEqual([]);
  const next = keepPress(root);
  root.querySelector<HTMLElement>(".chip")?.click();
  expect(takeOver(root, turn("Another?", 1), next)).toEqual([]);
});

test("once the app answers, presses are its own", () => {
  const root = page(turn("Why?", 1));
  const passOn = keepPress(root);
  const found = vi.spyOn(root, "querySelectorAll");
  passOn();
  root.querySelector<HTMLElement>(".chip")?.click();
  passOn();
  expect(found).not.toHaveBeenCalled();
});
