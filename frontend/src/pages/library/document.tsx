import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { changeDocument, getDocument, originalAddress } from "../../api/documents";
import type { Document } from "../../api/types";
import { PageHeader } from "../../app/page-header";
import { navigate } from "../../app/router";
import { indexing } from "../../app/server";
import { t } from "../../i18n";
import { safeAddress } from "../../lib/address";
import { formatBytes, formatMoment } from "../../lib/format";
import { Resource } from "../../lib/resource";
import { LazyGallery } from "../../source/lazy-pictures";
import { SourceText } from "../../source/text";
import { Viewer } from "../../source/viewer";
import { askText } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { Menu } from "../../ui/menu";
import { Panel, Shown } from "../../ui/panel";
import * as collections from "./collections";
import { mayHoldPictures } from "./kind";
import { documentActions } from "./row";
import { Status } from "./status";

const never = new AbortController().signal;

const start = (id: string) => ({ document: id, start: 0, end: 0, quote: "" });

/** A document and the first page of its text, which is read once it is known to have some. */
class Opening {
  readonly document = new Resource<Document>();
  readonly text: SourceText;
  begun = false;

  constructor(readonly id: string) {
    this.text = new SourceText(start(id));
  }

  load(): Promise<void> {
    return this.document.load((signal) => getDocument(this.id, signal));
  }
}

let ahead: Opening | undefined;

/** Reads a document before its page is drawn, in the place of what the server has drawn. */
export async function loadAhead(id: string): Promise<void> {
  const opening = new Opening(id);
  ahead = opening;
  opening.begun = true;
  await opening.load();
  if (opening.document.data?.chunks) await opening.text.begin();
}

function open(id: string): Opening {
  const opening = ahead?.id === id ? ahead : new Opening(id);
  ahead = undefined;
  return opening;
}

/** One document: what is known of it, and its text. */
export function DocumentPage({ id }: { id: string }): JSX.Element {
  const opening = useMemo(() => open(id), []);
  const resource = opening.document;
  // Read again whenever something has happened in the library.
  const news = indexing.value;
  useEffect(() => {
    if (!opening.begun) opening.load();
    opening.begun = false;
    return () => resource.abort();
  }, [news]);
  useEffect(() => {
    if (collections.all.peek().length === 0) collections.load();
  }, []);
  const { data } = resource;
  const back = () => navigate("/library");
  return (
    <div class="library">
      <PageHeader title={data?.name ?? t.value.library} quiet={!data}>
        {data && (
          <Menu
            label={t.value.actions(data.name)}
            items={[
              ...(collections.isWritable(data.collection_id)
                ? [
                    {
                      icon: "pencil",
                      label: t.value.rename,
                      run: () => askName(data, resource),
                    } as const,
                  ]
                : []),
              ...documentActions(data, back),
            ]}
          />
        )}
      </PageHeader>
      <div class="library-scroll">
        <div class="library-content">
          <p>
            <a class="back" href="/library">
              <Icon name="left" /> {t.value.backToLibrary}
            </a>
          </p>
          <Shown of={resource}>
            {(document) => <Body document={document} resource={resource} text={opening.text} />}
          </Shown>
        </div>
      </div>
    </div>
  );
}

async function askName(document: Document, resource: Resource<Document>): Promise<void> {
  const name = await askText({
    title: t.value.renameDocument,
    action: t.value.save,
    field: { label: t.value.name, value: document.name },
  });
  if (name && name !== document.name) await change(document, { name }, resource);
}

async function change(
  document: Document,
  edit: { name?: string; tags?: string[] },
  resource: Resource<Document>,
): Promise<void> {
  let stored: Document | undefined;
  const done = await resource.change(
    (shown) => ({ ...shown, ...edit }),
    async () => {
      stored = await changeDocument(document.id, edit, never);
    },
  );
  if (done) resource.set(stored);
}

type Parts = { document: Document; resource: Resource<Document> };

function Body({ document, resource, text }: Parts & { text: SourceText }): JSX.Element {
  const readable = document.chunks > 0;
  return (
    <>
      <section class="facts">
        <Status document={document} />
        <Facts document={document} />
        <Tags document={document} resource={resource} />
        <p class="facts-actions">
          {readable && (
            <a class="button primary" href={`/?document=${document.id}`}>
              <Icon name="chat" /> {t.value.askAbout}
            </a>
          )}
          <a class="button" href={originalAddress(document.id)} target="_blank" rel="noopener">
            <Icon name="open" /> {t.value.openOriginal}
          </a>
        </p>
      </section>
      {readable ? (
        <div class="reading">
          <Viewer
            key={document.version_id}
            passage={start(document.id)}
            begun={text.shown.data?.page.version === document.version_id ? text : undefined}
          />
          {mayHoldPictures(document) && (
            <aside class="gallery" aria-label={t.value.pictures}>
              <LazyGallery key={document.version_id} document={document.id} name={document.name} />
            </aside>
          )}
        </div>
      ) : (
        document.state !== "failed" && <Panel icon="file" body={t.value.stillReading} />
      )}
    </>
  );
}

function Facts({ document }: { document: Document }): JSX.Element {
  const facts = [
    formatBytes(document.size),
    document.pages ? t.value.pages(document.pages) : "",
    document.chunks ? t.value.passages(document.chunks) : "",
  ];
  return (
    <div class="facts-line">
      <p>{facts.filter(Boolean).join(" · ")}</p>
      {/* A line of its own: how long it is, the server cannot tell. */}
      <p>
        {t.value.updated} {formatMoment(document.updated_at)}
      </p>
      {document.source === "url" && (
        <p>
          <a
            href={safeAddress(document.source_uri) ?? ""}
            target="_blank"
            rel="noopener noreferrer nofollow"
          >
            {document.source_uri}
          </a>
        </p>
      )}
    </div>
  );
}

function Tags({ document, resource }: Parts): JSX.Element | null {
  const { tags } = document;
  const writable = collections.isWritable(document.collection_id);
  if (!writable && tags.length === 0) return null;
  return (
    <div class="tags">
      <span class="tags-name">{t.value.tags}</span>
      {writable ? (
        <TagEditor document={document} resource={resource} />
      ) : (
        tags.map((tag) => (
          <span key={tag} class="tag">
            {tag}
          </span>
        ))
      )}
    </div>
  );
}

function TagEditor({ document, resource }: Parts): JSX.Element {
  const adding = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  const { tags } = document;
  const add = (event: Event) => {
    event.preventDefault();
    const tag = field.current?.value.normalize("NFC").trim();
    adding.value = false;
    if (tag && !tags.includes(tag)) change(document, { tags: [...tags, tag] }, resource);
  };
  return (
    <>
      {tags.map((tag) => (
        <button
          key={tag}
          class="tag"
          type="button"
          aria-label={t.value.removeTag(tag)}
          title={t.value.removeTag(tag)}
          onClick={() =>
            change(document, { tags: tags.filter((other) => other !== tag) }, resource)
          }
        >
          {tag} <Icon name="close" />
        </button>
      ))}
      {adding.value ? (
        <form onSubmit={add}>
          <input
            class="input tag-input"
            ref={(element) => {
              field.current = element;
              element?.focus();
            }}
            aria-label={t.value.addTag}
            maxLength={64}
            onBlur={add}
            onKeyDown={(event) => {
              if (event.key === "Escape") adding.value = false;
            }}
          />
        </form>
      ) : (
        <button
          class="tag"
          type="button"
          onClick={() => {
            adding.value = true;
          }}
        >
          <Icon name="plus" /> {t.value.addTag}
        </button>
      )}
    </>
  );
}
