import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { session } from "../../api/client";
import type { Person } from "../../api/people";
import { t } from "../../i18n";
import { formatDate } from "../../lib/format";
import { askText, confirm } from "../../ui/dialog";
import { type Item, Menu } from "../../ui/menu";
import { SecretDialog } from "../../ui/secret";
import { Line, Lines, Section } from "../../ui/sheet";
import { toast } from "../../ui/toast";
import { KeysOf } from "./keys";
import { changePerson, isMe, people, resetLink, signOutPerson } from "./store";

interface Reset {
  name: string;
  link: string;
}

export function People(): JSX.Element {
  const reset = useSignal<Reset | null>(null);
  const keysOf = useSignal<Person | null>(null);
  return (
    <Section title={t.value.accounts} help={t.value.peopleHelp}>
      <Lines
        of={people}
        line={(person) => (
          <PersonLine
            key={person.id}
            person={person}
            onReset={(made) => {
              reset.value = made;
            }}
            onKeys={() => {
              keysOf.value = person;
            }}
          />
        )}
      />
      {keysOf.value && (
        <KeysOf
          person={keysOf.value}
          close={() => {
            keysOf.value = null;
          }}
        />
      )}
      {reset.value && (
        <SecretDialog
          title={t.value.resetLink}
          body={t.value.resetLinkBody(reset.value.name)}
          label={t.value.linkLabel}
          secret={reset.value.link}
          close={() => {
            reset.value = null;
          }}
        />
      )}
    </Section>
  );
}

type LineProps = { person: Person; onReset: (made: Reset) => void; onKeys: () => void };

function PersonLine({ person, onReset, onKeys }: LineProps): JSX.Element {
  const { id, name, email, role, disabled, created_at: created } = person;
  return (
    <Line
      name={name}
      marks={
        <>
          {isMe(id) && <span class="tag">{t.value.thisIsYou}</span>}
          {role === "admin" && <span class="tag on">{t.value.roles.admin}</span>}
          {isUnconfirmed(person) && <span class="tag warn">{t.value.emailUnconfirmed}</span>}
          {disabled && <span class="tag warn">{t.value.disabled}</span>}
        </>
      }
      facts={[email ?? t.value.notSetUp, t.value.joined(formatDate(created))]}
      action={<Menu label={t.value.actions(name)} items={actions({ person, onReset, onKeys })} />}
    />
  );
}

/** Without a provider, nobody needs to know. */
function isUnconfirmed({ email, email_confirmed: confirmed }: Person): boolean {
  return !!session.value?.oidc && !!email && !confirmed;
}

function actions({ person, onReset, onKeys }: LineProps): Item[] {
  const { id, name, role, disabled, email } = person;
  const other = role === "admin" ? "member" : "admin";
  const always: Item[] = [
    { icon: "pencil", label: t.value.rename, run: () => askName(person) },
    { icon: "pencil", label: t.value.changeEmail, run: () => askEmail(person) },
  ];
  if (isUnconfirmed(person)) {
    always.push({ icon: "check", label: t.value.confirmEmail, run: () => askConfirm(person) });
  }
  if (isMe(id)) return always;
  return [
    ...always,
    { icon: "lock", label: t.value.keys, run: onKeys },
    { icon: "leave", label: t.value.signOutPerson, run: () => endAll(id) },
    ...(email
      ? [
          {
            icon: "link",
            label: t.value.resetLink,
            run: async () => {
              const link = await resetLink(id);
              if (link) onReset({ name, link });
            },
          } as const,
        ]
      : []),
    {
      icon: "people",
      label: role === "admin" ? t.value.makeMember : t.value.makeAdmin,
      run: () => save(id, { role: other }),
    },
    disabled
      ? { icon: "check", label: t.value.enable, run: () => save(id, { disabled: false }) }
      : { icon: "lock", label: t.value.disable, danger: true, run: () => askDisable(person) },
  ];
}

async function save(...change: Parameters<typeof changePerson>): Promise<void> {
  if (await changePerson(...change)) toast(t.value.saved);
}

async function endAll(id: string): Promise<void> {
  const ended = await signOutPerson(id);
  if (ended !== null) toast(t.value.ended(ended));
}

async function askName({ id, name }: Person): Promise<void> {
  const chosen = await askText({
    title: t.value.rename,
    action: t.value.save,
    field: { label: t.value.name, value: name },
  });
  if (chosen && chosen !== name) await save(id, { name: chosen });
}

async function askEmail({ id, email }: Person): Promise<void> {
  const chosen = await askText({
    title: t.value.changeEmail,
    action: t.value.save,
    field: { label: t.value.email, value: email ?? "" },
  });
  if (chosen && chosen !== email) await save(id, { email: chosen });
}

async function askConfirm({ id, name, email }: Person): Promise<void> {
  if (!email) return;
  const sure = await confirm({
    title: t.value.confirmEmailTitle,
    body: t.value.confirmEmailBody(name, email),
    action: t.value.confirmEmail,
  });
  if (sure) await save(id, { email });
}

async function askDisable({ id, name }: Person): Promise<void> {
  const sure = await confirm({
    title: t.value.disableTitle,
    body: t.value.disableBody(name),
    action: t.value.disable,
    danger: true,
  });
  if (sure) await save(id, { disabled: true });
}
