import { useSignal } from "@preact/signals";
import type { JSX, TargetedSubmitEvent } from "preact";
import { useEffect } from "preact/hooks";
import {
  type Key,
  listKeys,
  type MadeKey,
  makeKey,
  revokeKey,
  SCOPES,
  type Scope,
} from "../../api/account";
import { admin } from "../../app/session";
import { t } from "../../i18n";
import { Resource } from "../../lib/resource";
import { Check, Choice, Field, valuesOf } from "../../ui/field";
import { Icon } from "../../ui/icon";
import { KeyLine } from "../../ui/key";
import { FormEnd, Modal } from "../../ui/modal";
import { SecretDialog } from "../../ui/secret";
import { useSending } from "../../ui/send";
import { Lines, Section } from "../../ui/sheet";

const keys = new Resource<{ items: Key[] }>();
const load = () => keys.load(listKeys);
const DAY_MS = 86_400_000;

export function Keys(): JSX.Element {
  const making = useSignal(false);
  const made = useSignal<MadeKey | null>(null);
  useEffect(() => {
    load();
  }, []);
  return (
    <Section
      title={t.value.keys}
      help={t.value.keysHelp}
      action={
        <button
          class="button"
          type="button"
          onClick={() => {
            making.value = true;
          }}
        >
          <Icon name="plus" /> {t.value.createKey}
        </button>
      }
    >
      <Lines
        of={keys}
        none={t.value.noKeys}
        line={(key) => <KeyLine key={key.id} apiKey={key} revoke={revokeKey} load={load} />}
      />
      {making.value && (
        <MakeKey
          close={() => {
            making.value = false;
          }}
          onMade={(key) => {
            making.value = false;
            made.value = key;
            load();
          }}
        />
      )}
      {made.value && (
        <SecretDialog
          title={t.value.keyMade}
          body={t.value.keyMadeBody}
          label={made.value.key.name}
          secret={made.value.token}
          close={() => {
            made.value = null;
          }}
        />
      )}
    </Section>
  );
}

interface Making {
  close: () => void;
  onMade: (key: MadeKey) => void;
}

function MakeKey({ close, onMade }: Making): JSX.Element {
  const sending = useSending();
  const scopes = useSignal<Scope[]>(["read", "chat"]);
  const days = useSignal("90");
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = valuesOf(event.currentTarget)("name");
    sending.run(async (signal) =>
      onMade(await makeKey(name, scopes.value, expiryIn(days.value), signal)),
    );
  };
  const offered = SCOPES.filter((scope) => scope !== "admin" || admin.value);
  return (
    <Modal title={t.value.createKey} close={close}>
      <form class="dialog-form" onSubmit={submit}>
        <Field label={t.value.keyName} name="name" maxLength={100} focused />
        <fieldset>
          <legend class="legend">{t.value.scopes}</legend>
          {offered.map((scope) => (
            <Check
              key={scope}
              label={t.value.scopeNames[scope]}
              help={t.value.scopeHelp[scope]}
              checked={scopes.value.includes(scope)}
              onChange={(on) => {
                scopes.value = offered.filter((each) =>
                  each === scope ? on : scopes.value.includes(each),
                );
              }}
            />
          ))}
          {scopes.value.length === 0 && <p class="small">{t.value.noScope}</p>}
        </fieldset>
        <Choice
          label={t.value.expiry}
          value={days.value}
          onChange={(value) => {
            days.value = value;
          }}
        >
          {(["30", "90", "365", ""] as const).map((value) => (
            <option key={value} value={value}>
              {t.value.expiries[value]}
            </option>
          ))}
        </Choice>
        <FormEnd
          sending={sending}
          close={close}
          action={t.value.createKey}
          incomplete={scopes.value.length === 0}
        />
      </form>
    </Modal>
  );
}

/** When a key made now expires; null for never. */
export function expiryIn(days: string, now = Date.now()): string | null {
  return days ? new Date(now + Number(days) * DAY_MS).toISOString() : null;
}
