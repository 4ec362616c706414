import { expect, test } from "vitest";
import { expiryIn } from "./keys";

test("a key ends so many days from now, or never", () => {
  const now = Date.parse("2026-11-23T10:00:00Z");
  expect(expiryIn("30", now)).toBe("2026-12-23T10:00:00.000Z");
  expect(expiryIn("", now)).toBeNull();
});
