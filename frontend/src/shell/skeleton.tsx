import type { ComponentChildren, JSX } from "preact";
import renderToString from "preact-render-to-string";
import { Logo } from "../app/logo";
import { en, type Messages } from "../i18n/en";
import { ko } from "../i18n/ko";
import { Icon } from "../ui/icon";

/**
 * What the served page shows before any script runs: the frame of each page with its heading, in the
 * same elements and classes as the app, which then takes its place without moving anything. Built by
 * `tools/shells.js`; tests/e2e/test_loading.py compares it with the app.
 */

type Say = Omit<Messages, "errors">;

export const LANGUAGES = { ko, en };

/** Route -> the page's frame. What has no heading yet, such as a conversation, is a bare frame. */
export const SHELLS: Record<string, (say: Say) => JSX.Element> = {
  chat: (say) => (
    <Frame say={say} here="chat">
      <Chat say={say} />
    </Frame>
  ),
  // Of a server without a model: the hint is the largest text on a phone.
  "chat-extractive": (say) => (
    <Frame say={say} here="chat">
      <Chat say={say} hint />
    </Frame>
  ),
  conversation: (say) => (
    <Frame say={say}>
      <Header say={say} />
    </Frame>
  ),
  library: (say) => (
    <Frame say={say} here="library">
      <Header say={say} title={say.library} />
    </Frame>
  ),
  document: (say) => (
    <Frame say={say} here="library">
      <Header say={say} />
    </Frame>
  ),
  account: (say) => (
    <Frame say={say}>
      <Sheet say={say} title={say.account} />
    </Frame>
  ),
  ...Object.fromEntries(
    (["jobs", "caches", "settings", "people", "audit"] as const).map((page) => [
      page,
      (say: Say) => (
        <Frame say={say}>
          <Sheet say={say} title={say[page]} wide />
        </Frame>
      ),
    ]),
  ),
  "sign-in": (say) => (
    <Gate say={say}>
      <h1>{say.signIn}</h1>
      <form class="form">
        <Field label={say.email} />
        <Field label={say.password} />
        <p class="form-error" />
        <button class="button primary" type="submit" disabled>
          {say.signIn}
        </button>
      </form>
      <p class="small">{say.forgot}</p>
    </Gate>
  ),
  link: (say) => <Gate say={say} />,
  missing: (say) => (
    <Frame say={say}>
      <Header say={say} />
    </Frame>
  ),
  offline: (say) => (
    <Bare>
      <div class="panel">
        <Icon name="offline" />
        <h1 class="panel-title">{say.offlineTitle}</h1>
        <p class="panel-body">{say.offlineBody}</p>
      </div>
    </Bare>
  ),
};

export function shell(route: string, language: keyof typeof LANGUAGES): string {
  const draw = SHELLS[route];
  if (!draw) throw new Error(`There is no shell of ${route}`);
  return renderToString(draw(LANGUAGES[language]));
}

function Bare({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <div class="app bare">
      <main id="main" class="main">
        {children}
      </main>
    </div>
  );
}

function Gate({ say, children }: { say: Say; children?: ComponentChildren }): JSX.Element {
  return (
    <Bare>
      <div class="gate">
        <div class="gate-card">
          <p class="gate-brand">Like-Opt</p>
          <p class="gate-about">{say.about}</p>
          {children}
        </div>
      </div>
    </Bare>
  );
}

function Field({ label }: { label: string }): JSX.Element {
  return (
    <label class="field">
      <span>{label}</span>
      <input class="input" disabled />
    </label>
  );
}

function Frame({
  say,
  here,
  children,
}: {
  say: Say;
  here?: "chat" | "library";
  children: ComponentChildren;
}): JSX.Element {
  const link = (page: string) => (here === page ? "nav-link here" : "nav-link");
  return (
    <div class="app">
      <a class="skip" href="#main">
        {say.skip}
      </a>
      <aside class="sidebar">
        <div class="sidebar-top">
          <a class="brand" href="/">
            <Logo /> Like-Opt
          </a>
        </div>
        <nav class="nav" aria-label={say.menu}>
          <a class={link("chat")} href="/">
            <Icon name="plus" /> {say.newChat}
          </a>
          <a class={link("library")} href="/library">
            <Icon name="library" /> {say.library}
          </a>
        </nav>
        <section class="history">
          <h2 class="history-title">{say.history}</h2>
          <label class="search-field">
            <Icon name="search" />
            <span class="hidden">{say.searchHistory}</span>
            <input type="search" placeholder={say.searchHistory} disabled />
          </label>
          <div class="history-list" />
        </section>
      </aside>
      <main id="main" class="main">
        {children}
      </main>
    </div>
  );
}

function Header({ say, title, quiet }: { say: Say; title?: string; quiet?: boolean }): JSX.Element {
  return (
    <header class="page-header">
      <button class="icon-button menu-button" type="button" aria-label={say.menu} disabled>
        <Icon name="menu" />
      </button>
      <h1 class={quiet ? "hidden" : "page-title"}>{title}</h1>
      {quiet && <span class="page-title" />}
      <div class="page-actions" />
    </header>
  );
}

function Sheet({ say, title, wide }: { say: Say; title: string; wide?: boolean }): JSX.Element {
  return (
    <div class={wide ? "sheet wide" : "sheet"}>
      <div class="page-top">
        <Header say={say} title={title} />
      </div>
    </div>
  );
}

function Chat({ say, hint }: { say: Say; hint?: boolean }): JSX.Element {
  return (
    <div class="chat">
      <div class="chat-main">
        <Header say={say} title={say.newChat} quiet />
        <div class="chat-scroll">
          <div class="chat-content fresh">
            <div class="welcome">
              <h2>{say.welcome}</h2>
              <p class="welcome-body">{say.welcomeBody}</p>
              <div class="samples" />
              {hint && (
                <div class="connect">
                  <h3>
                    <Icon name="quote" /> {say.connectTitle}
                  </h3>
                  <p>{say.connectBody}</p>
                </div>
              )}
            </div>
          </div>
          <div class="chat-bottom">
            <form class="composer">
              <div class="composer-box">
                <textarea
                  rows={1}
                  placeholder={say.placeholder}
                  aria-label={say.placeholder}
                  disabled
                />
                <button class="send" type="submit" aria-label={say.send} disabled>
                  <Icon name="send" />
                </button>
              </div>
              <p class="composer-hint">{say.composerHint}</p>
            </form>
          </div>
        </div>
      </div>
    </div>
  );
}
