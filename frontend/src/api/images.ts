import { request, withQuery } from "./client";

const BASE = "/api/v1/images";

/** A picture of a document: a page of it, or one that lies in it, both counted from 1. */
export interface ImageName {
  document: string;
  part: "page" | "picture";
  number: number;
  version?: number | undefined;
}

/** Characters of the document's text. */
export interface Range {
  start: number;
  end: number;
}

/** Left, top, width and height, in parts of the page's own. */
export type Mark = [x: number, y: number, width: number, height: number];

export interface ImageInfo {
  id: string;
  /** Pixels, or for a page points. */
  width: number;
  height: number;
  /** A blurred one of 16 pixels, as an address. */
  placeholder: string;
  /** Widths that it can be had in. */
  widths: number[];
  /** Where the cited characters stand on a page. */
  marks: Mark[];
}

const pathOf = ({ document, part, number }: ImageName) =>
  `${BASE}/${document}-${part === "page" ? "p" : "i"}${number}`;

export function getImageInfo(name: ImageName, cited: Range | undefined, signal: AbortSignal) {
  const query = { version: name.version, ...cited };
  return request<ImageInfo>(withQuery(`${pathOf(name)}/info`, query), { signal });
}

/** How many pictures lie in a document. */
export function countPictures(document: string, signal: AbortSignal) {
  return request<{ pictures: number }>(withQuery(BASE, { document }), { signal });
}

export function imageAddress(name: ImageName, width: number): string {
  return withQuery(pathOf(name), { w: width, version: name.version });
}
