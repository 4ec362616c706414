import type { JSX } from "preact";
import type { DocumentState } from "../../api/types";
import { t } from "../../i18n";
import { Icon } from "../../ui/icon";
import { CollectionFilter } from "./collection-bar";
import { load, name, tag, wanted } from "./store";

const TYPING_MS = 200;
const STATES: DocumentState[] = ["ready", "indexing", "queued", "failed"];
let typing: ReturnType<typeof setTimeout> | undefined;

export function Filters(): JSX.Element {
  return (
    <search class="filters">
      <label class="search-field">
        <Icon name="search" />
        <span class="hidden">{t.value.filterName}</span>
        <input
          type="search"
          value={name.value}
          placeholder={t.value.filterName}
          onInput={(event) => {
            name.value = event.currentTarget.value;
            clearTimeout(typing);
            typing = setTimeout(load, TYPING_MS);
          }}
        />
      </label>
      <CollectionFilter />
      <label class="select">
        <span class="hidden">{t.value.filterState}</span>
        <select
          value={wanted.value}
          onChange={(event) => {
            wanted.value = event.currentTarget.value as DocumentState | "";
            load();
          }}
        >
          <option value="">{t.value.allStates}</option>
          {STATES.map((state) => (
            <option key={state} value={state}>
              {t.value.states[state]}
            </option>
          ))}
        </select>
        <Icon name="unfold" />
      </label>
      {tag.value && (
        <button
          class="tag on"
          type="button"
          aria-label={t.value.removeFilter(tag.value)}
          onClick={() => filterByTag("")}
        >
          {t.value.filterTag(tag.value)} <Icon name="close" />
        </button>
      )}
    </search>
  );
}

export function filterByTag(chosen: string): void {
  tag.value = chosen;
  load();
}
