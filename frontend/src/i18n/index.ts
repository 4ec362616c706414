import { computed, effect, signal } from "@preact/signals";
import type { ApiError } from "../api/client";
import { tell } from "../lib/stored";
import { en, type Messages } from "./en";
import { ko } from "./ko";

export type Language = "ko" | "en";

export const CATALOGUES: Record<Language, Messages> = { ko, en };

/** The language chosen before, else the one that the server took from the browser's wishes. */
export function preferred(): Language {
  const chosen = /(?:^|; )lang=(ko|en)(?:;|$)/.exec(document.cookie)?.[1];
  return (chosen ?? document.documentElement.lang) === "ko" ? "ko" : "en";
}

export const language = signal<Language>(preferred());

/** The sentences of the language in force: `t.value.send`. */
export const t = computed<Messages>(() => CATALOGUES[language.value]);

export function chooseLanguage(chosen: Language): void {
  language.value = chosen;
  tell("lang", chosen);
}

/** Keeps `<html lang>` right, which screen readers and line breaking go by. */
export function followLanguage(): void {
  effect(() => {
    document.documentElement.lang = language.value;
  });
}

/** A sentence for a person about what went wrong. */
export function explain(error: Pick<ApiError, "code" | "detail">): string {
  const known = t.value.errors[error.code];
  const ours = known ?? t.value.errors.internal_error ?? "";
  // The server's sentence is in English and names the limit, the file or the field.
  return language.value === "en" ? error.detail || ours : (known ?? (error.detail || ours));
}

/** The same about something that is named right above: the server's sentences begin with its name. */
export function explainOf(name: string, error: Pick<ApiError, "code" | "detail">): string {
  const rest = withoutName(explain(error), name);
  return rest.charAt(0).toUpperCase() + rest.slice(1);
}

/** `sentence` as it goes on after `name`. */
export function withoutName(sentence: string, name: string): string {
  return sentence.startsWith(`${name} `) ? sentence.slice(name.length + 1) : sentence;
}
