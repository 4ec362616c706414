import { effect, useComputed, useSignal } from "@preact/signals";
import type { ComponentProps, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { follow } from "../lib/follow";
import { DialogHost } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { narrow } from "../ui/media";
import { Panel } from "../ui/panel";
import { Announcer } from "../ui/toast";
import { menuOpen } from "./menu";
import { MenuButton, useTitle } from "./page-header";
import { failure, pages } from "./pages";
import { ADMIN_PAGES, type Route, route } from "./router";
import { online } from "./server";
import { admin, isOpen, loadSession, member, operator, problem, user } from "./session";
import { Shortcuts } from "./shortcuts";
import { Sidebar } from "./sidebar/sidebar";
import "./app.css";

export function App(): JSX.Element {
  const main = useRef<HTMLElement>(null);
  const drawer = useComputed(() => menuOpen.value && narrow.value);
  useFocusOnChange(main);
  const bare = isOpen(route.value.page) || !!problem.value;
  return (
    <div class={bare ? "app bare" : "app"}>
      <a class="skip" href="#main">
        {t.value.skip}
      </a>
      {!bare && <Sidebar />}
      {drawer.value && (
        <button
          class="scrim"
          type="button"
          aria-label={t.value.closeMenu}
          onClick={() => {
            menuOpen.value = false;
          }}
        />
      )}
      <main id="main" class="main" tabIndex={-1} ref={main} inert={drawer.value}>
        {!online.value && !problem.value && (
          <p class="offline" role="status">
            <Icon name="offline" /> {t.value.offline}
          </p>
        )}
        <CurrentPage />
      </main>
      <Shortcuts />
      <DialogHost />
      <Announcer />
    </div>
  );
}

function CurrentPage(): JSX.Element {
  const { page } = route.value;
  if (page === "missing") return <Missing />;
  if (problem.value?.code === "offline") return <Offline />;
  if (problem.value) return <Panel error={problem.value} retry={loadSession} />;
  const Found = pages[page].value;
  // Before it is known who is here, a page could only show what it may not.
  if (Found && (user.value || isOpen(page))) {
    return isAllowed(page) ? <Found /> : <Closed />;
  }
  if (failure.value) {
    return (
      <>
        <WayOut />
        <Panel error={failure.value} retry={() => location.reload()} />
      </>
    );
  }
  // The code arrives within a moment, and an empty page flickers less than a spinner.
  return <div class="main-empty" />;
}

const AGAIN_MS = 5000;

/** Opened without a network. The same as `offline` in shell/skeleton.tsx. */
function Offline(): JSX.Element {
  // A browser that has a network does not know when the server is back.
  useEffect(() => follow(loadSession, () => AGAIN_MS), []);
  return (
    <Whole
      icon="offline"
      title={t.value.offlineTitle}
      body={t.value.offlineBody}
      action={
        <button class="button" type="button" onClick={loadSession}>
          <Icon name="again" /> {t.value.retry}
        </button>
      }
    />
  );
}

function isAllowed(page: Route["page"]): boolean {
  if (page === "account") return member.value;
  if (page === "people" || page === "audit") return admin.value;
  return ADMIN_PAGES.some((one) => one === page) ? operator.value : true;
}

/** What stands in the place of a page, with its heading and the window's title. */
function Whole(props: ComponentProps<typeof Panel> & { title: string }): JSX.Element {
  useTitle(props.title);
  return (
    <>
      {!problem.value && <WayOut />}
      <Panel {...props} whole />
    </>
  );
}

/** Where the side bar is a drawer, the way to it from what has no header of its own. */
function WayOut(): JSX.Element {
  return (
    <div class="page-header way-out">
      <MenuButton />
    </div>
  );
}

function Closed(): JSX.Element {
  return (
    <Whole
      icon="lock"
      title={t.value.closedTitle}
      body={member.value ? t.value.closedBody : t.value.closedToGuests}
      action={
        <a class="button primary" href="/">
          {t.value.goHome}
        </a>
      }
    />
  );
}

function Missing(): JSX.Element {
  return (
    <Whole
      icon="search"
      title={t.value.notFoundTitle}
      body={t.value.notFoundBody}
      action={
        <a class="button primary" href="/">
          {t.value.goHome}
        </a>
      }
    />
  );
}

/** After a change of page the keyboard starts from the new content. */
function useFocusOnChange(main: { current: HTMLElement | null }): void {
  const shown = useSignal(placeOf(route.peek()));
  useEffect(
    () =>
      effect(() => {
        const place = placeOf(route.value);
        if (place === shown.peek()) return;
        shown.value = place;
        main.current?.focus({ preventScroll: true });
      }),
    [],
  );
}

/** Not each conversation: a new one gets its address while one writes, and with another the question
 * field takes the keyboard by itself. */
const placeOf = (to: Route) => (to.page === "library" ? `library/${to.document}` : to.page);
