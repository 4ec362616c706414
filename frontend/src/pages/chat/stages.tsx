import type { TargetedToggleEvent } from "preact";
import { useId } from "preact/hooks";
import { t } from "../../i18n";
import { formatMs } from "../../lib/format";
import { Icon } from "../../ui/icon";
import { placeBeside } from "../../ui/place";

/** How long the answer took, and on demand what for. */
export function Stages({ stages, query }: { stages: Record<string, number>; query: string }) {
  const id = useId();
  const { total, rows } = summarise(stages);
  if (!total) return null;
  const longest = Math.max(...rows.map(([, ms]) => ms), 1);
  return (
    <>
      <button
        class="took"
        type="button"
        popovertarget={id}
        aria-label={t.value.timings(formatMs(total))}
      >
        <Icon name="clock" /> {formatMs(total)}
      </button>
      <div
        id={id}
        class="stages"
        popover="auto"
        role="dialog"
        aria-label={t.value.timingsTitle}
        onToggle={beside}
      >
        <h3>{t.value.timingsTitle}</h3>
        <dl>
          {rows.map(([name, ms]) => (
            <div key={name} class={name.includes(".") ? "stage part" : "stage"}>
              <dt>{t.value.stages[name] ?? name}</dt>
              <dd>
                <meter min={0} max={longest} value={ms} aria-hidden="true" />
                {formatMs(ms)}
              </dd>
            </div>
          ))}
          <div class="stage whole">
            <dt>{t.value.inTotal}</dt>
            <dd>{formatMs(total)}</dd>
          </div>
        </dl>
        {query && <p class="small">{t.value.searchedFor(query)}</p>}
      </div>
    </>
  );
}

// In the order in which things happen; what is not known stands behind.
const ORDER = ["rewrite", "search", "queue", "first_token", "generate"];
const rank = ([name]: [string, number]) => ORDER.indexOf(name) + 1 || ORDER.length + 1;

/**
 * `search.lexical` is a part of `search`: it stands below it and is not added up again. `total` is
 * what the server measured over all, where it did.
 */
export function summarise(stages: Record<string, number>): {
  total: number;
  rows: [string, number][];
} {
  const all = Object.entries(stages);
  const parts = (whole: string) => all.filter(([name]) => name.startsWith(`${whole}.`));
  const wholes = all
    .filter(([name]) => !name.includes(".") && name !== "total")
    .sort((a, b) => rank(a) - rank(b));
  return {
    total: stages.total ?? wholes.reduce((sum, [, ms]) => sum + ms, 0),
    rows: wholes.flatMap((row) => [row, ...parts(row[0])]),
  };
}

function beside(event: TargetedToggleEvent<HTMLElement>): void {
  const popover = event.currentTarget;
  const button = popover.previousElementSibling;
  if (event.newState === "open" && button) placeBeside(popover, button, "above");
}
