import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { t } from "../i18n";
import { Check } from "./field";
import { Icon } from "./icon";

interface Named {
  id: string;
  name: string;
}

// Below this many one sees them all; above, a field to find them by name.
const FEW = 8;

/** The names that hold what was typed. */
export function found<T extends Named>(all: T[], typed: string): T[] {
  const wanted = typed.normalize("NFC").trim().toLowerCase();
  return wanted ? all.filter(({ name }) => name.toLowerCase().includes(wanted)) : all;
}

/** `chosen` with or without `id`. */
export function toggled(chosen: string[], id: string, on: boolean): string[] {
  const others = chosen.filter((each) => each !== id);
  return on ? [...others, id] : others;
}

/** Any number of `all`, each with a tick. */
export function Picker({
  label,
  all,
  chosen,
  onChange,
}: {
  label: string;
  all: Named[];
  chosen: string[];
  onChange: (chosen: string[]) => void;
}): JSX.Element {
  const typed = useSignal("");
  const shown = found(all, typed.value);
  return (
    <fieldset class="picker">
      <legend class="legend">{label}</legend>
      {all.length > FEW && (
        <label class="search-field">
          <Icon name="search" />
          <span class="hidden">{t.value.findPeople}</span>
          <input
            type="search"
            value={typed.value}
            placeholder={t.value.findPeople}
            onInput={(event) => {
              typed.value = event.currentTarget.value;
            }}
          />
        </label>
      )}
      <div class="picker-list">
        {shown.map(({ id, name }) => (
          <Check
            key={id}
            label={name}
            checked={chosen.includes(id)}
            onChange={(on) => onChange(toggled(chosen, id, on))}
          />
        ))}
        {shown.length === 0 && <p class="small">{t.value.nobodyFound}</p>}
      </div>
    </fieldset>
  );
}
