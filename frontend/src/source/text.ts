import { ApiError } from "../api/client";
import { getText } from "../api/documents";
import type { TextPage } from "../api/types";
import { Resource } from "../lib/resource";
import { countCharacters, cut } from "../lib/text";

/** A passage of one version of a document; without `end`, only where to begin reading. */
export interface Passage {
  document: string;
  version?: number;
  start: number;
  end: number;
  quote: string;
}

export interface Shown {
  page: TextPage;
  /** The version that the passage was taken from is gone; this is the present one. */
  changed: boolean;
}

/** The text of a document, page by page, beginning with the one that holds the passage. */
export class SourceText {
  readonly shown = new Resource<Shown>();

  constructor(readonly passage: Passage) {}

  begin(): Promise<void> {
    return this.#go(this.passage.start);
  }

  previous(): Promise<void> {
    const page = this.shown.data?.page;
    return page ? this.#go(Math.max(0, page.start - 1)) : Promise.resolve();
  }

  next(): Promise<void> {
    const page = this.shown.data?.page;
    return page ? this.#go(page.start + countCharacters(page.text)) : Promise.resolve();
  }

  #go(at: number): Promise<void> {
    const { document, version } = this.passage;
    const changed = this.shown.data?.changed ?? false;
    return this.shown.load(async (signal) => {
      if (version === undefined || changed) {
        return { page: await getText(document, at, undefined, signal), changed };
      }
      try {
        return { page: await getText(document, at, version, signal), changed: false };
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 404) throw error;
        // Old versions are purged soon after they are replaced.
        return { page: await getText(document, 0, undefined, signal), changed: true };
      }
    });
  }
}

/** The text of a page around the passage; the middle is "" where the page does not hold it. */
export function around({ page, changed }: Shown, passage: Passage): [string, string, string] {
  const { text, start } = page;
  if (changed) {
    const at = passage.quote ? text.indexOf(passage.quote) : -1;
    if (at < 0) return [text, "", ""];
    const end = at + passage.quote.length;
    return [text.slice(0, at), text.slice(at, end), text.slice(end)];
  }
  if (passage.end <= passage.start || passage.end <= start) return [text, "", ""];
  return cut(text, passage.start - start, passage.end - start);
}
