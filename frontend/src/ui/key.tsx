import type { JSX } from "preact";
import type { Key } from "../api/account";
import { t } from "../i18n";
import { formatDate, formatWhen } from "../lib/format";
import { confirm } from "./dialog";
import { Icon } from "./icon";
import { Line } from "./sheet";
import { toast, toastError } from "./toast";

interface Props {
  apiKey: Key;
  revoke: (id: string, signal: AbortSignal) => Promise<void>;
  /** Reads the list again. */
  load: () => void;
}

/** A line of a list of API keys, with a button that revokes it. */
export function KeyLine({ apiKey: key, revoke, load }: Props): JSX.Element {
  const { name, hint, scopes, expires_at: expires, last_used_at: used } = key;
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
          onClick={() => askRevoke(key, revoke, load)}
        >
          <Icon name="trash" />
        </button>
      }
    />
  );
}

async function askRevoke(
  { id, name }: Key,
  revoke: Props["revoke"],
  load: () => void,
): Promise<void> {
  const sure = await confirm({
    title: t.value.revokeKey,
    body: t.value.revokeKeyBody(name),
    action: t.value.revoke,
    danger: true,
  });
  if (!sure) return;
  try {
    await revoke(id, new AbortController().signal);
    toast(t.value.revoked);
  } catch (error) {
    toastError(error);
  }
  load();
}
