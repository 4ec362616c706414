import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { t } from "../i18n";
import { copy } from "./clipboard";
import { Icon } from "./icon";
import { Modal } from "./modal";
import "./field.css";

/** Something that the server tells once only: a key's token, a link. */
export function SecretDialog({
  title,
  body,
  label,
  secret,
  close,
}: {
  title: string;
  body: string;
  label: string;
  secret: string;
  close: () => void;
}): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  return (
    <Modal title={title} firm close={close}>
      <div class="dialog-form">
        <p class="dialog-body">{body}</p>
        <div class="secret">
          <input
            class="input"
            ref={field}
            readOnly
            value={secret}
            aria-label={label}
            onFocus={() => field.current?.select()}
          />
          <button class="button primary" type="button" onClick={() => copy(secret)}>
            <Icon name="copy" /> {t.value.copy}
          </button>
        </div>
        <div class="dialog-actions">
          <button class="button" type="button" onClick={close}>
            {t.value.done}
          </button>
        </div>
      </div>
    </Modal>
  );
}
