import { computed, effect, signal } from "@preact/signals";
import { endOtherSessions } from "../api/account";
import { ApiError, proof, readSession, session } from "../api/client";
import { signOut as endSession, PROVIDER_ADDRESS, signIn } from "../api/session";
import type { SessionState } from "../api/types";
import { t } from "../i18n";
import { Resource } from "../lib/resource";
import { inTab } from "../lib/stored";
import { askText, confirm } from "../ui/dialog";
import { toast, toastError } from "../ui/toast";
import { leaveHere, match, navigate, route } from "./router";

/** Who is looking at the page. */

const loading = new Resource<SessionState>();

export const problem = computed(() => (session.value ? undefined : loading.state.value.error));
export const user = computed(() => session.value?.user ?? undefined);
export const guest = computed(() => session.value?.via === "guest");
/** Whether there are accounts here to speak of, and one is ours. */
export const member = computed(() => !!user.value && !guest.value);
export const admin = computed(() => member.value && user.value?.role === "admin");

/** Whoever may administer this server, which without sign-in is the guest at its machine. */
export const operator = computed(() => user.value?.role === "admin");
/** Counts how often something that was readable no longer is. */
export const losses = signal(0);

/** Pages for those who are not signed in. */
export const isOpen = (page: string) => page === "sign-in" || page === "link";

export function loadSession(): Promise<void> {
  return loading.load(readSession);
}

/** Something may no longer be read, by us or at all: what was kept of it goes. */
export function loseAccess(): Promise<void> {
  losses.value++;
  return loadSession();
}

/** Where to go after signing in: an address of a page of ours, or the chat. */
export function placeAfter(wanted: string | null): string {
  if (!wanted || !URL.canParse(wanted, location.origin)) return "/";
  const url = new URL(wanted, location.origin);
  const { page } = match(url.pathname);
  if (url.origin !== location.origin || page === "missing" || isOpen(page)) return "/";
  return url.pathname + url.search;
}

function signInAddress(): string {
  const here = location.pathname + location.search;
  return here === "/" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(here)}`;
}

/** Whether somebody was here whose session has ended, and not by their signing out. */
export const ended = signal(false);

let tabs: BroadcastChannel | undefined;

/** Keeps those who are not signed in on the page that lets them in; returns how to end that. */
export function followSession(): () => void {
  // In another tab of this browser somebody has signed out, and so from this one.
  tabs = new BroadcastChannel("likeopt.session");
  tabs.onmessage = () => {
    // Whoever is about to come in is somebody new, with a link whose secret stands in no address any
    // more, or on the way to a page.
    if (isOpen(route.peek().page)) inTab.forget();
    else leave();
  };
  let inside = false;
  const unfollow = effect(() => {
    const { page } = route.value;
    if (user.value) inside = true;
    else if (session.value && !isOpen(page)) {
      ended.value = inside;
      navigate(signInAddress(), { replace: true });
    }
  });
  return () => {
    unfollow();
    tabs?.close();
  };
}

/** A load of the page, not a change of it: nothing that one person saw is left for the next. */
export function enter(place: string): void {
  leaveHere();
  location.replace(place);
}

/** Has a person sign in once more: with the password, or, who has none, at the provider. */
proof.ask = async () => {
  const me = user.peek();
  const provider = session.peek()?.oidc;
  if (me && !me.has_password && provider) return askProvider(provider);
  if (!me?.email || !me.has_password) return false;
  const password = await askText({
    title: t.peek().signInAgain,
    body: t.peek().errors.sign_in_again ?? "",
    action: t.peek().signIn,
    field: { label: t.peek().currentPassword, value: "", type: "password" },
  });
  if (!password) return false;
  await signIn(me.email, password, new AbortController().signal);
  return true;
};

async function askProvider(name: string): Promise<boolean> {
  const action = t.peek().signInWith(name);
  const body = `${t.peek().errors.sign_in_again} ${t.peek().comeBack}`;
  if (!(await confirm({ title: t.peek().signInAgain, body, action }))) return false;
  rememberPlace(location.pathname + location.search);
  leaveHere();
  location.assign(PROVIDER_ADDRESS);
  // This page ends here; what was asked for is asked for anew on the next one.
  return new Promise(() => {});
}

export async function signOut(): Promise<void> {
  try {
    await endSession(new AbortController().signal);
  } catch (error) {
    // One that has ended already is what was asked for.
    if (ApiError.from(error).status !== 401) return toastError(error);
  }
  tabs?.postMessage("signed out");
  leave();
}

/** Nothing that one person saw or typed is left for the next. */
function leave(): void {
  leaveHere();
  // First: by it, what writes down at the end of a page knows that there is nothing to be kept.
  session.value = undefined;
  inTab.forget();
  enter("/sign-in");
}

export async function signOutElsewhere(): Promise<void> {
  try {
    toast(t.peek().ended((await endOtherSessions(new AbortController().signal)).ended));
  } catch (error) {
    toastError(error);
  }
}

const PLACE = "place";

/** The provider always sends people back to the chat: from there they are brought to `place`. */
export function rememberPlace(place: string): void {
  inTab.remember(PLACE, place);
}

export function returnToPlace(): void {
  const place = inTab.recall(PLACE);
  inTab.remember(PLACE, null);
  if (place && location.pathname === "/") navigate(placeAfter(place), { replace: true });
}
