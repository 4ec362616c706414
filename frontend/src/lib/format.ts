import { language } from "../i18n";

const UNITS = ["B", "KB", "MB", "GB"];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = value < 10 && unit > 0 ? 1 : 0;
  const text = value.toLocaleString(language.value, { maximumFractionDigits: digits });
  return `${text} ${UNITS[unit]}`;
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
  const relative = new Intl.RelativeTimeFormat(language.value, { numeric: "auto" });
  if (Math.abs(seconds) < 60) return relative.format(0, "second");
  if (Math.abs(seconds) < 3600) return relative.format(Math.trunc(seconds / 60), "minute");
  if (Math.abs(seconds) < 86_400) return relative.format(Math.trunc(seconds / 3600), "hour");
  return formatDate(time);
}

export function formatDate(time: string): string {
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium" }).format(new Date(time));
}

export function formatMoment(time: string): string {
  const options = { dateStyle: "medium", timeStyle: "short" } as const;
  return new Intl.DateTimeFormat(language.value, options).format(new Date(time));
}

/** Whole days before today, in the reader's time zone: 0 today, 1 yesterday. */
export function daysAgo(time: string, now = new Date()): number {
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const difference = midnight(now).getTime() - midnight(new Date(time)).getTime();
  return Math.round(difference / 86_400_000);
}

export function formatCount(count: number): string {
  return count.toLocaleString(language.value);
}

/** A share of 1 as a percentage; a dash where there is none yet. */
export function formatPercent(share: number | null): string {
  if (share === null) return "–";
  const options = { style: "percent", maximumFractionDigits: 1 } as const;
  return share.toLocaleString(language.value, options);
}

/** Microseconds, in the units of those who read such tables, in every language. */
export function formatMicros(micros: number): string {
  if (micros < 1000) return `${Math.round(micros)} μs`;
  const ms = micros / 1000;
  return `${ms.toLocaleString(language.value, { maximumFractionDigits: ms < 10 ? 1 : 0 })} ms`;
}
