import type { Collection } from "../api/types";
import { t } from "../i18n";

// Of likeopt/storage/bootstrap.py.
const DEFAULT = { id: "default", name: "Library" };

/** What a collection is called; the one that is there from the start in the reader's language, as
 * nobody has chosen its name. */
export function nameOfCollection({ id, name }: Pick<Collection, "id" | "name">): string {
  return id === DEFAULT.id && name === DEFAULT.name ? t.value.library : name;
}
