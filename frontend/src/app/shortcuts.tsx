import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { t } from "../i18n";
import { recall, remember } from "../lib/stored";
import { Check } from "../ui/field";
import { narrow } from "../ui/media";
import { Modal } from "../ui/modal";
import { menuOpen } from "./menu";
import { navigate } from "./router";
import { user } from "./session";
import "./shortcuts.css";

/** Whether the list of shortcuts is shown. */
export const shortcutsShown = signal(false);

/** Whether `?` and `/` do something by themselves; who dictates can switch that off (WCAG 2.1.4). */
const single = signal(recall("single-keys") !== "off");

const apple = /Mac|iP(hone|ad|od)/.test(navigator.userAgent);
const CTRL = apple ? "⌘" : "Ctrl";

type Key = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey" | "altKey">;

/** What a press of keys means, outside of fields or (with Ctrl) anywhere. */
export function meaningOf(event: Key, typing: boolean): "sheet" | "ask" | "fresh" | "find" | null {
  const command = apple ? event.metaKey : event.ctrlKey;
  const key = event.key.toLowerCase();
  if (command && !event.altKey) {
    if (key === "k" && !event.shiftKey) return "find";
    return key === "o" && event.shiftKey ? "fresh" : null;
  }
  if (typing || !single.peek() || event.ctrlKey || event.metaKey || event.altKey) return null;
  return key === "?" ? "sheet" : key === "/" ? "ask" : null;
}

const DEEDS = {
  sheet: () => {
    shortcutsShown.value = true;
  },
  ask: () => focusOn(".composer textarea", "/"),
  fresh: () => {
    navigate("/");
    focusOn(".composer textarea");
  },
  find: () => {
    if (narrow.peek()) menuOpen.value = true;
    focusOn(".history input");
  },
};

/** After the page has drawn itself; on another page after a change to `elsewhere`. */
function focusOn(selector: string, elsewhere?: string): void {
  if (elsewhere && !document.querySelector(selector)) navigate(elsewhere);
  requestAnimationFrame(() => document.querySelector<HTMLElement>(selector)?.focus());
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof Element && !!target.closest("input, textarea, select, [contenteditable]")
  );
}

function onKeyDown(event: KeyboardEvent): void {
  // A window that asks something comes first.
  if (event.defaultPrevented || !user.peek() || document.querySelector("dialog[open]")) return;
  const meaning = meaningOf(event, isTyping(event.target));
  if (!meaning) return;
  event.preventDefault();
  DEEDS[meaning]();
}

/** Listens to the keyboard, and lists what it understands. */
export function Shortcuts(): JSX.Element | null {
  useEffect(() => {
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  return shortcutsShown.value ? <Sheet /> : null;
}

function Sheet(): JSX.Element {
  const close = () => {
    shortcutsShown.value = false;
  };
  const deeds = t.value.keyDeeds;
  const rows: [keyof typeof deeds, string[]][] = [
    ["ask", ["/"]],
    ["fresh", [CTRL, "Shift", "O"]],
    ["find", [CTRL, "K"]],
    ["send", ["Enter"]],
    ["line", ["Shift", "Enter"]],
    ["edit", ["↑"]],
    ["stop", ["Esc"]],
    ["sheet", ["?"]],
  ];
  return (
    <Modal title={t.value.shortcuts} close={close}>
      <dl class="shortcuts">
        {rows.map(([name, combination]) => (
          <div key={name}>
            <dt>{deeds[name]}</dt>
            <dd>
              {combination.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <Check
        label={t.value.shortcutsSingle}
        help={t.value.shortcutsSingleHelp}
        checked={single.value}
        onChange={(on) => {
          single.value = on;
          remember("single-keys", on ? null : "off");
        }}
      />
      <div class="dialog-actions">
        <button class="button primary" type="button" autofocus onClick={close}>
          {t.value.close}
        </button>
      </div>
    </Modal>
  );
}
