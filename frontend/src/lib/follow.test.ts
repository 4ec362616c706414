import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { follow } from "./follow";

let hidden = false;

beforeEach(() => {
  vi.useFakeTimers();
  hidden = false;
  vi.spyOn(document, "hidden", "get").mockImplementation(() => hidden);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("it loads at once, then after each pause, and no more once it is ended", async () => {
  const load = vi.fn(async () => undefined);
  const end = follow(load, () => 5000);
  await vi.advanceTimersByTimeAsync(0);
  expect(load).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(load).toHaveBeenCalledTimes(3);
  end();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(load).toHaveBeenCalledTimes(3);
});

test("what nobody sees is not asked for, and is fresh as soon as somebody looks", async () => {
  const load = vi.fn(async () => undefined);
  const end = follow(load, () => 5000);
  await vi.advanceTimersByTimeAsync(0);
  hidden = true;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(load).toHaveBeenCalledTimes(1);
  hidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(0);
  expect(load).toHaveBeenCalledTimes(2);
  end();
});
