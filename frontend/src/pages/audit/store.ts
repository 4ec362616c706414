import { computed, signal } from "@preact/signals";
import { type AuditEvent, type AuditFilters, listAudit } from "../../api/audit";
import { type Group, listGroups, listPeople, type Person } from "../../api/people";
import { t } from "../../i18n";
import { Paged, Resource } from "../../lib/resource";

/** The events on the audit page. */

export const list = new Paged<AuditEvent>();
export const people = new Resource<{ items: Person[] }>();
const groups = new Resource<{ items: Group[] }>();

/** What the ids in an event's details are called today. */
export const names = computed(
  () =>
    new Map(
      [...(people.data?.items ?? []), ...(groups.data?.items ?? [])].map(({ id, name }) => [
        id,
        name,
      ]),
    ),
);

/** As in the form: days as `2026-11-23`, in the reader's time zone; "" where nothing is wanted. */
export interface Form {
  actor: string;
  object: string;
  q: string;
  from: string;
  to: string;
}

export const form = signal<Form>({ actor: "", object: "", q: "", from: "", to: "" });
export const filters = computed(() => filtersOf(form.value));

export function filtersOf({ actor, object, q, from, to }: Form): AuditFilters {
  return {
    actor,
    action: object && `${object}.`,
    q: q.trim(),
    since: midnight(from, 0),
    // The last day counts whole: before the midnight after it.
    until: midnight(to, 1),
  };
}

function midnight(day: string, later: number): string {
  const [year, month, date] = day.split("-").map(Number);
  if (!year || !month || !date) return "";
  return new Date(year, month - 1, date + later).toISOString();
}

export function load(): Promise<void> {
  return list.load((stop) => listAudit(filters.peek(), undefined, stop));
}

export function loadNames(): void {
  people.load(listPeople);
  groups.load(listGroups);
}

export function set(change: Partial<Form>): void {
  form.value = { ...form.peek(), ...change };
  load();
}

export function loadMore(): Promise<void> {
  return list.loadMore((cursor, stop) => listAudit(filters.peek(), cursor, stop));
}

// What may be anybody's words, and so stays as it was written.
const CHOSEN = new Set(["name", "email"]);

/** What else is known of an event, in one line. The id of the key that was used is in the export. */
export function detailsOf(detail: Record<string, unknown>, called: Map<string, string>): string {
  const { deeds, details, detailWords, errors, objects, scopeNames } = t.value;
  const words: Record<string, Record<string, string>> = {
    action: { ...objects, ...deeds },
    scopes: scopeNames,
  };
  const tell = (value: unknown, name: string): string => {
    if (Array.isArray(value)) return value.map((each) => tell(each, name)).join(", ");
    if (value && typeof value === "object") return inside(value);
    const word = String(value ?? "");
    // With the code, which the log file and the answer itself have: one looks there for it.
    if (name === "code") return errors[word] ? `${errors[word]} (${word})` : word;
    const ours = words[name]?.[word.replace(/\.$/, "")] ?? detailWords[word];
    return called.get(word) ?? (CHOSEN.has(name) ? word : (ours ?? word));
  };
  const inside = (object: object) =>
    Object.entries(object)
      .filter(([name]) => name !== "key")
      .map(([name, value]) => [details[name] ?? name, tell(value, name)])
      .filter(([, told]) => told)
      .map(([name, told]) => `${name}: ${told}`)
      .join(" · ");
  return inside(detail);
}
