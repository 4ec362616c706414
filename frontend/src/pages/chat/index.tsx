import { effect, useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { PageHeader } from "../../app/page-header";
import * as history from "../../app/sidebar/history";
import { conversationActions } from "../../app/sidebar/history-list";
import { t } from "../../i18n";
import { SourcePanel } from "../../source/panel";
import { Icon } from "../../ui/icon";
import { compact, stillness } from "../../ui/media";
import { Menu } from "../../ui/menu";
import { Panel } from "../../ui/panel";
import type { Answer } from "./answer";
import { CitationCard } from "./card";
import { Composer } from "./composer";
import { chat, editing, opened } from "./current";
import { TURN_PX, useFirst } from "./earlier";
import type { Turn } from "./store";
import { TurnView } from "./turn";
import { Welcome } from "./welcome";
import "./chat.css";

// How near to its end a conversation must be scrolled to follow what is written.
const NEAR_PX = 96;
// How long an answer must have been written for somebody to be reading it.
const READ_MS = 300;
// What the button that leads to the end covers, above the question field.
const BUTTON_PX = 56;

export const ready = () => chat.loading.settled();

export default function ChatPage(): JSX.Element {
  const covered = useComputed(() => compact.value && !!opened.value);
  return (
    <div class={opened.value ? "chat with-source" : "chat"}>
      <div class="chat-main" inert={covered.value}>
        <Header />
        <Conversation />
      </div>
      {opened.value && (
        <SourcePanel
          key={`${opened.value.version_id}/${opened.value.start}`}
          citation={opened.value}
          close={() => {
            opened.value = null;
          }}
        />
      )}
    </div>
  );
}

function Header(): JSX.Element {
  const id = chat.id.value;
  const listed = history.items.value.find((item) => item.id === id);
  const title = id ? (listed?.title ?? chat.title.value) : t.value.newChat;
  const gone = chat.loading.state.value.error?.status === 404;
  return (
    // A page that is loaded or missing has a heading all the same.
    <PageHeader
      title={title || (gone ? t.value.notFoundTitle : t.value.history)}
      quiet={!id || !title}
    >
      {id && title && (
        <Menu label={t.value.actions(title)} items={conversationActions(id, title)} />
      )}
    </PageHeader>
  );
}

export function Conversation(): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const away = useSignal(false);
  const { toEnd, follow } = useEnd(scroller, content, (is) => {
    away.value = is;
  });
  const { error } = chat.loading.state.value;
  const turns = chat.turns.value;
  useEffect(() => {
    if (turns.length > 0) follow();
  }, [turns.length]);
  const toLatest = () => {
    if (!chat.writing.peek()) return toEnd(!stillness.peek());
    follow(); // the end moves
  };
  const fresh = !chat.id.value && turns.length === 0;
  return (
    <div class="chat-scroll" ref={scroller}>
      <div class={fresh ? "chat-content fresh" : "chat-content"} ref={content}>
        {error ? (
          <Panel
            error={error}
            retry={() => chat.show(chat.id.peek())}
            action={
              error.status === 404 && (
                <a class="button primary" href="/">
                  {t.value.goHome}
                </a>
              )
            }
          />
        ) : fresh ? (
          <Welcome />
        ) : turns.length === 0 && !chat.loading.data ? (
          <Panel loading />
        ) : (
          <Turns turns={turns} />
        )}
      </div>
      <CitationCard />
      <div class="chat-bottom">
        {away.value && turns.length > 0 && (
          <button class="to-end" type="button" onClick={toLatest}>
            <Icon name="down" /> {t.value.toLatest} {chat.writing.value && <span class="pulse" />}
          </button>
        )}
        {!error && <Composer />}
      </div>
    </div>
  );
}

function Turns({ turns }: { turns: Turn[] }): JSX.Element {
  const first = useFirst(turns);
  return (
    <>
      {first > 0 && <div style={{ height: `${first * TURN_PX}px` }} />}
      {turns.slice(first).map((turn, at) => (
        <TurnView key={first + at} turn={turn} last={first + at === turns.length - 1} />
      ))}
    </>
  );
}

type Box = { current: HTMLDivElement | null };

/** Keeps the end in sight while text grows, unless the reader has scrolled away from it. */
function useEnd(scroller: Box, content: Box, onAway: (is: boolean) => void) {
  const following = useRef(true);
  const toEnd = (smooth: boolean) => {
    const box = scroller.current;
    box?.scrollTo({ top: box.scrollHeight, behavior: smooth ? "smooth" : "instant" });
  };
  // Before it is painted: what the server has drawn stood there already.
  useLayoutEffect(() => {
    if (chat.turns.peek().length > 0) toEnd(false);
  }, []);
  useEffect(() => {
    const box = scroller.current;
    if (!box || !content.current) return;
    const onScroll = () => {
      const near = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
      following.current = near;
      onAway(!near);
    };
    const grown = new ResizeObserver(() => {
      // An empty conversation is read from its top, and what is edited stays in sight.
      if (following.current && chat.turns.peek().length > 0 && !editing.peek()) toEnd(false);
      else onScroll();
    });
    grown.observe(content.current);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      grown.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  }, []);
  const toText = () => {
    const box = scroller.current;
    const text = box?.querySelector(".turn:last-child .markdown");
    const below = box?.lastElementChild; // the question field
    if (!box || !text || !below) return;
    const end = below.getBoundingClientRect().top - BUTTON_PX;
    box.scrollTop += Math.max(0, text.getBoundingClientRect().bottom - end);
  };
  useEffect(() => {
    let written: Answer | undefined;
    let since = 0;
    // At once, before the sources are drawn: a hook of signals would come after them.
    return effect(() => {
      const now = chat.writing.value;
      if (now) {
        if (!now.text.value || now !== written) since = performance.now();
      } else if (written && following.current) {
        // What is read stays in its place when they come below it; what came at once is not yet.
        const isRead = performance.now() - since > READ_MS;
        if (isRead && written.phase.peek() !== "failed") {
          following.current = false;
          requestAnimationFrame(toText);
        }
      }
      written = now;
    });
  }, []);
  const follow = () => {
    following.current = true;
    toEnd(false);
  };
  return { toEnd, follow };
}
