import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { changeGroup, type Group } from "../../api/people";
import { t } from "../../i18n";
import { askText, confirm } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { Menu } from "../../ui/menu";
import { FormEnd, Modal } from "../../ui/modal";
import { Picker } from "../../ui/picker";
import { useSending } from "../../ui/send";
import { Line, Lines, Section } from "../../ui/sheet";
import { toast } from "../../ui/toast";
import { choosable, createGroup, deleteGroup, groups, loadGroups, renameGroup } from "./store";

export function Groups(): JSX.Element {
  const edited = useSignal<Group | null>(null);
  return (
    <Section
      title={t.value.groups}
      help={t.value.groupsHelp}
      action={
        <button class="button" type="button" onClick={askCreate}>
          <Icon name="plus" /> {t.value.newGroup}
        </button>
      }
    >
      <Lines
        of={groups}
        none={t.value.noGroups}
        line={(group) => (
          <Line
            key={group.id}
            name={group.name}
            facts={[t.value.members(group.members.length)]}
            action={
              <Menu
                label={t.value.actions(group.name)}
                items={[
                  {
                    icon: "people",
                    label: t.value.editMembers,
                    run: () => {
                      edited.value = group;
                    },
                  },
                  { icon: "pencil", label: t.value.rename, run: () => askName(group) },
                  {
                    icon: "trash",
                    label: t.value.delete,
                    danger: true,
                    run: () => askDelete(group),
                  },
                ]}
              />
            }
          />
        )}
      />
      {edited.value && (
        <Members
          group={edited.value}
          close={() => {
            edited.value = null;
          }}
        />
      )}
    </Section>
  );
}

function Members({ group, close }: { group: Group; close: () => void }): JSX.Element {
  const sending = useSending();
  const members = useSignal(group.members);
  const submit = async (event: Event) => {
    event.preventDefault();
    const change = { members: members.value };
    if (!(await sending.run((signal) => changeGroup(group.id, change, signal)))) return;
    toast(t.value.saved);
    loadGroups();
    close();
  };
  return (
    <Modal title={t.value.membersOf(group.name)} close={close}>
      <form class="dialog-form" onSubmit={submit}>
        <Picker
          label={t.value.people}
          all={choosable(group.members)}
          chosen={members.value}
          onChange={(chosen) => {
            members.value = chosen;
          }}
        />
        <FormEnd sending={sending} close={close} action={t.value.save} />
      </form>
    </Modal>
  );
}

async function askCreate(): Promise<void> {
  const name = await askText({
    title: t.value.newGroup,
    action: t.value.add,
    field: { label: t.value.name, value: "" },
  });
  if (name) await createGroup(name);
}

async function askName({ id, name }: Group): Promise<void> {
  const chosen = await askText({
    title: t.value.renameGroup,
    action: t.value.save,
    field: { label: t.value.name, value: name },
  });
  if (chosen && chosen !== name && (await renameGroup(id, chosen))) toast(t.value.renamed);
}

async function askDelete({ id, name }: Group): Promise<void> {
  const sure = await confirm({
    title: t.value.deleteGroup,
    body: t.value.deleteGroupBody(name),
    action: t.value.delete,
    danger: true,
  });
  if (sure && (await deleteGroup(id))) toast(t.value.deleted);
}
