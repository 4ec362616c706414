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
import { formatDate, formatWhen } from "../../lib/format";
import { Resource } from "../../lib/resource";
import { confirm } from "../../ui/dialog";
import { Check, Choice, Field, valuesOf } from "../../ui/field";
import { Icon } from "../../ui/icon";
import { FormEnd, Modal } from "../../ui/modal";
import { SecretDialog } from "../../ui/secret";
import { useSending } from "../../ui/send";
import { Line, Lines, Section } from "../../ui/sheet";
import { toast, toastError } from "../../ui/toast";

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
        line={(key) => <KeyLine key={key.id} apiKey={key} />}
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

function KeyLine({ apiKey: key }: { apiKey: Key }): JSX.Element {
  const { id, name, hint, scopes, expires_at: expires, last_used_at: used } = key;
  const expired = !!expires && Date.parse(expires) < Date.now();
  return (
    <Line
      name={name}
      marks={expired && <span class="tag warn">{t.value.keyExpired}</span>}
      facts={[
        `lo_${hint}…`,
        scopes.map((scope) => t.value.scopeNames[scope]).join(", "),
        used ? t.value.keyUsed(formatWhen(used)) : t.value.keyUnused,
        expires && !expired && t.value.keyExpires(formatDate(expires)),
      ]}
      action={
        <button
          class="icon-button"
          type="button"
          title={t.value.revoke}
          aria-label={`${t.value.revoke}: ${name}`}
          onClick={() => askRevoke(id, name)}
        >
          <Icon name="trash" />
        </button>
      }
    />
  );
}

async function askRevoke(id: string, name: string): Promise<void> {
  const sure = await confirm({
    title: t.value.revokeKey,
    body: t.value.revokeKeyBody(name),
    action: t.value.revoke,
    danger: true,
  });
  if (!sure) return;
  try {
    await revokeKey(id, new AbortController().signal);
    toast(t.value.revoked);
  } catch (error) {
    toastError(error);
  }
  load();
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
