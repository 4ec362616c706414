import type { JSX, TargetedSubmitEvent } from "preact";
import { changePassword, rename } from "../../api/account";
import { session } from "../../api/client";
import { user } from "../../app/session";
import { t } from "../../i18n";
import { Field, FormError, valuesOf } from "../../ui/field";
import { useSending } from "../../ui/send";
import { Section, Sheet } from "../../ui/sheet";
import { toast } from "../../ui/toast";
import { Keys } from "./keys";
import { loadSessions, Sessions } from "./sessions";

export default function AccountPage(): JSX.Element {
  const me = user.value;
  return (
    <Sheet title={t.value.account}>
      <Section title={t.value.profile} help={t.value.profileHelp}>
        <Profile />
      </Section>
      <Section
        title={t.value.password}
        help={me?.has_password ? t.value.changePasswordHelp : t.value.noPasswordHelp}
      >
        {me?.has_password && <Password />}
      </Section>
      <Sessions />
      <Keys />
    </Sheet>
  );
}

function Profile(): JSX.Element {
  const { busy, error, run } = useSending();
  const me = user.value;
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = valuesOf(event.currentTarget)("name");
    const done = await run(async (signal) => {
      const changed = await rename(name, signal);
      const state = session.peek();
      if (state?.user) session.value = { ...state, user: { ...state.user, name: changed.name } };
    });
    if (done) toast(t.value.saved);
  };
  return (
    <form class="form card" onSubmit={submit}>
      <Field
        label={t.value.name}
        name="name"
        autocomplete="name"
        maxLength={100}
        value={me?.name ?? ""}
      />
      <Field label={t.value.email} name="email" type="email" value={me?.email ?? ""} readOnly />
      <FormError error={error.value} />
      <button class="button" type="submit" disabled={busy.value}>
        {t.value.save}
      </button>
    </form>
  );
}

function Password(): JSX.Element {
  const { busy, error, run } = useSending();
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const value = valuesOf(form);
    if (!(await run((signal) => changePassword(value("current"), value("new"), signal)))) return;
    form.reset();
    toast(t.value.passwordChanged);
    loadSessions();
  };
  return (
    <form class="form card" onSubmit={submit}>
      {/* For the browser's password store, which asks whose password changes. */}
      <input
        hidden
        name="username"
        autocomplete="username"
        value={user.value?.email ?? ""}
        readOnly
      />
      <Field
        label={t.value.currentPassword}
        name="current"
        type="password"
        autocomplete="current-password"
      />
      <Field
        label={t.value.newPassword}
        name="new"
        type="password"
        autocomplete="new-password"
        help={t.value.passwordHelp}
        minLength={10}
      />
      <FormError error={error.value} />
      <button class="button" type="submit" disabled={busy.value}>
        {t.value.changePassword}
      </button>
    </form>
  );
}
