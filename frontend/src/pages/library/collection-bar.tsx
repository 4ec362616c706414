import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { Collection } from "../../api/types";
import { guest, user } from "../../app/session";
import { t } from "../../i18n";
import { askText, confirm } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { type Item, Menu } from "../../ui/menu";
import { toast } from "../../ui/toast";
import * as collections from "./collections";
import { Readers } from "./readers";
import * as store from "./store";

/** Which collection's documents are listed; nothing where there is only one. */
export function CollectionFilter(): JSX.Element | null {
  const all = collections.all.value;
  if (all.length < 2) return null;
  return (
    <label class="select">
      <span class="hidden">{t.value.collection}</span>
      <select
        value={collections.filter.value}
        onChange={(event) => show(event.currentTarget.value)}
      >
        <option value="">{t.value.allCollections}</option>
        {all.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
      <Icon name="unfold" />
    </label>
  );
}

/** Where the next files go; nothing where there is no choice. */
export function CollectionChoice(): JSX.Element | null {
  const all = collections.writable.value;
  const { filter, target } = collections;
  if (all.length < 2) return null;
  return (
    <label class="select">
      <span class="hidden">{t.value.addTo}</span>
      <select
        value={target.value?.id ?? ""}
        title={t.value.addTo}
        onChange={(event) => {
          const id = event.currentTarget.value;
          collections.chooseTarget(id);
          // What is added shall be seen.
          if (filter.peek()) show(id);
        }}
      >
        {all.map(({ id, name }) => (
          <option key={id} value={id}>
            {`${t.value.addTo}: ${name}`}
          </option>
        ))}
      </select>
      <Icon name="unfold" />
    </label>
  );
}

export function NewCollection(): JSX.Element {
  return (
    <button class="button small" type="button" onClick={askCreate}>
      <Icon name="plus" /> {t.value.newCollection}
    </button>
  );
}

function show(id: string): void {
  collections.filter.value = id;
  store.load();
}

/** What is known of the collection shown, and what can be done with it. */
export function CollectionBar(): JSX.Element | null {
  const sharing = useSignal<Collection | null>(null);
  const collection = collections.shown.value;
  if (!collection) return null;
  const { name, everyone, writable } = collection;
  const share = () => {
    sharing.value = collection;
  };
  return (
    <div class="collection-bar">
      <p>
        <strong>{name}</strong>{" "}
        <span class="small">
          {!guest.value && (everyone ? t.value.readByEveryone : t.value.readBySome)}
          {!writable && ` · ${t.value.readOnly}`}
        </span>
      </p>
      {writable && <Menu label={t.value.actions(name)} items={actions(collection, share)} />}
      {sharing.value && (
        <Readers
          collection={sharing.value}
          close={() => {
            sharing.value = null;
          }}
        />
      )}
    </div>
  );
}

function actions(collection: Collection, share: () => void): Item[] {
  const { id, owner_id: owner } = collection;
  const manages = user.value?.id === owner || user.value?.role === "admin";
  return [
    ...(manages && !guest.value
      ? [{ icon: "people", label: t.value.readersMenu, run: share } as const]
      : []),
    { icon: "pencil", label: t.value.rename, run: () => askName(collection) },
    ...(id === "default"
      ? []
      : [
          {
            icon: "trash",
            label: t.value.delete,
            danger: true,
            run: () => askRemove(collection),
          } as const,
        ]),
  ];
}

async function askCreate(): Promise<void> {
  const name = await askText({
    title: t.value.newCollection,
    action: t.value.add,
    field: { label: t.value.name, value: "" },
  });
  const id = name && (await collections.create(name));
  if (!id) return;
  collections.chooseTarget(id);
  show(id);
}

async function askName({ id, name }: Collection): Promise<void> {
  const chosen = await askText({
    title: t.value.renameCollection,
    action: t.value.save,
    field: { label: t.value.name, value: name },
  });
  if (chosen && chosen !== name && (await collections.rename(id, chosen))) toast(t.value.renamed);
}

async function askRemove({ id, name, documents }: Collection): Promise<void> {
  const sure = await confirm({
    title: t.value.deleteCollection,
    body: t.value.deleteCollectionBody(name, documents),
    action: t.value.delete,
    danger: true,
  });
  if (!sure || !(await collections.remove(id))) return;
  toast(t.value.deleted);
  show("");
}
