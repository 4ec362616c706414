import { route } from "../app/router";

/** Of the visits that the server wants measured, measures this one, when there is time for it. */
export async function followVitals(chance = Math.random()): Promise<void> {
  const percent = Number(document.documentElement.dataset.vitals ?? 0);
  if (chance * 100 >= percent) return;
  try {
    const { measure } = await import(/* webpackChunkName: "vitals" */ "./measure");
    measure(() => route.peek().page);
  } catch {
    // The page works without being measured.
  }
}
