import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { navigate } from "./router";

/** A browser that can fade pages, takes so long to picture both, and so long to draw the next. */
function fades(ms: number, drawing: number) {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  vi.spyOn(history, "pushState").mockImplementation(() => {
    now += drawing;
  });
  const start = vi.fn((update: () => Promise<void>) => {
    now += ms / 2;
    const updateCallbackDone = update();
    const ready = updateCallbackDone.then(() => {
      now += ms / 2;
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
  const start = fades(30, 100);
  await visit("/missing/two/three");
  expect(start).not.toHaveBeenCalled(); // the same page
  for (const page of ["/sign-in", "/link", "/sign-in", "/link"]) await visit(page);
  expect(start).toHaveBeenCalledTimes(4);
});

test("where it was slow twice running, pages change at once from then on", async () => {
  const start = fades(60, 0);
  for (const page of ["/sign-in", "/link", "/sign-in", "/link"]) await visit(page);
  expect(start).toHaveBeenCalledTimes(2);
  expect(history.pushState).toHaveBeenCalledTimes(4);
});
