import type { JSX } from "preact";
import { originalAddress } from "../../api/documents";
import type { Document } from "../../api/types";
import { navigate } from "../../app/router";
import { t } from "../../i18n";
import { formatBytes, formatMoment, formatWhen } from "../../lib/format";
import { confirm } from "../../ui/dialog";
import { type Item, Menu } from "../../ui/menu";
import { toast } from "../../ui/toast";
import { isWritable, nameOf } from "./collections";
import { filterByTag } from "./filters";
import { kindOf } from "./kind";
import { Status } from "./status";
import { cancel, reindex, remove } from "./store";

export function Row({ document }: { document: Document }): JSX.Element {
  const { id, name, title, size, source, tags, updated_at: updated } = document;
  const kind = kindOf(document);
  return (
    <li class="document">
      <span class={`kind ${kind.family}`} aria-hidden="true">
        {kind.label}
      </span>
      <div class="document-main">
        <a class="document-name" href={`/library/${id}`}>
          {name}
        </a>
        <p class="document-facts">
          {title && title !== name && <span class="document-title">{title}</span>}
          <span>{formatBytes(size)}</span>
          <time dateTime={updated} title={formatMoment(updated)}>
            {formatWhen(updated)}
          </time>
          {nameOf(document.collection_id) && <span>{nameOf(document.collection_id)}</span>}
          {source !== "upload" && <span>{t.value.origins[source]}</span>}
          {tags.map((tag) => (
            <button key={tag} class="tag" type="button" onClick={() => filterByTag(tag)}>
              {tag}
            </button>
          ))}
        </p>
      </div>
      <Status document={document} />
      <Menu label={t.value.actions(name)} items={documentActions(document)} />
    </li>
  );
}

/** What can be done with a document, here and on its own page. */
export function documentActions(document: Document, afterDelete?: () => void): Item[] {
  const { id } = document;
  return [
    ...(document.searchable_by_words
      ? [
          {
            icon: "chat",
            label: t.value.askAbout,
            run: () => navigate(`/?document=${id}`),
          } as const,
        ]
      : []),
    {
      icon: "download",
      label: t.value.downloadOriginal,
      href: `${originalAddress(id)}?download=1`,
    },
    ...(isWritable(document.collection_id) ? changes(document, afterDelete) : []),
  ];
}

function changes({ id, name, job }: Document, afterDelete?: () => void): Item[] {
  return [
    // What has been read waits for the indexes only: there is nothing to cancel.
    job?.kind === "index"
      ? { icon: "stop", label: t.value.cancelIndexing, run: () => cancel(id) }
      : {
          icon: "again",
          label: t.value.reindex,
          run: async () => {
            if (await reindex(id)) toast(t.value.reindexing);
          },
        },
    {
      icon: "trash",
      label: t.value.delete,
      danger: true,
      run: () => askRemove(id, name, afterDelete),
    },
  ];
}

async function askRemove(id: string, name: string, after?: () => void): Promise<void> {
  const sure = await confirm({
    title: t.value.deleteDocument,
    body: t.value.deleteDocumentBody(name),
    action: t.value.delete,
    danger: true,
  });
  if (!sure || !(await remove(id))) return;
  toast(t.value.deleted);
  after?.();
}
