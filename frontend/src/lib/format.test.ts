import { afterEach, expect, test, vi } from "vitest";
import { chooseLanguage } from "../i18n";
import { en } from "../i18n/en";
import * as format from "./format";
import { formatNumber } from "./number";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const THEN = "2026-03-02T09:30:00Z";

test("numbers and times are written as in the language at hand", () => {
  const said = () => [
    formatNumber(12_345),
    format.formatBytes(1536),
    format.formatBytes(150 * 1024),
    format.formatPercent(0.909),
    format.formatMicros(2500),
    format.formatDate(THEN),
    format.formatWhen(THEN, Date.parse(THEN) + 3 * 3_600_000),
  ];
  const korean = ["12,345", "1.5 KB", "150 KB", "90.9%", "2.5 ms", "2026. 3. 2.", "3시간 전"];
  const english = ["12,345", "1.5 KB", "150 KB", "90.9%", "2.5 ms", "Mar 2, 2026", "3 hours ago"];
  chooseLanguage("ko");
  expect(said()).toEqual(korean);
  chooseLanguage("en");
  expect(said()).toEqual(english);
  chooseLanguage("ko");
  expect(said()).toEqual(korean);
});

test("a number is written as `Intl` would in both languages, without the wait for its first", () => {
  const numbers = [0, 0.05, 0.96, 7.25, 999.94, 999.96, 1000, -12_345.6, 1_234_567, 1e9];
  for (const [language, places] of [
    ["ko", 0],
    ["ko", 1],
    ["en", 0],
    ["en", 1],
  ] as const) {
    const told = new Intl.NumberFormat(language, { maximumFractionDigits: places });
    const same = numbers.map((number) => told.format(number));
    expect(numbers.map((number) => formatNumber(number, places))).toEqual(same);
  }
  const made = vi.spyOn(Intl, "NumberFormat");
  const local = vi.spyOn(Number.prototype, "toLocaleString");
  chooseLanguage("en");
  expect(formatNumber(12_345)).toBe("12,345");
  expect(format.formatBytes(1_500_000)).toBe("1.4 MB");
  expect(format.formatPercent(0.5)).toBe("50%");
  expect(format.formatMicros(12_500)).toBe("13 ms");
  expect(en.meaningOf(1, 2000)).toContain("2,000 passages");
  expect(made).not.toHaveBeenCalled();
  expect(local).not.toHaveBeenCalled();
});

test("a day and an hour are those of the time zone that the reader is in by now", () => {
  chooseLanguage("en");
  vi.stubEnv("TZ", "Asia/Seoul");
  expect(format.formatMoment(THEN)).toContain("6:30");
  vi.stubEnv("TZ", "Europe/London");
  expect(format.formatMoment(THEN)).toContain("9:30");
});
