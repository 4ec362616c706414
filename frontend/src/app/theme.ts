import { effect, signal } from "@preact/signals";
import { recall, remember, tell } from "../lib/stored";

export type Theme = "system" | "light" | "dark";
const THEMES: readonly Theme[] = ["system", "light", "dark"];

export const theme = signal<Theme>(THEMES.find((known) => known === recall("theme")) ?? "system");

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system";
  remember("theme", chosen());
}

const chosen = () => (theme.value === "system" ? null : theme.value);

/** Without a choice the style sheet follows the system by itself. As in shell.html. */
export function followTheme(): void {
  effect(() => {
    const root = document.documentElement;
    if (theme.value === "system") delete root.dataset.theme;
    else root.dataset.theme = theme.value;
    for (const meta of document.querySelectorAll<HTMLMetaElement>("meta[name=theme-color]")) {
      const { scheme } = meta.dataset;
      if (theme.value === "system") meta.media = `(prefers-color-scheme: ${scheme})`;
      else meta.media = theme.value === scheme ? "all" : "not all";
    }
    tell("theme", chosen());
  });
}
