import { language } from "../i18n";
import { formatNumber } from "./number";

/** One for each language and time zone: to make one takes Chromium 0.1 to 1 ms, and every row of a
 * list has some. */
function formatter<F>(make: (language: string) => F): () => F {
  const made = new Map<string, F>();
  return () => {
    const key = language.value + new Date().getTimezoneOffset();
    const found = made.get(key) ?? make(language.value);
    made.set(key, found);
    return found;
  };
}

const dates = formatter((now) => new Intl.DateTimeFormat(now, { dateStyle: "medium" }));
const moments = formatter(
  (now) => new Intl.DateTimeFormat(now, { dateStyle: "medium", timeStyle: "short" }),
);
const ago = formatter((now) => new Intl.RelativeTimeFormat(now, { numeric: "auto" }));

const UNITS = ["B", "KB", "MB", "GB"];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${formatNumber(value, value < 10 && unit > 0 ? 1 : 0)} ${UNITS[unit]}`;
}

export function formatMs(ms: number): string {
  const korean = language.value === "ko";
  if (ms < 1000) return `${Math.max(1, Math.round(ms))}${korean ? "밀리초" : " ms"}`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)}${korean ? "초" : " s"}`;
}

/** "3 minutes ago" within a day, a date after that. */
export function formatWhen(time: string, now = Date.now()): string {
  const then = Date.parse(time);
  const seconds = Math.round((then - now) / 1000);
  if (Math.abs(seconds) < 60) return ago().format(0, "second");
  if (Math.abs(seconds) < 3600) return ago().format(Math.trunc(seconds / 60), "minute");
  if (Math.abs(seconds) < 86_400) return ago().format(Math.trunc(seconds / 3600), "hour");
  return formatDate(time);
}

export function formatDate(time: string): string {
  return dates().format(new Date(time));
}

export function formatMoment(time: string): string {
  return moments().format(new Date(time));
}

/** Whole days before today, in the reader's time zone: 0 today, 1 yesterday. */
export function daysAgo(time: string, now = new Date()): number {
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const difference = midnight(now).getTime() - midnight(new Date(time)).getTime();
  return Math.round(difference / 86_400_000);
}

/** A share of 1 as a percentage; a dash where there is none yet. */
export function formatPercent(share: number | null): string {
  return share === null ? "–" : `${formatNumber(share * 100, 1)}%`;
}

/** Microseconds, in the units of those who read such tables, in every language. */
export function formatMicros(micros: number): string {
  if (micros < 1000) return `${Math.round(micros)} μs`;
  const ms = micros / 1000;
  return `${formatNumber(ms, ms < 10 ? 1 : 0)} ms`;
}
