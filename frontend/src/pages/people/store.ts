import * as api from "../../api/people";
import { user } from "../../app/session";
import { Resource } from "../../lib/resource";
import { toastError } from "../../ui/toast";

/** The people page's data. */

export const people = new Resource<{ items: api.Person[] }>();
export const invitations = new Resource<{ items: api.Invitation[] }>();
export const groups = new Resource<{ items: api.Group[] }>();

const never = new AbortController().signal;

export const loadPeople = () => people.load(api.listPeople);
export const loadInvitations = () => invitations.load(api.listInvitations);
export const loadGroups = () => groups.load(api.listGroups);

export function loadAll(): void {
  loadPeople();
  loadInvitations();
  loadGroups();
}

/** One cannot shut oneself out, nor take away one's own role: another administrator can. */
export const isMe = (id: string) => user.value?.id === id;

/** Members that can be chosen; those whose account is disabled only where they are members. */
export const choosable = (members: string[]) =>
  (people.data?.items ?? []).filter(({ id, disabled }) => !disabled || members.includes(id));

/** Does it, then reads again what it may have changed; true once it has worked. */
async function act(work: () => Promise<unknown>, ...reload: (() => void)[]): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    toastError(error);
    return false;
  } finally {
    for (const load of reload) load();
  }
}

export function changePerson(id: string, change: api.PersonChange): Promise<boolean> {
  return act(() => api.changePerson(id, change, never), loadPeople, loadInvitations);
}

export async function signOutPerson(id: string): Promise<number | null> {
  let ended: number | null = null;
  await act(async () => {
    ended = (await api.signOutPerson(id, never)).ended;
  });
  return ended;
}

export async function resetLink(id: string): Promise<string | null> {
  let link: string | null = null;
  await act(async () => {
    link = (await api.resetPassword(id, never)).link;
  });
  return link;
}

export function withdraw(id: string): Promise<boolean> {
  return act(() => api.withdrawInvitation(id, never), loadInvitations);
}

export function createGroup(name: string): Promise<boolean> {
  return act(() => api.createGroup(name, never), loadGroups);
}

export function renameGroup(id: string, name: string): Promise<boolean> {
  return act(() => api.changeGroup(id, { name }, never), loadGroups);
}

export function deleteGroup(id: string): Promise<boolean> {
  return act(() => api.deleteGroup(id, never), loadGroups);
}
