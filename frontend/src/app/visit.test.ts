import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { navigate } from "./router";

/** A browser that can fade pages, and takes so long to be ready. */
function fades(ms: number) {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const start = vi.fn((update: () => Promise<void>) => {
    const updateCallbackDone = update();
    const ready = updateCallbackDone.then(() => {
      now += ms;
    });
    return { ready, updateCallbackDone, finished: ready };
  });
  Object.assign(document, { startViewTransition: start });
  return start;
}

// Whether the browser is quick is known for as long as the app runs.
let visit: typeof import("./visit").visit;

beforeEach(async () => {
  vi.resetModules();
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
  navigate("/missing/one");
  ({ visit } = await import("./visit"));
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  Reflect.deleteProperty(document, "startViewTransition");
});

test("one page fades into the other where that is quick", async () => {
  const start = fades(30);
  await visit("/missing/two/three");
  expect(start).not.toHaveBeenCalled(); // the same page
  await visit("/sign-in");
  await visit("/link");
  expect(start).toHaveBeenCalledTimes(2);
});

test("where it was slow once, pages change at once from then on", async () => {
  const start = fades(60);
  await visit("/sign-in");
  await visit("/link");
  expect(start).toHaveBeenCalledTimes(1);
  expect(location.pathname).toBe("/link");
});
