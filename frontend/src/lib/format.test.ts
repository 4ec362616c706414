import { afterEach, expect, test, vi } from "vitest";
import { chooseLanguage } from "../i18n";
import * as format from "./format";

afterEach(() => vi.unstubAllEnvs());

const THEN = "2026-03-02T09:30:00Z";

test("numbers and times are written as in the language at hand", () => {
  const said = () => [
    format.formatCount(12_345),
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

test("a day and an hour are those of the time zone that the reader is in by now", () => {
  chooseLanguage("en");
  vi.stubEnv("TZ", "Asia/Seoul");
  expect(format.formatMoment(THEN)).toContain("6:30");
  vi.stubEnv("TZ", "Europe/London");
  expect(format.formatMoment(THEN)).toContain("9:30");
});
