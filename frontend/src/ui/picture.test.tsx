import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { json, serve } from "../api/fake-server";
import type { ImageInfo, ImageName } from "../api/images";
import { CATALOGUES, chooseLanguage } from "../i18n";
import { Picture } from "./picture";

const PAGE: ImageName = { document: "d", part: "page", number: 3, version: 7 };
const INFO: ImageInfo = {
  id: "d-p3",
  width: 595,
  height: 842,
  placeholder: "data:image/webp;base64,AAAA",
  widths: [160, 320, 480, 640, 800, 1200, 1600, 2400],
  marks: [],
};

let root: HTMLElement;
let seen: IntersectionObserverCallback[];

beforeEach(() => {
  chooseLanguage("en");
  root = document.body.appendChild(document.createElement("div"));
  seen = [];
  vi.stubGlobal(
    "IntersectionObserver",
    class {
      constructor(callback: IntersectionObserverCallback) {
        seen.push(callback);
      }
      observe(): void {}
      disconnect(): void {}
    },
  );
});
afterEach(() => {
  render(null, root);
  root.remove();
  vi.unstubAllGlobals();
});

/** Draws one and has it come near what is in sight. */
async function show(props: Partial<Parameters<typeof Picture>[0]> = {}): Promise<void> {
  await act(() => render(<Picture of={PAGE} alt="Page 3" sizes="400px" {...props} />, root));
  await act(async () => {
    for (const callback of seen.splice(0)) {
      callback(
        [{ isIntersecting: true }] as IntersectionObserverEntry[],
        {} as IntersectionObserver,
      );
    }
    await settled();
  });
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const image = () => root.querySelector("img") as HTMLImageElement;

test("nothing is asked for before it comes near", async () => {
  const calls = serve(json(INFO));
  await act(() => render(<Picture of={PAGE} alt="" sizes="400px" />, root));
  expect(calls).toEqual([]);
  await show();
  expect(calls.map(({ path }) => path)).toEqual(["/api/v1/images/d-p3/info?version=7"]);
});

test("its place has its proportions and a blurred picture until it is there", async () => {
  serve(json(INFO));
  await show();
  const frame = root.querySelector("picture") as HTMLElement;
  expect(frame.style.aspectRatio.replaceAll(" ", "")).toBe("595/842");
  expect(frame.style.backgroundImage).toContain(INFO.placeholder);
  expect([image().getAttribute("width"), image().getAttribute("height")]).toEqual(["595", "842"]);
  expect(image().className).toBe("");
  await act(() => {
    image().dispatchEvent(new Event("load"));
  });
  expect(image().className).toBe("loaded");
  expect(frame.style.backgroundImage).toBe("none");
});

test("the browser chooses among all sizes of a page, of the version that was cited", async () => {
  serve(json(INFO));
  await show();
  expect(image().loading).toBe("lazy");
  expect(image().getAttribute("sizes")).toBe("auto, 400px");
  const choices = image().getAttribute("srcset")?.split(", ") ?? [];
  expect(choices).toHaveLength(8);
  expect(choices[0]).toBe("/api/v1/images/d-p3?w=160&version=7 160w");
  expect(choices[7]).toBe("/api/v1/images/d-p3?w=2400&version=7 2400w");
});

test("of a picture in a document there is nothing larger than it is", async () => {
  serve(json({ ...INFO, width: 500, height: 100 }));
  await show({ of: { document: "d", part: "picture", number: 1 } });
  const widths = [...(image().getAttribute("srcset") ?? "").matchAll(/ (\d+)w/g)];
  expect(widths.map(([, width]) => width)).toEqual(["160", "320", "480", "640"]);
});

test("what is cited is marked where the server found it", async () => {
  const calls = serve(json({ ...INFO, marks: [[0.1, 0.25, 0.5, 0.02]] }));
  const known = vi.fn();
  await show({ cited: { start: 10, end: 90 }, onKnown: known });
  expect(calls[0]?.path).toBe("/api/v1/images/d-p3/info?version=7&start=10&end=90");
  const { left, top, width, height } = (root.querySelector(".picture-mark") as HTMLElement).style;
  expect([left, top, width, height]).toEqual(["10%", "25%", "50%", "2%"]);
  expect(known).toHaveBeenCalledTimes(1);
});

test.each([
  ["not_drawn", 422],
  ["too_large_picture", 422],
  ["no_picture", 404],
  ["bad_size", 400],
])("%s is said in the reader's language, and nothing is asked again", async (code, status) => {
  for (const language of ["ko", "en"] as const) {
    chooseLanguage(language);
    const calls = serve(
      json({ code, detail: "The server's own words.", retryable: false }, status),
    );
    render(null, root);
    await show({ enlarge: { label: "Page 3", run: () => undefined } });
    expect(root.querySelector("[role=alert]")?.textContent).toBe(CATALOGUES[language].errors[code]);
    // Nothing that could be pressed in vain.
    expect(root.querySelector("button")).toBeNull();
    expect(calls).toHaveLength(1);
  }
});

test("a picture that does not come says why, and can be tried again if that may help", async () => {
  const busy = json({ code: "busy", detail: "Busy.", retryable: true }, 503);
  const calls = serve(json(INFO), busy);
  await show();
  await act(async () => {
    image().dispatchEvent(new Event("error"));
    await settled();
  });
  expect(calls[1]?.path).toBe("/api/v1/images/d-p3?w=160&version=7");
  expect(root.textContent).toContain(CATALOGUES.en.errors.busy);
  const again = root.querySelector("button") as HTMLElement;
  await act(() => again.click());
  expect(image()).not.toBeNull();
});

test("one that fails though the server sends it is tried once more, and no further", async () => {
  const sent = () => new Response("");
  serve(json(INFO), sent, sent);
  await show();
  const first = image();
  const fail = () =>
    act(async () => {
      image().dispatchEvent(new Event("error"));
      await settled();
    });
  await fail();
  expect(image()).not.toBe(first);
  await fail();
  expect(image()).toBeNull();
  expect(root.textContent).toContain(CATALOGUES.en.errors.not_drawn);
});

test("a press enlarges it, where it can be", async () => {
  serve(json(INFO));
  const run = vi.fn();
  await show({ enlarge: { label: "Page 3", run } });
  const button = root.querySelector("button") as HTMLElement;
  expect(button.getAttribute("aria-label")).toBe(CATALOGUES.en.enlarge("Page 3"));
  await act(() => button.click());
  expect(run).toHaveBeenCalledTimes(1);
});
