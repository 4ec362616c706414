import type { JSX, TargetedEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { addAddress } from "../../api/documents";
import { PageHeader } from "../../app/page-header";
import { info, maxUpload, watchIndexing } from "../../app/server";
import { t } from "../../i18n";
import { formatBytes } from "../../lib/format";
import { askText } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { More, Panel, Shown } from "../../ui/panel";
import { toastError } from "../../ui/toast";
import { CollectionBar, CollectionChoice, NewCollection } from "./collection-bar";
import * as collections from "./collections";
import { Filters } from "./filters";
import { Row } from "./row";
import * as store from "./store";
import { Tray } from "./tray";
import { add, visibleFiles } from "./uploads";

export function ListPage(): JSX.Element {
  useEffect(() => {
    store.load();
    collections.loadOnOpening();
    watchIndexing();
    return store.follow();
  }, []);
  return (
    <div class="library">
      <div class="page-top">
        <PageHeader title={t.value.library}>
          <NewCollection />
        </PageHeader>
      </div>
      <div class="library-scroll">
        <div class="library-content">
          {collections.awaited.value ? <Panel loading /> : <Contents />}
        </div>
      </div>
    </div>
  );
}

/** All at once: which collections there are decides what stands above the documents. */
function Contents(): JSX.Element {
  return (
    <>
      {collections.canAdd.value ? <AddBar /> : <p class="small">{t.value.nothingWritable}</p>}
      <Tray />
      <Filters />
      <CollectionBar />
      <Documents />
    </>
  );
}

function AddBar(): JSX.Element {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const asFolder = (input: HTMLInputElement | null) => {
    folder.current = input;
    if (input) input.webkitdirectory = true;
  };
  const take = (event: TargetedEvent<HTMLInputElement>) => {
    const input = event.currentTarget;
    if (input.files) add(visibleFiles(input.files));
    input.value = ""; // the same file can be picked again
  };
  return (
    <section class="add-bar">
      <div class="add-text">
        <Icon name="upload" />
        <div>
          <p class="add-title">{t.value.drop}</p>
          <p class="small">{t.value.formats(formats(), formatBytes(maxUpload.value))}</p>
        </div>
      </div>
      <div class="add-buttons">
        <CollectionChoice />
        <button class="button primary" type="button" onClick={() => files.current?.click()}>
          <Icon name="plus" /> {t.value.addFiles}
        </button>
        <button class="button" type="button" onClick={() => folder.current?.click()}>
          <Icon name="folder" /> {t.value.addFolder}
        </button>
        <button class="button" type="button" onClick={askAddress}>
          <Icon name="link" /> {t.value.addUrl}
        </button>
      </div>
      <input ref={files} type="file" multiple hidden accept={accept()} onChange={take} />
      <input ref={asFolder} type="file" hidden onChange={take} />
    </section>
  );
}

function suffixes(): string[] {
  return (info.data?.media_types ?? []).map(({ suffix }) => suffix.replace(/^\.?/, "."));
}

const accept = () => suffixes().join(",");

/** "PDF, DOCX, …", one name for each kind of file that the server reads: its first. */
function formats(): string {
  const names = new Map<string, string>();
  for (const { suffix, media_type: kind } of info.data?.media_types ?? []) {
    if (!names.has(kind)) names.set(kind, suffix.replace(/^\./, "").toUpperCase());
  }
  return [...names.values()].join(", ");
}

async function askAddress(): Promise<void> {
  const url = await askText({
    title: t.value.addUrl,
    action: t.value.add,
    field: { label: t.value.urlLabel, value: "", type: "url", help: t.value.urlHelp },
  });
  if (!url) return;
  try {
    await addAddress(url, collections.target.peek()?.id, new AbortController().signal);
    await store.load();
    watchIndexing();
  } catch (error) {
    toastError(error);
  }
}

function Documents(): JSX.Element {
  return (
    <Shown of={store.list} empty={({ items }) => items.length === 0 && <None />}>
      {({ items }, loading) => (
        <>
          <ul class={loading ? "documents stale" : "documents"}>
            {items.map((document) => (
              <Row key={document.id} document={document} />
            ))}
          </ul>
          <More shown={store.list.hasMore.value} loading={loading} load={store.loadMore} />
        </>
      )}
    </Shown>
  );
}

function None(): JSX.Element {
  if (!store.filtered.value) {
    return (
      <Panel
        icon="library"
        title={t.value.libraryEmpty}
        body={collections.canAdd.value ? t.value.libraryEmptyBody : t.value.nothingShared}
      />
    );
  }
  return (
    <Panel
      icon="search"
      title={t.value.nothingMatches}
      body={t.value.nothingMatchesBody}
      action={
        <button class="button" type="button" onClick={store.clearFilters}>
          {t.value.clearFilters}
        </button>
      }
    />
  );
}
