import { useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { chooseLanguage, type Language, language, t } from "../../i18n";
import { Icon } from "../../ui/icon";
import { useLayer } from "../../ui/layer";
import { narrow } from "../../ui/media";
import { type Item, Menu } from "../../ui/menu";
import { Logo } from "../logo";
import { menuOpen as open } from "../menu";
import { ADMIN_PAGES, route } from "../router";
import { busy, indexing, info } from "../server";
import { guest, operator, signOut, signOutElsewhere, user } from "../session";
import { shortcutsShown } from "../shortcuts";
import { nextTheme, theme } from "../theme";
import { visit } from "../visit";
import * as history from "./history";
import { HistoryList } from "./history-list";
import "./sidebar.css";

/** Where one can go: a column, or below 860 px a drawer. */
export function Sidebar(): JSX.Element {
  const drawer = useRef<HTMLElement>(null);
  const away = useComputed(() => narrow.value && !open.value);
  const shown = narrow.value && open.value;
  const close = () => {
    open.value = false;
  };
  useLayer(shown, close);
  // What is in a drawer that nobody has opened is not made.
  const seen = useRef(false);
  seen.current ||= !away.value;
  const reader = user.value?.id;
  useEffect(() => {
    if (reader) history.load();
  }, [reader]);
  useEffect(() => {
    if (!shown) return;
    const before = document.activeElement;
    // A shortcut may have led to a field in it already.
    if (!drawer.current?.contains(before)) {
      drawer.current?.querySelector<HTMLElement>("a, button")?.focus();
    }
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") close();
    };
    addEventListener("keydown", onKey);
    return () => {
      removeEventListener("keydown", onKey);
      if (before instanceof HTMLElement) before.focus();
    };
  }, [shown]);
  return (
    <aside class={open.value ? "sidebar open" : "sidebar"} inert={away.value} ref={drawer}>
      {seen.current && (
        <>
          <div class="sidebar-top">
            <a class="brand" href="/">
              <Logo /> Like-Opt
            </a>
            {shown && (
              <button
                class="icon-button"
                type="button"
                aria-label={t.value.closeMenu}
                onClick={close}
              >
                <Icon name="close" />
              </button>
            )}
          </div>
          <Navigation />
          <HistoryList />
          <Activity />
          <Footer />
        </>
      )}
    </aside>
  );
}

function Navigation(): JSX.Element {
  const here = route.value;
  const fresh = here.page === "chat" && !here.conversation;
  return (
    <nav class="nav" aria-label={t.value.menu}>
      <a
        class={fresh ? "nav-link here" : "nav-link"}
        href="/"
        aria-current={fresh ? "page" : undefined}
      >
        <Icon name="plus" /> {t.value.newChat}
      </a>
      <a
        class={here.page === "library" ? "nav-link here" : "nav-link"}
        href="/library"
        aria-current={here.page === "library" ? "page" : undefined}
      >
        <Icon name="library" /> {t.value.library}
      </a>
    </nav>
  );
}

/** What the server is reading at the moment; nothing when it is idle. */
function Activity(): JSX.Element | null {
  const now = indexing.value;
  if (!busy.value || !now) return null;
  const files =
    now.queued + now.pending_words + now.running.filter(({ kind }) => kind === "index").length;
  return (
    <a class="activity" href="/library">
      <span class="spinner" />
      {files > 0 ? t.value.indexingLine(files) : t.value.embeddingLine(now.pending_embeddings)}
    </a>
  );
}

function Footer(): JSX.Element {
  const model = info.state.value.data?.model;
  return (
    <footer class="sidebar-footer">
      <p class="model-line" title={model?.name}>
        {/* Its line is there from the start, so that nothing moves when it is known. */}
        <Icon name={model?.kind === "extractive" ? "quote" : "spark"} />
        <span>{model && t.value.modelLine(model.kind, model.name)}</span>
      </p>
      <Administration />
      <Myself />
      <div class="sidebar-tools">
        <LanguageSwitch />
        <button
          class="icon-button"
          type="button"
          title={`${t.value.theme}: ${t.value.themes[theme.value]}`}
          aria-label={`${t.value.theme}: ${t.value.themes[theme.value]}`}
          onClick={nextTheme}
        >
          <Icon name={theme.value} />
        </button>
        <button
          class="icon-button shortcuts-button"
          type="button"
          title={`${t.value.shortcuts} (?)`}
          aria-label={t.value.shortcuts}
          aria-haspopup="dialog"
          onClick={() => {
            shortcutsShown.value = true;
          }}
        >
          <Icon name="keyboard" />
        </button>
      </div>
    </footer>
  );
}

/** Down here, where nothing moves when it turns out who is looking. */
function Administration(): JSX.Element | null {
  if (!operator.value) return null;
  const here = ADMIN_PAGES.some((page) => page === route.value.page);
  return (
    <a class={here ? "nav-link here" : "nav-link"} href={`/admin/${ADMIN_PAGES[0]}`}>
      <Icon name="sliders" /> {t.value.administration}
    </a>
  );
}

function Myself(): JSX.Element | null {
  if (!user.value) return null;
  const { name, email } = user.value;
  const leave: Item = { icon: "leave", label: t.value.signOut, run: signOut };
  const account: Item = {
    icon: "person",
    label: t.value.account,
    run: () => visit("/account"),
  };
  // Others have it on the page of their account.
  const elsewhere: Item = {
    icon: "leave",
    label: t.value.signOutElsewhere,
    run: signOutElsewhere,
  };
  const hint = t.value.guestHint;
  return (
    <Menu
      label={guest.value ? hint : t.value.accountOf(name)}
      look="nav-link myself"
      items={guest.value ? [elsewhere, leave] : [account, leave]}
    >
      <Icon name="person" />
      <span title={guest.value ? hint : (email ?? "")}>{guest.value ? hint : name}</span>
      <Icon name="unfold" />
    </Menu>
  );
}

const NAMES: [Language, string][] = [
  ["ko", "한국어"],
  ["en", "English"],
];

function LanguageSwitch(): JSX.Element {
  return (
    <fieldset class="switch">
      <legend class="hidden">{t.value.language}</legend>
      {NAMES.map(([code, name]) => (
        <button
          key={code}
          type="button"
          lang={code}
          aria-pressed={language.value === code}
          onClick={() => chooseLanguage(code)}
        >
          {name}
        </button>
      ))}
    </fieldset>
  );
}
