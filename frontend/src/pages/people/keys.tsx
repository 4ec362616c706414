import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import type { Key } from "../../api/account";
import { listKeysOf, type Person, revokeKeyOf } from "../../api/people";
import { t } from "../../i18n";
import { Resource } from "../../lib/resource";
import { KeyLine } from "../../ui/key";
import { Modal } from "../../ui/modal";
import { Lines } from "../../ui/sheet";

/** Somebody's API keys, to look at and to revoke. */
export function KeysOf({ person, close }: { person: Person; close: () => void }): JSX.Element {
  const { id, name } = person;
  const keys = useMemo(() => new Resource<{ items: Key[] }>(), [id]);
  const load = () => keys.load((signal) => listKeysOf(id, signal));
  useEffect(() => {
    load();
  }, [id]);
  return (
    <Modal title={t.value.keysOf(name)} close={close}>
      <Lines
        of={keys}
        none={t.value.noKeysOf}
        line={(key) => (
          <KeyLine
            key={key.id}
            apiKey={key}
            revoke={(which, signal) => revokeKeyOf(id, which, signal)}
            load={load}
          />
        )}
      />
      <div class="dialog-actions">
        <button class="button" type="button" onClick={close}>
          {t.value.done}
        </button>
      </div>
    </Modal>
  );
}
