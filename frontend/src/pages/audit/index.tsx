import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { type AuditEvent, auditExportAddress } from "../../api/audit";
import { AdminSheet } from "../../app/admin-sheet";
import { t } from "../../i18n";
import { formatMoment } from "../../lib/format";
import { Choice } from "../../ui/field";
import { Icon } from "../../ui/icon";
import { Menu } from "../../ui/menu";
import { More, Shown } from "../../ui/panel";
import * as store from "./store";
import "./audit.css";

export default function AuditPage(): JSX.Element {
  useEffect(() => {
    store.load();
    store.loadNames();
  }, []);
  const filters = store.filters.value;
  return (
    <AdminSheet
      page="audit"
      actions={
        <Menu
          label={t.value.export}
          look="button"
          items={[
            {
              icon: "download",
              label: t.value.exportCsv,
              href: auditExportAddress(filters, "csv"),
            },
            {
              icon: "download",
              label: t.value.exportJsonLines,
              href: auditExportAddress(filters, "jsonl"),
            },
          ]}
        >
          <Icon name="download" /> {t.value.export}
        </Menu>
      }
    >
      <div class="audit">
        <p class="small">{t.value.auditHelp}</p>
        <Filters />
        <Events />
      </div>
    </AdminSheet>
  );
}

const TYPING_MS = 250;
let typing: ReturnType<typeof setTimeout> | undefined;

function Filters(): JSX.Element {
  const { actor, object, q, from, to } = store.form.value;
  return (
    <search class="audit-filters">
      <label class="field">
        <span>{t.value.auditSearch}</span>
        <input
          class="input"
          type="search"
          value={q}
          onInput={(event) => {
            store.form.value = { ...store.form.peek(), q: event.currentTarget.value };
            clearTimeout(typing);
            typing = setTimeout(store.load, TYPING_MS);
          }}
        />
      </label>
      <Choice
        label={t.value.auditWho}
        value={actor}
        onChange={(value) => store.set({ actor: value })}
      >
        <option value="">{t.value.auditAnyone}</option>
        {store.people.data?.items.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </Choice>
      <Choice
        label={t.value.auditWhat}
        value={object}
        onChange={(value) => store.set({ object: value })}
      >
        <option value="">{t.value.auditAll}</option>
        {Object.entries(t.value.objects).map(([name, label]) => (
          <option key={name} value={name}>
            {label}
          </option>
        ))}
      </Choice>
      <Day
        label={t.value.auditFrom}
        value={from}
        onChange={(value) => store.set({ from: value })}
      />
      <Day label={t.value.auditTo} value={to} onChange={(value) => store.set({ to: value })} />
    </search>
  );
}

type DayProps = { label: string; value: string; onChange: (value: string) => void };

function Day({ label, value, onChange }: DayProps): JSX.Element {
  return (
    <label class="field">
      <span>{label}</span>
      <input
        class="input"
        type="date"
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}

function Events(): JSX.Element {
  const none = <p class="none">{t.value.auditNone}</p>;
  return (
    <Shown of={store.list} empty={({ items }) => items.length === 0 && none}>
      {({ items }, loading) => (
        <>
          <ol class={loading ? "lines stale" : "lines"} aria-busy={loading}>
            {items.map((event) => (
              <Event key={event.id} event={event} />
            ))}
          </ol>
          <More shown={store.list.hasMore.value} loading={loading} load={store.loadMore} />
        </>
      )}
    </Shown>
  );
}

export function Event({ event }: { event: AuditEvent }): JSX.Element {
  const { at, action, actor_name: actor, via, object_name: name, address, request_id: id } = event;
  const details = store.detailsOf(event.detail, store.names.value);
  return (
    <li class="event">
      <time class="small" dateTime={at}>
        {formatMoment(at)}
      </time>
      <div class="event-what">
        <p>
          <strong title={action}>{t.value.deeds[action] ?? action}</strong>
          {name && <span> · {name}</span>}
        </p>
        {details && <p class="small">{details}</p>}
      </div>
      <div class="event-who">
        <p>{actor}</p>
        <p class="small" title={id && `${t.value.auditRequest} ${id}`}>
          {[t.value.auditVia[via] ?? via, address].filter(Boolean).join(" · ")}
        </p>
      </div>
    </li>
  );
}
