import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { json, serve } from "../api/fake-server";
import { operationOf, targetOf } from "./names";
import { BATCH, KEPT, Reporter, type Sample, TRIES } from "./report";

const sample = (value: number): Sample => ({ name: "NAV", value, page: "chat", way: "route" });
const values = (body: unknown) => (body as { samples: Sample[] }).samples.map(({ value }) => value);

let beacons: number[][];
let carries: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  beacons = [];
  carries = true;
  vi.stubGlobal(
    "Blob",
    class {
      constructor(readonly parts: string[]) {}
    },
  );
  navigator.sendBeacon = (_address, blob) => {
    if (carries)
      beacons.push(values(JSON.parse((blob as unknown as { parts: string[] }).parts[0] ?? "")));
    return carries;
  };
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("what comes in within half a minute is sent at once", async () => {
  const calls = serve(json(undefined, 200));
  const reporter = new Reporter();
  reporter.add(sample(1));
  reporter.add(sample(2.00049));
  expect(calls).toEqual([]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(calls.map(({ body }) => values(body))).toEqual([[1, 2]]);
});

test("a batch that the server could not take is sent again, and not for ever", async () => {
  const away = () => Promise.reject(new TypeError("offline"));
  const calls = serve(away, json({}, 503), away, json({}, 200));
  const reporter = new Reporter();
  reporter.add(sample(1));
  for (let turn = 0; turn < TRIES + 2; turn++) await vi.advanceTimersByTimeAsync(30_000);
  expect(calls).toHaveLength(TRIES);
  reporter.add(sample(2));
  await vi.advanceTimersByTimeAsync(30_000);
  expect(values(calls.at(-1)?.body)).toEqual([2]);
});

test("what the server refuses is not sent again", async () => {
  const calls = serve(json({}, 400));
  const reporter = new Reporter();
  reporter.add(sample(1));
  await vi.advanceTimersByTimeAsync(90_000);
  expect(calls).toHaveLength(1);
});

test("a page that is left sends all it has, in batches", () => {
  serve();
  const reporter = new Reporter();
  vi.spyOn(reporter, "send").mockResolvedValue();
  for (let value = 0; value < KEPT + 20; value++) reporter.add(sample(value));
  reporter.leave();
  expect(beacons.map((batch) => batch.length)).toEqual([BATCH, KEPT - BATCH]);
  expect(beacons[0]?.[0]).toBe(20); // the oldest were too many
  reporter.leave();
  expect(beacons).toHaveLength(2);
});

test("what the browser does not carry waits for the page to come back", () => {
  serve();
  const reporter = new Reporter();
  reporter.add(sample(1));
  carries = false;
  reporter.leave();
  carries = true;
  reporter.leave();
  expect(beacons).toEqual([[1]]);
});

test("names say nothing of people and documents", () => {
  document.body.innerHTML =
    '<main id="kim"><div class="turn x1"><p class="plain" id="secret" title="t">Kim said</p></div></main>';
  expect(targetOf(document.querySelector("p"))).toBe("main > div.turn > p.plain");
  expect(targetOf(document.querySelector("p")?.firstChild ?? null)).toBe(
    "main > div.turn > p.plain",
  );
  expect(targetOf(null)).toBeUndefined();
  const id = "0123456789abcdef".repeat(2);
  expect(operationOf("GET", `/api/v1/documents/${id}/text?at=5#x`)).toBe(
    `GET /api/v1/documents/${"0".repeat(32)}/text`,
  );
  expect(operationOf("DELETE", `/api/v1/me/sessions/${id}${id}`)).toBe(
    `DELETE /api/v1/me/sessions/${"0".repeat(64)}`,
  );
  expect(operationOf("GET", `/api/v1/images/${id}-p37/info?start=5`)).toBe(
    `GET /api/v1/images/${"0".repeat(32)}-p1/info`,
  );
  expect(operationOf("GET", "/api/v1/search?q=secret")).toBe("GET /api/v1/search");
});
