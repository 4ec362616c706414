import { useComputed } from "@preact/signals";
import type { JSX, TargetedEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { exportAddress } from "../../api/conversations";
import type { Conversation } from "../../api/types";
import { t } from "../../i18n";
import { daysAgo } from "../../lib/format";
import { askText, confirm } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { type Item, Menu } from "../../ui/menu";
import { More, Panel, Shown } from "../../ui/panel";
import { toast } from "../../ui/toast";
import { navigate, route } from "../router";
import { hasMore, isBegun, list, load, loadMore, remove, rename, search } from "./history";

const TYPING_MS = 200;

/** Earlier conversations: found by words, grouped by day. */
export function HistoryList(): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  // What is found is read from its top.
  useEffect(() => box.current?.scrollTo(0, 0), [search.value]);
  return (
    <section class="history" aria-labelledby="history-title">
      <h2 class="history-title" id="history-title">
        {t.value.history}
      </h2>
      <SearchField />
      <div class="history-list" ref={box}>
        <Contents />
      </div>
    </section>
  );
}

let typing: ReturnType<typeof setTimeout> | undefined;

function SearchField(): JSX.Element {
  const onInput = (event: TargetedEvent<HTMLInputElement>) => {
    search.value = event.currentTarget.value;
    clearTimeout(typing);
    typing = setTimeout(load, TYPING_MS);
  };
  return (
    <label class="search-field">
      <Icon name="search" />
      <span class="hidden">{t.value.searchHistory}</span>
      <input
        type="search"
        value={search.value}
        placeholder={t.value.searchHistory}
        onInput={onInput}
      />
    </label>
  );
}

function Contents(): JSX.Element {
  const none = search.value ? t.value.noHistoryFound : t.value.noHistory;
  return (
    <Shown
      of={list}
      compact
      empty={({ items }) => items.length === 0 && <Panel compact body={none} />}
    >
      {({ items }, loading) => (
        <>
          {groups(items).map(([name, rows]) => (
            <div class="history-group" key={name}>
              <h3>{name}</h3>
              <ul>
                {rows.map((row) => (
                  <Row key={row.id} row={row} />
                ))}
              </ul>
            </div>
          ))}
          <More shown={hasMore.value} loading={loading} load={loadMore} />
        </>
      )}
    </Shown>
  );
}

function groups(all: Conversation[]): [string, Conversation[]][] {
  const { today, yesterday, lastWeek, earlier } = t.value;
  const found = new Map<string, Conversation[]>();
  for (const item of all) {
    const days = daysAgo(item.updated_at);
    const name = days <= 0 ? today : days === 1 ? yesterday : days <= 7 ? lastWeek : earlier;
    found.set(name, [...(found.get(name) ?? []), item]);
  }
  return [...found];
}

function Row({ row }: { row: Conversation }): JSX.Element {
  // Of forty rows, two change with the page.
  const here = useComputed(
    () => route.value.page === "chat" && route.value.conversation === row.id,
  ).value;
  return (
    <li class={here ? "history-row here" : "history-row"}>
      <a
        {...(!isBegun(row.id) && { href: `/c/${row.id}` })}
        aria-current={here ? "page" : undefined}
        title={row.title}
      >
        {row.title}
      </a>
      {!isBegun(row.id) && (
        <Menu label={t.value.actions(row.title)} items={conversationActions(row.id, row.title)} />
      )}
    </li>
  );
}

/** What can be done with a conversation, here and above the conversation itself. */
export function conversationActions(id: string, title: string): Item[] {
  return [
    { icon: "pencil", label: t.value.rename, run: () => askRename(id, title) },
    { icon: "download", label: t.value.exportMarkdown, href: exportAddress(id, "markdown") },
    { icon: "download", label: t.value.exportJson, href: exportAddress(id, "json") },
    { icon: "trash", label: t.value.delete, danger: true, run: () => askRemove(id, title) },
  ];
}

async function askRename(id: string, title: string): Promise<void> {
  const chosen = await askText({
    title: t.value.renameChat,
    action: t.value.save,
    field: { label: t.value.title, value: title },
  });
  if (chosen && chosen !== title && (await rename(id, chosen, title))) toast(t.value.renamed);
}

async function askRemove(id: string, title: string): Promise<void> {
  const sure = await confirm({
    title: t.value.deleteChat,
    body: t.value.deleteChatBody(title),
    action: t.value.delete,
    danger: true,
  });
  if (!sure) return;
  const rows = [...document.querySelectorAll<HTMLElement>(".history-row > a")];
  const next = rows[rows.findIndex((row) => row.getAttribute("href") === `/c/${id}`) + 1];
  if (!(await remove(id))) return;
  toast(t.value.deleted);
  const now = route.peek();
  if (now.page === "chat" && now.conversation === id) navigate("/", { replace: true });
  else if (document.activeElement === document.body)
    // The keyboard's place has gone with the row.
    (next ?? document.querySelector<HTMLElement>(".history input"))?.focus();
}
