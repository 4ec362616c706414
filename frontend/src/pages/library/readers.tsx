import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import {
  type Directory,
  getDirectory,
  getReaders,
  type Readers as Named,
  setReaders,
} from "../../api/collections";
import type { Collection } from "../../api/types";
import { t } from "../../i18n";
import { Resource } from "../../lib/resource";
import { Check } from "../../ui/field";
import { FormEnd, Modal } from "../../ui/modal";
import { Panel } from "../../ui/panel";
import { Picker } from "../../ui/picker";
import { useSending } from "../../ui/send";
import { toast } from "../../ui/toast";
import * as collections from "./collections";

type Data = { readers: Named; directory: Directory };
type Props = { collection: Collection; close: () => void };

/** Who may read a collection: everyone, or its owner and whoever is named. */
export function Readers({ collection, close }: Props): JSX.Element {
  const resource = useMemo(() => new Resource<Data>(), []);
  const load = () =>
    resource.load(async (signal) => {
      const [readers, directory] = await Promise.all([
        getReaders(collection.id, signal),
        getDirectory(signal),
      ]);
      return { readers, directory };
    });
  useEffect(() => {
    load();
    return () => resource.abort();
  }, []);
  const { data, error } = resource.state.value;
  return (
    <Modal title={t.value.readersOf(collection.name)} close={close}>
      {data ? (
        <Form collection={collection} close={close} {...data} />
      ) : error ? (
        <Panel error={error} retry={load} />
      ) : (
        <Panel loading />
      )}
    </Modal>
  );
}

function Form({ collection, close, readers, directory }: Props & Data): JSX.Element {
  const sending = useSending();
  const wanted = useSignal(readers);
  const { everyone, users, groups } = wanted.value;
  const set = (change: Partial<Named>) => {
    wanted.value = { ...wanted.peek(), ...change };
  };
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!(await sending.run((signal) => setReaders(collection.id, wanted.peek(), signal)))) return;
    toast(t.value.saved);
    collections.load();
    close();
  };
  const others = directory.users.filter(({ id }) => id !== collection.owner_id);
  return (
    <form class="dialog-form" onSubmit={submit}>
      <p class="dialog-body">{t.value.readersHelp}</p>
      <Check label={t.value.everyone} checked={everyone} onChange={(on) => set({ everyone: on })} />
      {!everyone && directory.groups.length > 0 && (
        <Picker
          label={t.value.groups}
          all={directory.groups}
          chosen={groups}
          onChange={(chosen) => set({ groups: chosen })}
        />
      )}
      {!everyone && (
        <Picker
          label={t.value.people}
          all={others}
          chosen={users}
          onChange={(chosen) => set({ users: chosen })}
        />
      )}
      <FormEnd sending={sending} close={close} action={t.value.save} />
    </form>
  );
}
