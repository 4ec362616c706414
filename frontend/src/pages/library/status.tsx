import type { JSX } from "preact";
import type { Document } from "../../api/types";
import { explainOf, t } from "../../i18n";
import { Icon } from "../../ui/icon";
import { isWritable } from "./collections";
import { reindex } from "./store";

/** Whether a document can be found already, and if not, why. */
export function Status({ document }: { document: Document }): JSX.Element {
  switch (document.state) {
    case "failed":
      return <Failed document={document} />;
    case "queued":
      return (
        <div class="status waiting">
          <p>{t.value.states.queued}</p>
        </div>
      );
    case "indexing":
      return <Reading document={document} />;
    default:
      return <Searchable document={document} />;
  }
}

function Failed({ document }: { document: Document }): JSX.Element {
  const { id, name, collection_id: collection, error_code: code, error_message: detail } = document;
  return (
    <div class="status failed">
      <p>
        <Icon name="warning" />{" "}
        {explainOf(name, { code: code ?? "unreadable_file", detail: detail ?? "" })}
        {document.searchable_by_words && ` ${t.value.oldStays}`}
      </p>
      {isWritable(collection) && (
        <button class="link" type="button" onClick={() => reindex(id)}>
          {t.value.retryFile}
        </button>
      )}
    </div>
  );
}

function Reading({ document }: { document: Document }): JSX.Element {
  const { job } = document;
  const step = job ? (t.value.steps[job.step] ?? t.value.states.indexing) : t.value.states.indexing;
  return (
    <div class="status reading">
      <p>{step}</p>
      {job && job.total > 0 ? (
        <progress value={job.done} max={job.total} aria-label={step} />
      ) : (
        <progress aria-label={step} />
      )}
    </div>
  );
}

function Searchable({ document }: { document: Document }): JSX.Element {
  const { embedded, chunks } = document;
  const label = t.value.meaningOf(embedded, chunks);
  return (
    <div class="status ready">
      <p>
        <span class="able">
          <Icon name="check" /> {t.value.byWords}
        </span>
        {embedded >= chunks ? (
          <span class="able">
            <Icon name="check" /> {t.value.byMeaning}
          </span>
        ) : (
          <span class="able part">{label}</span>
        )}
      </p>
      {embedded < chunks && <progress value={embedded} max={chunks} aria-label={label} />}
    </div>
  );
}
