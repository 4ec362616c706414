import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import {
  PARTS,
  type PartName,
  type ServerState,
  type Setting,
  type SettingValue,
} from "../../api/settings";
import { AdminSheet } from "../../app/admin-sheet";
import { info } from "../../app/server";
import { language, t } from "../../i18n";
import { ta } from "../../i18n/admin";
import { formatNumber } from "../../lib/number";
import { Check } from "../../ui/field";
import { Icon } from "../../ui/icon";
import { Panel, Shown } from "../../ui/panel";
import { Section } from "../../ui/sheet";
import * as store from "./settings-store";
import "./admin.css";

export default function SettingsPage(): JSX.Element {
  useEffect(() => {
    store.load();
  }, []);
  return (
    <AdminSheet
      page="settings"
      actions={
        <button class="button" type="button" onClick={store.load}>
          <Icon name="again" /> {ta.value.again}
        </button>
      }
    >
      <div class="lead">
        <p class="small">{ta.value.settingsHelp}</p>
      </div>
      <Shown of={store.settings}>
        {({ server }) => (
          <>
            <Server server={server} />
            <Find />
            <Found />
          </>
        )}
      </Shown>
    </AdminSheet>
  );
}

function Server({ server }: { server: ServerState }): JSX.Element {
  const { index, library_revision: revision } = server;
  const model = info.state.value.data?.model;
  const facts: [string, string][] = [
    [ta.value.version, `${server.version} (Python ${server.python})`],
    [ta.value.parts.database, ta.value.databases[server.database]],
    [ta.value.model, model ? t.value.modelLine(model.kind, model.name) : "–"],
  ];
  if (index) {
    const of = ta.value.generationOf(formatNumber(index.generation), formatNumber(revision));
    const { passages, embedded } = index;
    facts.push(
      [ta.value.generation, of],
      [
        ta.value.passages,
        ta.value.passagesEmbedded(formatNumber(passages), formatNumber(embedded)),
      ],
      [ta.value.embedder, index.embedder],
      [ta.value.vectors, index.vector_backend],
    );
  }
  return (
    <Section title={ta.value.server}>
      <div class="server">
        <ul class="card parts">
          {PARTS.map((name) => (
            <Part key={name} name={name} part={server.parts[name]} />
          ))}
        </ul>
        <dl class="card figures">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </div>
    </Section>
  );
}

function Part({ name, part }: { name: PartName; part: ServerState["parts"][PartName] }) {
  const good = part.status === "ready";
  return (
    <li class="part">
      <span>{ta.value.parts[name]}</span>
      <span class={good ? "tag on" : "tag warn"}>
        <Icon name={good ? "check" : "warning"} /> {ta.value.partStates[part.status]}
      </span>
      {/* The server's own sentence, which is in English and knows the reason. */}
      {!good && (
        <p class="small" lang="en">
          {part.detail}
        </p>
      )}
    </li>
  );
}

function Find(): JSX.Element {
  return (
    <search class="settings-find">
      <label class="search-field">
        <Icon name="search" />
        <span class="hidden">{ta.value.findSetting}</span>
        <input
          type="search"
          value={store.typed.value}
          placeholder={ta.value.findSetting}
          onInput={(event) => {
            store.typed.value = event.currentTarget.value;
          }}
        />
      </label>
      <Check
        label={ta.value.onlyChanged}
        checked={store.onlySet.value}
        onChange={(on) => {
          store.onlySet.value = on;
        }}
      />
    </search>
  );
}

function Found(): JSX.Element {
  const groups = store.found.value;
  if (groups.length === 0) {
    return <Panel icon="search" title={ta.value.noSetting} body={ta.value.noSettingBody} />;
  }
  return (
    <>
      {groups.map(([section, items]) => (
        <Section key={section} title={ta.value.sections[section] ?? section}>
          <ul class="lines">
            {items.map((one) => (
              <SettingLine key={one.name} setting={one} />
            ))}
          </ul>
        </Section>
      ))}
    </>
  );
}

function SettingLine({ setting }: { setting: Setting }): JSX.Element {
  const { name, value, source, secret, is_set: isSet } = setting;
  const changed = source !== "default";
  return (
    <li class="setting">
      <div>
        <p class="setting-name">{name}</p>
        <p class="small">
          <Help text={setting.help[language.value]} />
        </p>
      </div>
      <div class="setting-value">
        {secret ? (
          <p class={isSet ? "" : "unset"}>{isSet ? ta.value.secretSet : ta.value.secretUnset}</p>
        ) : (
          <Value value={value} />
        )}
        <span class={changed ? "tag on" : "tag"}>{ta.value.sources[source]}</span>
        {changed && !secret && value !== setting.default && (
          <p class="small">
            {ta.value.defaultIs} <Value value={setting.default} />
          </p>
        )}
      </div>
    </li>
  );
}

function Value({ value }: { value: SettingValue }): JSX.Element {
  if (value === "" || value === null) return <span class="unset">{ta.value.isEmpty}</span>;
  return <code>{String(value)}</code>;
}

/** Text in which names stand between backticks. */
function Help({ text }: { text: string }): JSX.Element {
  return (
    <>{text.split("`").map((part, at) => (at % 2 === 1 ? <code key={at}>{part}</code> : part))}</>
  );
}
