import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { CachedIn, CacheLayer, CacheUse, Wanted } from "../../api/caches";
import { AdminSheet } from "../../app/admin-sheet";
import { ta } from "../../i18n/admin";
import { formatBytes, formatMicros, formatPercent } from "../../lib/format";
import { formatNumber } from "../../lib/number";
import { Icon } from "../../ui/icon";
import { Shown } from "../../ui/panel";
import { Section } from "../../ui/sheet";
import { Ahead } from "./caches-ahead";
import { ClearDialog } from "./caches-clear";
import * as store from "./caches-store";
import "./admin.css";

export default function CachesPage(): JSX.Element {
  // Anew when that begins or ends, for a round is followed more closely.
  useEffect(() => store.followCaches(), [store.warming.value]);
  const asked = useSignal<Partial<Wanted> | null>(null);
  const ask = (wanted: Partial<Wanted>) => {
    asked.value = wanted;
  };
  return (
    <AdminSheet
      page="caches"
      actions={
        <button class="button" type="button" onClick={() => ask({})}>
          <Icon name="trash" /> {ta.value.clear}
        </button>
      }
    >
      <div class="lead">
        <p class="small">{ta.value.cachesHelp}</p>
        <Result />
      </div>
      <Shown of={store.caches}>
        {({ layers, uses, warming }) => (
          <>
            <Section title={ta.value.layersTitle}>
              {layers.every(({ name }) => name === "engine") && (
                <p class="none">{ta.value.noLayers}</p>
              )}
              <ul class="tiles">
                {layers.map((layer) => (
                  <Layer key={layer.name} layer={layer} uses={uses} ask={ask} />
                ))}
              </ul>
            </Section>
            <Section title={ta.value.usesTitle}>
              {uses.length > 0 ? (
                <Uses uses={uses} ask={ask} />
              ) : (
                <p class="none">{ta.value.nothingKept}</p>
              )}
            </Section>
            <Ahead round={warming} />
          </>
        )}
      </Shown>
      {asked.value && (
        <ClearDialog
          wanted={asked.value}
          close={() => {
            asked.value = null;
          }}
        />
      )}
    </AdminSheet>
  );
}

/** What was cleared, until somebody has seen enough of it. */
function Result(): JSX.Element {
  const found = store.result.value;
  return (
    <div class="result" role="status">
      {found && (
        <>
          <Icon name="check" />
          <div>
            <strong>{ta.value.cleared}</strong>
            {found.tag ? (
              <p>{ta.value.clearedTag(ta.value.tags[found.tag] ?? found.tag)}</p>
            ) : (
              <ul>
                {found.layers.map(({ layer, entries, bytes, failed }) => (
                  <li key={layer} class={failed ? "failed" : ""}>
                    {ta.value.layers[layer] ?? layer}:{" "}
                    {failed
                      ? ta.value.clearedFailed
                      : entries === null
                        ? ta.value.clearedUncounted
                        : ta.value.clearedEntries(entries, formatBytes(bytes ?? 0))}
                  </li>
                ))}
              </ul>
            )}
          </div>
          <button
            class="icon-button"
            type="button"
            aria-label={ta.value.dismissResult}
            title={ta.value.dismissResult}
            onClick={() => {
              store.result.value = undefined;
            }}
          >
            <Icon name="close" />
          </button>
        </>
      )}
    </div>
  );
}

type Ask = (wanted: Partial<Wanted>) => void;

function Layer({ layer, uses, ask }: { layer: CacheLayer; uses: CacheUse[]; ask: Ask }) {
  const { name, answers, left_out: leftOut } = layer;
  const label = ta.value.layers[name] ?? name;
  const all = store.totalsOf(uses, name);
  const state = !answers ? ta.value.silent : leftOut > 0 ? ta.value.leftOut(leftOut) : null;
  return (
    <li class="tile">
      <div class="tile-top">
        <h3>{label}</h3>
        <span class={state ? "tag warn" : "tag on"}>{state ?? ta.value.answers}</span>
      </div>
      <p class="small">{ta.value.layerHelp[name]}</p>
      <p class={all.rate === null ? "figure none-yet" : "figure"}>
        {formatPercent(all.rate)} <span class="small">{ta.value.hitRate}</span>
      </p>
      <p class="small">
        {ta.value.reads}: {ta.value.readsOf(formatNumber(all.hits), formatNumber(all.reads))}
      </p>
      <dl class="figures">
        <div>
          <dt>{ta.value.entries}</dt>
          <dd>{count(layer.entries)}</dd>
        </div>
        <div>
          <dt>{ta.value.size}</dt>
          <dd>{size(layer.bytes)}</dd>
        </div>
        <div>
          <dt>{ta.value.evicted}</dt>
          <dd>{formatNumber(layer.evictions)}</dd>
        </div>
        <div>
          <dt>{ta.value.faults}</dt>
          <dd class={all.errors > 0 ? "bad" : ""}>{formatNumber(all.errors)}</dd>
        </div>
      </dl>
      <button
        class="button small"
        type="button"
        aria-label={ta.value.clearOf(label)}
        onClick={() => ask({ layer: name })}
      >
        {ta.value.clear}
      </button>
    </li>
  );
}

