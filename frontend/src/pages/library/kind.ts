import type { Document } from "../../api/types";

export interface Kind {
  /** At most four letters. */
  label: string;
  family: "pdf" | "text" | "sheet" | "slides" | "web" | "data";
}

const FAMILIES: Record<string, Kind["family"]> = {
  pdf: "pdf",
  pptx: "slides",
  xlsx: "sheet",
  csv: "sheet",
  tsv: "sheet",
  html: "web",
  htm: "web",
  json: "data",
};

/** How a document is drawn in the list, by the end of its name. */
export function kindOf({ name, source }: Pick<Document, "name" | "source">): Kind {
  const suffix = /\.([a-z0-9]{1,8})$/i.exec(name)?.[1]?.toLowerCase() ?? "";
  if (!suffix && source === "url") return { label: "WEB", family: "web" };
  return { label: suffix.slice(0, 4).toUpperCase() || "FILE", family: FAMILIES[suffix] ?? "text" };
}

const WITH_PICTURES = /officedocument|opendocument|hwp|html/;

/** Whether pictures may lie in it that its text does not show; those of a PDF are on its pages. */
export function mayHoldPictures({ media_type }: Pick<Document, "media_type">): boolean {
  return WITH_PICTURES.test(media_type);
}
