import { effect, signal } from "@preact/signals";
import { recall, remember } from "../lib/stored";

export type Theme = "system" | "light" | "dark";
const THEMES: readonly Theme[] = ["system", "light", "dark"];

export const theme = signal<Theme>(THEMES.find((known) => known === recall("theme")) ?? "system");

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system";
  remember("theme", theme.value === "system" ? null : theme.value);
}

/** Without a choice the style sheet follows the system by itself. */
export function followTheme(): void {
  effect(() => {
    const root = document.documentElement;
    if (theme.value === "system") delete root.dataset.theme;
    else root.dataset.theme = theme.value;
  });
}
