import { useSignal } from "@preact/signals";
import type { JSX, TargetedSubmitEvent } from "preact";
import { useEffect } from "preact/hooks";
import { session } from "../../api/client";
import { PROVIDER_ADDRESS, signIn } from "../../api/session";
import { query, takeFragment } from "../../app/router";
import { ended, enter, placeAfter, rememberPlace, user } from "../../app/session";
import { t } from "../../i18n";
import { Field, FormError, valuesOf } from "../../ui/field";
import { Gate } from "../../ui/gate";
import { useSending } from "../../ui/send";

export default function SignInPage(): JSX.Element {
  const state = session.value;
  const place = placeAfter(query.value.get("next"));
  const refused = useSignal("");
  useEffect(() => {
    refused.value = takeFragment(); // why the provider's sign-in failed
  }, []);
  const inside = !!user.value;
  useEffect(() => {
    // Whoever is signed in and was refused at the provider, asked to confirm who they are, is told.
    if (inside && !refused.value) enter(place);
  }, [inside]);
  return (
    <Gate title={t.value.signIn}>
      <p class="form-error" role="alert">
        {refused.value && (t.value.errors[refused.value] ?? t.value.signInFailed)}
      </p>
      <PasswordForm />
      {state?.oidc && (
        <>
          <p class="gate-or">{t.value.or}</p>
          <a class="button" href={PROVIDER_ADDRESS} onClick={() => rememberPlace(place)}>
            {t.value.signInWith(state.oidc)}
          </a>
        </>
      )}
      <p class="small">{t.value.forgot}</p>
      {/* At the end: what is known only later must move nothing. */}
      <p class="gate-hint" role="status">
        {ended.value && !state?.guest && t.value.sessionEnded}
      </p>
      {state?.needs_setup && !state.guest && (
        <p class="gate-hint" role="status">
          {t.value.needsSetup}
        </p>
      )}
      {state?.guest && !inside && (
        <p class="gate-hint" role="status">
          {t.value.needsGuestLink}
        </p>
      )}
    </Gate>
  );
}

function PasswordForm(): JSX.Element {
  const { busy, error, run } = useSending();
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const value = valuesOf(form);
    if (await run((signal) => signIn(value("email"), value("password"), signal))) return;
    const password = form.elements.namedItem("password");
    if (password instanceof HTMLInputElement) password.select();
  };
  return (
    <form class="form" onSubmit={submit}>
      <Field
        label={t.value.email}
        name="email"
        type="email"
        autocomplete="username"
        maxLength={320}
        focused
      />
      <Field
        label={t.value.password}
        name="password"
        type="password"
        autocomplete="current-password"
      />
      <FormError error={error.value} />
      <button class="button primary" type="submit" disabled={busy.value}>
        {t.value.signIn}
      </button>
    </form>
  );
}
