import type { ComponentChildren, JSX } from "preact";
import renderToString from "preact-render-to-string";
import { Logo } from "../app/logo";
import type { AdminPage } from "../app/router";
import type { Language } from "../i18n";
import { en, type Messages } from "../i18n/en";
import { enAdmin } from "../i18n/en-admin";
import { ko } from "../i18n/ko";
import { koAdmin } from "../i18n/ko-admin";
import { Icon, type IconName } from "../ui/icon";

/**
 * What the served page shows before any script runs: the frame of each page with its heading, in the
 * same elements and classes as the app, which then takes its place without moving anything. Built by
 * `tools/shells.js`; tests/e2e/test_loading.py compares it with the app.
 */

type Say = Omit<Messages, "errors"> & Pick<typeof enAdmin, `${(typeof TABS)[number]}Help`>;

/** Of administration, what everybody has who has any; the others come after them. */
const TABS = ["jobs", "caches", "settings"] as const;

export const LANGUAGES: Record<Language, Say> = {
  ko: { ...koAdmin, ...ko },
  en: { ...enAdmin, ...en },
};

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
  // Of a library to which one may add: the server knows what.
  adding: (say) => (
    <Frame say={say} here="library">
      <div class="library">
        <div class="page-top">
          <Header say={say} title={say.library} />
        </div>
        <div class="library-scroll">
          <div class="library-content">
            <section class="add-bar">
              <div class="add-text">
                <Icon name="upload" />
                <div>
                  <p class="add-title">{say.drop}</p>
                  <p class="small">{say.formats("{{formats}}", "{{size}}")}</p>
                </div>
              </div>
            </section>
          </div>
        </div>
      </div>
    </Frame>
  ),
  document: (say) => (
    <Frame say={say} here="library">
      <Header say={say} />
    </Frame>
  ),
  // A document that can be read: see `PARTS`.
  reading: (say) => (
    <Frame say={say} here="library">
      <div class="library">
        <Header say={say} title="{{name}}">
          <Act icon="dots" label={say.actions("{{name}}")} />
        </Header>
        <div class="library-scroll">
          <div class="library-content">
            <p>
              <a class="back" href="/library">
                <Icon name="left" /> {say.backToLibrary}
              </a>
            </p>
            <section class="facts">
              <div class="status ready">
                <p>
                  <span class="able">
                    <Icon name="check" /> {say.byWords}
                  </span>
                  <span class="able">
                    <Icon name="check" /> {say.byMeaning}
                  </span>
                </p>
              </div>
              <div class="facts-line">
                <p>{"{{facts}}"}</p>
                <p>{say.updated}</p>
              </div>
              {"{{tags}}"}
              <p class="facts-actions">
                <a class="button primary" href="/?document={{id}}">
                  <Icon name="chat" /> {say.askAbout}
                </a>
                <a
                  class="button"
                  href="/api/v1/documents/{{id}}/original"
                  target="_blank"
                  rel="noopener"
                >
                  <Icon name="open" /> {say.openOriginal}
                </a>
              </p>
            </section>
            <div class="reading">
              <div class="viewer">
                <div class="viewer-inside">
                  <div class="viewer-top">{"{{pager}}"}</div>
                  <div class="viewer-main">
                    <p class="viewer-text" lang="{{lang}}">
                      {"{{text}}"}
                    </p>
                  </div>
                </div>
              </div>
              {"{{gallery}}"}
            </div>
          </div>
        </div>
      </div>
    </Frame>
  ),
  account: (say) => (
    <Frame say={say}>
      <Sheet say={say} title={say.account}>
        <Section title={say.profile} help={say.profileHelp} />
      </Sheet>
    </Frame>
  ),
  ...Object.fromEntries(
    TABS.map((page) => [
      page,
      (say: Say) => (
        <Administration say={say} page={page}>
          <div class="lead">
            <p class="small">{say[`${page}Help`]}</p>
          </div>
        </Administration>
      ),
    ]),
  ),
  people: (say) => (
    <Administration say={say} page="people">
      <Section title={say.accounts} help={say.peopleHelp} />
    </Administration>
  ),
  audit: (say) => (
    <Administration say={say} page="audit">
      <div class="audit">
        <p class="small">{say.auditHelp}</p>
      </div>
    </Administration>
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
  // A conversation whose last turns the server fills in: see `PARTS`.
  transcript: (say) => (
    <Frame say={say}>
      <div class="chat">
        <div class="chat-main">
          <Header say={say} title="{{title}}">
            <Act icon="dots" label={say.actions("{{title}}")} />
          </Header>
          <div class="chat-scroll served">
            <div class="chat-content {{from}}">{"{{turns}}"}</div>
            <Ask say={say} placeholder={say.followUpPlaceholder} />
          </div>
        </div>
      </div>
    </Frame>
  ),
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

/** A number that is written as a hole. */
function number(hole: string): number {
  const written = () => `{{${hole}}}`;
  return { toFixed: written, toString: written } as unknown as number;
}
const COUNT = number("count");

/**
 * Of what the server writes into a shell, the markup: `{{name}}` is where text goes, which
 * likeopt/web/served.py escapes. The same as in pages/chat/{question,turn,sources}.tsx,
 * markdown/code.tsx, pages/library/document.tsx and source/viewer.tsx; tests/e2e/test_loading.py and
 * test_first_sight.py compare where each word stands.
 */
export const PARTS: Record<string, Record<string, (say: Say) => JSX.Element>> = {
  transcript: {
    turn: (say) => (
      <section class="turn">
        <div class="asked">
          <div class="question">
            <h2 class="hidden">{say.you}</h2>
            <p>{"{{question}}"}</p>
          </div>
          <div class="asked-actions">
            <Act icon="copy" label={say.copy} />
            <Act icon="pencil" label={say.edit} />
          </div>
        </div>
        <article class="answer" aria-label={say.answer}>
          <div class="markdown">{"{{text}}"}</div>
          {"{{sources}}"}
          <footer class="meta">
            {"{{badge}}"}
            <span class="meta-actions">
              <Act icon="copy" label={say.copyAnswer} />
              {"{{again}}"}
              <Act icon="thumbup" label={say.good} />
              <Act icon="thumbdown" label={say.bad} />
              {"{{took}}"}
            </span>
          </footer>
        </article>
      </section>
    ),
    again: (say) => <Act icon="again" label={say.regenerate} />,
    took: (say) => (
      <button class="took" type="button" aria-label={say.timings("{{took}}")}>
        <Icon name="clock" /> {"{{took}}"}
      </button>
    ),
    generated: (say) => (
      <span class="badge generated">
        <Icon name="spark" /> {say.kinds.generated("{{model}}")}
      </span>
    ),
    extractive: (say) => (
      <span class="badge extractive">
        <Icon name="quote" /> {say.kinds.extractive}
      </span>
    ),
    not_found: (say) => (
      <span class="badge not_found">
        <Icon name="search" /> {say.kinds.not_found}
      </span>
    ),
    sources: (say) => (
      <section class="sources">
        <h3>{say.sources}</h3>
        <ol>{"{{sources}}"}</ol>
      </section>
    ),
    nearest: (say) => (
      <section class="sources">
        <h3>{say.nearest}</h3>
        <ol>{"{{sources}}"}</ol>
      </section>
    ),
    source: () => (
      <li>
        <button class="source" type="button">
          <span class="chip">{"{{number}}"}</span>
          <span class="source-text">
            <span class="source-name">
              <Icon name="file" />
              <span>{"{{name}}"}</span>
              {"{{page}}"}
            </span>
            <span class="source-quote">{"{{quote}}"}</span>
          </span>
        </button>
      </li>
    ),
    page: (say) => <span class="source-page">{say.page(number("page"))}</span>,
    gone: (say) => (
      <li>
        <p class="source gone">
          <span class="chip gone">{"{{number}}"}</span>
          <span class="source-quote">{say.sourceGone}</span>
        </p>
      </li>
    ),
    chip: () => (
      <button class="{{look}}" type="button">
        {"{{number}}"}
      </button>
    ),
    code: (say) => (
      <div class="code">
        <div class="code-top">
          <span class="code-language">{"{{language}}"}</span>
          <Act icon="copy" label={say.copyCode} />
        </div>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: as in the app */}
        <pre tabIndex={0}>
          <code>{"{{code}}"}</code>
        </pre>
      </div>
    ),
  },
  reading: {
    // One of each has a word of its own in English.
    page: (say) => <>{say.pages(1)}</>,
    pages: (say) => <>{say.pages(COUNT)}</>,
    passage: (say) => <>{say.passages(1)}</>,
    passages: (say) => <>{say.passages(COUNT)}</>,
    tags: (say) => (
      <div class="tags">
        <span class="tags-name">{say.tags}</span>
        {"{{tags}}"}
      </div>
    ),
    tag: () => <span class="tag">{"{{tag}}"}</span>,
    removable: (say) => (
      <button class="tag" type="button" aria-label={say.removeTag("{{tag}}")}>
        {"{{tag}}"} <Icon name="close" />
      </button>
    ),
    add: (say) => (
      <button class="tag" type="button">
        <Icon name="plus" /> {say.addTag}
      </button>
    ),
    ofpages: (say) => <Pager say={say} name={say.pageOf(1, COUNT)} />,
    ofparts: (say) => <Pager say={say} name={say.partOf(1, COUNT)} />,
    gallery: (say) => <aside class="gallery" aria-label={say.pictures} />,
  },
};

