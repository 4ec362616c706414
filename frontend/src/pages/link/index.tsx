import { useSignal } from "@preact/signals";
import type { JSX, TargetedSubmitEvent } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import {
  type Acceptance,
  acceptLink,
  enterAsGuest,
  isGuestToken,
  type LinkMeaning,
  lookAtLink,
} from "../../api/session";
import { takeFragment } from "../../app/router";
import { enter } from "../../app/session";
import { t } from "../../i18n";
import { Resource } from "../../lib/resource";
import { Field, FormError, valuesOf } from "../../ui/field";
import { Gate } from "../../ui/gate";
import { Panel } from "../../ui/panel";
import { useSending } from "../../ui/send";

/** What a link leads to: the first administrator, an invitation, a new password, or right in. */
export default function LinkPage(): JSX.Element {
  const token = useSignal("");
  const link = useMemo(() => new Resource<LinkMeaning>(), []);
  const load = () => link.load((signal) => follow(token.peek(), signal), false);
  useEffect(() => {
    const read = () => {
      const found = takeFragment();
      if (!found) return;
      token.value = found;
      load();
    };
    read();
    // Another link opened over this one changes nothing but what stands after `#`.
    addEventListener("hashchange", read);
    return () => {
      removeEventListener("hashchange", read);
      link.abort();
    };
  }, []);
  const { data, error } = link.state.value;
  if (!token.value) return <Gate title={t.value.linkGone} body={t.value.linkMissing} />;
  if (error && error.status !== 404) {
    return (
      <Gate title={t.value.linkGone}>
        <Panel error={error} retry={load} />
      </Gate>
    );
  }
  if (error) return <Gate title={t.value.linkGone} body={t.value.linkGoneBody} />;
  if (!data) return <Gate />;
  const { purpose } = data;
  return (
    <Gate title={t.value.linkTitles[purpose]} body={t.value.linkBodies[purpose]}>
      <AcceptForm key={token.value} token={token.value} link={data} />
    </Gate>
  );
}

async function follow(token: string, signal: AbortSignal): Promise<LinkMeaning> {
  if (!isGuestToken(token)) return lookAtLink(token, signal);
  await enterAsGuest(token, signal);
  enter("/");
  // This page ends here.
  return new Promise(() => {});
}

function AcceptForm({ token, link }: { token: string; link: LinkMeaning }): JSX.Element {
  const { busy, error, run } = useSending();
  const fresh = link.purpose !== "reset";
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const acceptance = acceptanceOf(token, link, valuesOf(event.currentTarget));
    if (await run((signal) => acceptLink(acceptance, signal))) enter("/");
  };
  return (
    <form class="form" onSubmit={submit}>
      {fresh && (
        <Field label={t.value.yourName} name="name" autocomplete="name" maxLength={100} focused />
      )}
      <Field
        label={t.value.email}
        name="email"
        type="email"
        autocomplete="username"
        value={link.email ?? ""}
        readOnly={link.email !== null}
        maxLength={320}
      />
      <Field
        label={fresh ? t.value.password : t.value.newPassword}
        name="password"
        type="password"
        autocomplete="new-password"
        help={t.value.passwordHelp}
        minLength={10}
        focused={!fresh}
      />
      <FormError error={error.value} />
      <button class="button primary" type="submit" disabled={busy.value}>
        {fresh ? t.value.createAccount : t.value.save}
      </button>
    </form>
  );
}

/** What the server wants for this kind of link, and nothing that it knows already. */
export function acceptanceOf(
  token: string,
  { purpose, email }: Pick<LinkMeaning, "purpose" | "email">,
  value: (name: string) => string,
): Acceptance {
  return {
    token,
    password: value("password"),
    ...(purpose !== "reset" && { name: value("name") }),
    ...(purpose !== "reset" && email === null && { email: value("email") }),
  };
}
