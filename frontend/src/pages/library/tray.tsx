import type { JSX } from "preact";
import { explain, t, withoutName } from "../../i18n";
import { Icon } from "../../ui/icon";
import { active, clear, failed, finished, progress, retry, uploads } from "./uploads";

// Of a thousand files that fail for the same reason, the first few tell enough.
const LISTED = 20;

/** How the uploads are going; nothing when there are none. */
export function Tray(): JSX.Element | null {
  const all = uploads.value;
  if (all.length === 0) return null;
  const bad = failed.value;
  const done = finished.value;
  return (
    <section class="tray" aria-label={t.value.uploads}>
      <div class="tray-line" role="status">
        <p>
          {active.value
            ? t.value.uploading(done + bad.length, all.length)
            : done > 0 && t.value.uploaded(done)}
          {!active.value && done > 0 && bad.length > 0 && " · "}
          {!active.value && bad.length > 0 && t.value.uploadsFailed(bad.length)}
        </p>
        {bad.some(({ error }) => error?.retryable) && !active.value && (
          <button class="link" type="button" onClick={retry}>
            {t.value.retryFailed}
          </button>
        )}
        <button
          class="icon-button"
          type="button"
          title={active.value ? t.value.cancelUploads : t.value.dismiss}
          aria-label={active.value ? t.value.cancelUploads : t.value.dismiss}
          onClick={clear}
        >
          <Icon name="close" />
        </button>
      </div>
      {active.value && <progress value={progress.value} max={1} aria-label={t.value.uploads} />}
      {bad.length > 0 && (
        <ul class="tray-failed">
          {bad.slice(0, LISTED).map(({ file, error }) => (
            <li key={`${file.webkitRelativePath}${file.name}`}>
              <strong>{file.name}</strong> {error && withoutName(explain(error), file.name)}
            </li>
          ))}
          {bad.length > LISTED && <li>…</li>}
        </ul>
      )}
    </section>
  );
}