function count(value: number | null): string {
  return value === null ? ta.value.unknown : formatNumber(value);
}

function size(value: number | null): string {
  return value === null ? ta.value.unknown : formatBytes(value);
}

/** On a narrow screen each row is drawn as a card, and browsers then forget that it is one of a table
 * unless it is said. */
const as = (role: "table" | "rowgroup" | "row" | "columnheader" | "rowheader" | "cell") => ({
  role,
});

function Uses({ uses, ask }: { uses: CacheUse[]; ask: Ask }): JSX.Element {
  const columns = [
    ta.value.layer,
    ta.value.hitRate,
    ta.value.reads,
    ta.value.entries,
    ta.value.size,
    ta.value.evicted,
    ta.value.mean,
    ta.value.most,
    ta.value.faults,
  ];
  return (
    <table class="numbers" {...as("table")} aria-label={ta.value.usesTitle}>
      <thead {...as("rowgroup")}>
        <tr {...as("row")}>
          {columns.map((name) => (
            <th key={name} {...as("columnheader")} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      {uses.map((use) => (
        <Use key={use.use} use={use} columns={columns} ask={ask} />
      ))}
    </table>
  );
}

function Use({ use, columns, ask }: { use: CacheUse; columns: string[]; ask: Ask }): JSX.Element {
  const name = ta.value.uses[use.use] ?? use.use;
  const facts = [
    use.computed > 0 && ta.value.made(use.computed),
    use.stampedes_avoided > 0 && ta.value.spared(use.stampedes_avoided),
    use.refreshed_early > 0 && ta.value.renewed(use.refreshed_early),
  ].filter(Boolean);
  return (
    <tbody {...as("rowgroup")}>
      <tr class="numbers-group" {...as("row")}>
        <th {...as("rowheader")} scope="rowgroup" colSpan={columns.length}>
          <div>
            <span>
              {name} {facts.length > 0 && <span class="small">{facts.join(" · ")}</span>}
            </span>
            <button
              class="icon-button"
              type="button"
              aria-label={ta.value.clearOf(name)}
              title={ta.value.clear}
              onClick={() => ask({ use: use.use })}
            >
              <Icon name="trash" />
            </button>
          </div>
        </th>
      </tr>
      {use.layers.map((row) => (
        <Row key={row.layer} row={row} columns={columns} />
      ))}
    </tbody>
  );
}

function Row({ row, columns }: { row: CachedIn; columns: string[] }): JSX.Element {
  const faults = row.errors + row.refused;
  const cells = [
    ta.value.layers[row.layer] ?? row.layer,
    <Rate key="rate" rate={row.hit_rate} />,
    formatNumber(row.hits + row.misses),
    count(row.entries),
    size(row.bytes),
    formatNumber(row.evictions),
    row.mean_us ? formatMicros(row.mean_us) : "–",
    row.p99_us ? `≤ ${formatMicros(row.p99_us)}` : "–",
    <span key="faults" class={faults > 0 ? "bad" : ""}>
      {formatNumber(faults)}
    </span>,
  ];
  return (
    <tr {...as("row")}>
      {cells.map((cell, at) => (
        <td key={columns[at]} {...as("cell")} data-label={columns[at]}>
          {cell}
        </td>
      ))}
    </tr>
  );
}

function Rate({ rate }: { rate: number | null }): JSX.Element {
  return (
    <span class="rate">
      <span class="rate-bar" aria-hidden="true">
        <span style={{ width: `${Math.round((rate ?? 0) * 100)}%` }} />
      </span>
      <span>{formatPercent(rate)}</span>
    </span>
  );
}