/** Every element that an answer may hold, for the style that it needs. */
const ANSWER = `<div class="chat-content from-end"></div><p class="scroll right center left image chip
gone kept"><h3><h4><h5><h6><ul><ol><li><blockquote><hr><table><thead><tbody><tr><th><td><pre><code><a>
<strong><em><del><br>`;

/** A page's frame, the parts that the server fills in, and more of what these may hold. */
export function draw(route: string, language: keyof typeof LANGUAGES) {
  const say = LANGUAGES[language];
  const parts = Object.entries(PARTS[route] ?? {}).map(([name, part]) => [
    name,
    renderToString(part(say)),
  ]);
  return {
    html: shell(route, language),
    parts: Object.fromEntries(parts) as Record<string, string>,
    more: route === "transcript" ? ANSWER : "",
  };
}

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

function Header(props: {
  say: Say;
  title?: string;
  quiet?: boolean;
  children?: ComponentChildren;
}): JSX.Element {
  const { say, title, quiet, children } = props;
  return (
    <header class="page-header">
      <button class="icon-button menu-button" type="button" aria-label={say.menu} disabled>
        <Icon name="menu" />
      </button>
      <h1 class={quiet ? "hidden" : "page-title"}>{title}</h1>
      {quiet && <span class="page-title" />}
      <div class="page-actions">{children}</div>
    </header>
  );
}

