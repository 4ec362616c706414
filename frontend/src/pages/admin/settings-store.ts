import { computed, signal } from "@preact/signals";
import * as api from "../../api/settings";
import { language } from "../../i18n";
import { ta } from "../../i18n/admin";
import { Resource } from "../../lib/resource";

/** The page of settings: what is in force, and what one looks for in it. */

export const settings = new Resource<{ items: api.Setting[]; server: api.ServerState }>();
export const typed = signal("");
export const onlySet = signal(false);

export const load = () => settings.load(api.getSettings);

/** Sections with those settings that hold every word that was typed, in their name, value or
 * description. */
export const found = computed(() =>
  grouped((settings.data?.items ?? []).filter((one) => matches(one, typed.value, onlySet.value))),
);

export function matches(setting: api.Setting, wanted: string, set: boolean): boolean {
  if (set && setting.source === "default") return false;
  const { name, value, section, help, source } = setting;
  const text = [
    name,
    String(value ?? ""),
    help[language.value],
    ta.value.sections[section] ?? section,
    ta.value.sources[source],
  ]
    .join(" ")
    .toLowerCase();
  // `max upload` finds LIKEOPT_MAX_UPLOAD_MB.
  const spoken = `${text} ${name.toLowerCase().replaceAll("_", " ")}`;
  return wanted
    .normalize("NFC")
    .toLowerCase()
    .split(/\s+/)
    .every((word) => spoken.includes(word));
}

function grouped(items: api.Setting[]): [section: string, items: api.Setting[]][] {
  const groups = new Map<string, api.Setting[]>();
  for (const one of items) groups.set(one.section, [...(groups.get(one.section) ?? []), one]);
  return [...groups];
}
