import { useSignal } from "@preact/signals";
import type { JSX, TargetedSubmitEvent } from "preact";
import { type Invitation, invite } from "../../api/people";
import type { Role } from "../../api/types";
import { t } from "../../i18n";
import { formatMoment } from "../../lib/format";
import { Choice, Field, valuesOf } from "../../ui/field";
import { Icon } from "../../ui/icon";
import { FormEnd, Modal } from "../../ui/modal";
import { SecretDialog } from "../../ui/secret";
import { useSending } from "../../ui/send";
import { Line, Lines, Section } from "../../ui/sheet";
import { toast } from "../../ui/toast";
import { invitations, loadInvitations, withdraw } from "./store";

export function Invitations(): JSX.Element {
  const inviting = useSignal(false);
  const link = useSignal("");
  return (
    <Section
      title={t.value.invitations}
      action={
        <button
          class="button primary"
          type="button"
          onClick={() => {
            inviting.value = true;
          }}
        >
          <Icon name="plus" /> {t.value.invite}
        </button>
      }
    >
      <Lines
        of={invitations}
        none={t.value.noInvitations}
        line={(one) => <InvitationLine key={one.id} invitation={one} />}
      />
      {inviting.value && (
        <Invite
          close={() => {
            inviting.value = false;
          }}
          onMade={(made) => {
            inviting.value = false;
            link.value = made;
            loadInvitations();
          }}
        />
      )}
      {link.value && (
        <SecretDialog
          title={t.value.inviteMade}
          body={t.value.inviteMadeBody}
          label={t.value.linkLabel}
          secret={link.value}
          close={() => {
            link.value = "";
          }}
        />
      )}
    </Section>
  );
}

function InvitationLine({ invitation }: { invitation: Invitation }): JSX.Element {
  const { id, email, role, expires_at: expires } = invitation;
  const name = email ?? t.value.anyone;
  return (
    <Line
      name={name}
      marks={role === "admin" && <span class="tag on">{t.value.roles.admin}</span>}
      facts={[t.value.expiresOn(formatMoment(expires))]}
      action={
        <button
          class="icon-button"
          type="button"
          title={t.value.withdraw}
          aria-label={`${t.value.withdraw}: ${name}`}
          onClick={async () => {
            if (await withdraw(id)) toast(t.value.withdrawn);
          }}
        >
          <Icon name="trash" />
        </button>
      }
    />
  );
}

type InviteProps = { close: () => void; onMade: (link: string) => void };

function Invite({ close, onMade }: InviteProps): JSX.Element {
  const sending = useSending();
  const role = useSignal<Role>("member");
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const email = valuesOf(event.currentTarget)("email");
    sending.run(async (signal) => onMade((await invite(email, role.value, signal)).link));
  };
  return (
    <Modal title={t.value.invite} close={close}>
      <form class="dialog-form" onSubmit={submit}>
        <p class="dialog-body">{t.value.inviteHelp}</p>
        <Field
          label={t.value.email}
          name="email"
          type="email"
          help={t.value.inviteEmailHelp}
          maxLength={320}
          optional
          focused
        />
        <Choice
          label={t.value.role}
          value={role.value}
          onChange={(value) => {
            role.value = value as Role;
          }}
        >
          <option value="member">{t.value.roles.member}</option>
          <option value="admin">{t.value.roles.admin}</option>
        </Choice>
        <FormEnd sending={sending} close={close} action={t.value.invite} />
      </form>
    </Modal>
  );
}