function Sheet(props: {
  say: Say;
  title: string;
  wide?: boolean;
  tabs?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  const { say, title, wide, tabs, children } = props;
  return (
    <div class={wide ? "sheet wide" : "sheet"}>
      <div class="page-top">
        <Header say={say} title={title} />
        {tabs}
      </div>
      <div class="sheet-scroll">
        <div class="sheet-content">{children}</div>
      </div>
    </div>
  );
}

function Administration(props: {
  say: Say;
  page: AdminPage;
  children: ComponentChildren;
}): JSX.Element {
  const { say, page, children } = props;
  const tabs = (
    <nav class="tabs" aria-label={say.administration}>
      {TABS.map((one) => (
        <a key={one} href={`/admin/${one}`} aria-current={one === page ? "page" : undefined}>
          {say[one]}
        </a>
      ))}
    </nav>
  );
  return (
    <Frame say={say}>
      <Sheet wide say={say} title={say[page]} tabs={tabs}>
        {children}
      </Sheet>
    </Frame>
  );
}

function Section({ title, help }: { title: string; help: string }): JSX.Element {
  return (
    <section class="section">
      <header class="section-header">
        <div>
          <h2>{title}</h2>
          <p class="small">{help}</p>
        </div>
      </header>
    </section>
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
          <Ask say={say} placeholder={say.placeholder} />
        </div>
      </div>
    </div>
  );
}

function Ask({ say, placeholder }: { say: Say; placeholder: string }): JSX.Element {
  return (
    <>
      {/* The place of the card of a citation. */}
      <div popover="manual" />
      <div class="chat-bottom">
        <form class="composer">
          <div class="composer-box">
            <textarea rows={1} placeholder={placeholder} aria-label={say.placeholder} disabled />
            <button class="send" type="submit" aria-label={say.send} disabled>
              <Icon name="send" />
            </button>
          </div>
          <p class="composer-hint">{say.composerHint}</p>
        </form>
      </div>
    </>
  );
}

function Pager({ say, name }: { say: Say; name: string }): JSX.Element {
  return (
    <nav class="viewer-pages" aria-label={name}>
      <button class="icon-button" type="button" aria-label={say.previousPage} aria-disabled>
        <Icon name="left" />
      </button>
      <span>{name}</span>
      <Act icon="right" label={say.nextPage} />
    </nav>
  );
}

function Act({ icon, label }: { icon: IconName; label: string }): JSX.Element {
  return (
    <button class="icon-button" type="button" aria-label={label}>
      <Icon name={icon} />
    </button>
  );
}
