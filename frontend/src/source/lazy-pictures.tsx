import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type * as pictures from "./pictures";

const loaded = signal<typeof pictures | undefined>(undefined);

/** What shows pictures: most sources are text, so it is fetched with the first that has some. */
async function load(): Promise<void> {
  try {
    loaded.value ??= await import(/* webpackChunkName: "pictures" */ "./pictures");
  } catch {
    // The text is there all the same; the next one tries again.
  }
}

/** The place of a page's picture, and soon the picture. */
export function LazyPageImage(props: Parameters<typeof pictures.PageImage>[0]): JSX.Element {
  if (loaded.value) return <loaded.value.PageImage {...props} />;
  load();
  return <div class="page-stage" />;
}

export function LazyGallery(props: Parameters<typeof pictures.Gallery>[0]): JSX.Element | null {
  if (loaded.value) return <loaded.value.Gallery {...props} />;
  load();
  return null;
}
