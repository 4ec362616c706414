import { effect } from "@preact/signals";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError, request, session } from "../api/client";
import { json, serve } from "../api/fake-server";
import { Paged, Resource } from "./resource";

const never = new AbortController().signal;
const busy = new ApiError("busy", 503, "", true);
const refused = new ApiError("forbidden", 403, "No.", false);

interface Item {
  id: string;
  title: string;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

test("what fails for a passing reason is tried again, what is refused is not", async () => {
  const some = new Resource<string>();
  const fetcher = vi.fn().mockRejectedValueOnce(busy).mockResolvedValueOnce("here");
  const loaded = some.load(fetcher);
  await vi.advanceTimersByTimeAsync(1000);
  await loaded;
  expect(some.state.value).toEqual({ data: "here", error: undefined, loading: false });
  const refusing = vi.fn().mockRejectedValue(refused);
  await some.load(refusing);
  expect(refusing).toHaveBeenCalledTimes(1);
  expect(some.state.value).toEqual({ data: "here", error: refused, loading: false });
});

test("what failed is loaded when the connection is back", async () => {
  const some = new Resource<string>();
  const fetcher = vi.fn().mockRejectedValue(busy);
  const failed = some.load(fetcher);
  await vi.advanceTimersByTimeAsync(5000);
  await failed;
  expect(fetcher).toHaveBeenCalledTimes(3);
  fetcher.mockResolvedValue("back");
  dispatchEvent(new Event("online"));
  await vi.advanceTimersByTimeAsync(0);
  expect(some.data).toBe("back");
  dispatchEvent(new Event("online"));
  expect(fetcher).toHaveBeenCalledTimes(4);
});

test("leaving ends the waiting, too", async () => {
  const some = new Resource<string>();
  const fetcher = vi.fn().mockRejectedValue(busy);
  const loaded = some.load(fetcher);
  await vi.advanceTimersByTimeAsync(0);
  some.abort();
  await vi.advanceTimersByTimeAsync(5000);
  await loaded;
  expect(fetcher).toHaveBeenCalledTimes(1);
});

const page = (...ids: string[]) => ({
  items: ids.map((id) => ({ id, title: id })),
  next_cursor: null,
});
const shown = (list: Paged<Item>) => list.items.value.map(({ title }) => title).join();

test("a refused change is taken back, and only that one", async () => {
  const list = new Paged<Item>();
  list.set(page("a", "b", "c"));
  let refuse = (_: unknown) => {};
  const removing = list.remove("a", () => new Promise((_, reject) => (refuse = reject)));
  const renaming = list.update("b", { title: "B" }, async () => undefined);
  expect(shown(list)).toBe("B,c");
  expect(await renaming).toBe(true);
  refuse(refused);
  expect(await removing).toBe(false);
  expect(shown(list)).toBe("a,B,c");
});

test("a list that was under way when something was deleted does not bring it back", async () => {
  const list = new Paged<Item>();
  list.set(page("a", "b"));
  let arrive = (_: ReturnType<typeof page>) => {};
  const loading = list.load(() => new Promise((resolve) => (arrive = resolve)));
  await list.remove("a", async () => undefined);
  arrive(page("a", "b"));
  await loading;
  expect(shown(list)).toBe("b");
  await list.load(async () => page("a"));
  expect(shown(list)).toBe("a"); // a later one says what is there
});

test("what was put into a list while it was loaded is there after, and before what is not", async () => {
  const list = new Paged<Item>();
  list.set(page("a"));
  let arrive = (_: ReturnType<typeof page>) => {};
  const loading = list.load(() => new Promise((resolve) => (arrive = resolve)));
  list.amend((now = page()) => ({ ...now, items: [{ id: "new", title: "new" }, ...now.items] }));
  arrive(page("a", "b"));
  await loading;
  expect(shown(list)).toBe("new,a,b");
});

test("more of a list takes no refused change along, and loses none that was made meanwhile", async () => {
  const list = new Paged<Item>();
  const first = vi.fn(async () => ({ ...page("a", "b"), next_cursor: "2" }));
  await list.load(first);
  let refuse = (_: unknown) => {};
  const removing = list.remove("a", () => new Promise((_, reject) => (refuse = reject)));
  let arrive = (_: ReturnType<typeof page>) => {};
  const loading = list.loadMore(() => new Promise((resolve) => (arrive = resolve)));
  await list.update("b", { title: "B" }, async () => undefined);
  arrive(page("b", "c"));
  await loading;
  expect(shown(list)).toBe("B,c");
  refuse(refused);
  await removing;
  expect(shown(list)).toBe("a,B,c");
  await list.reload(); // the list, not its second page
  expect(first).toHaveBeenCalledTimes(2);
  expect(shown(list)).toBe("a,b");
});

test("an error stays in sight while the same is tried again, and goes with what it was about", async () => {
  const some = new Resource<string>();
  await some.load(async () => "old");
  await some.load(() => Promise.reject(refused));
  const seen: (string | undefined)[] = [];
  const stop = effect(() => {
    seen.push(some.state.value.error?.code);
  });
  await some.load(() => Promise.reject(refused));
  await some.load(async () => "new");
  stop();
  expect(seen.slice(0, -1).every((code) => code === "forbidden")).toBe(true);
  expect(seen.at(-1)).toBeUndefined();
  await some.load(() => Promise.reject(refused));
  some.set("other");
  expect(some.state.value.error).toBeUndefined();
});

const ETAGGED = { ETag: '"v1"' };

test("what has not changed is not sent again, nor drawn again", async () => {
  const calls = serve(
    () => Response.json({ n: 1 }, { headers: ETAGGED }),
    () => new Response(null, { status: 304, headers: ETAGGED }),
  );
  const some = new Resource<object>();
  let data = 0;
  const read = () => some.load((signal) => request("/api/v1/collections?etag", { signal }));
  await read();
  const before = some.data;
  const stop = effect(() => {
    some.state.value.data;
    data++;
  });
  await read();
  stop();
  expect(calls.map(({ headers }) => headers.get("If-None-Match"))).toEqual([null, '"v1"']);
  expect(some.data).toBe(before);
  expect(data).toBeLessThanOrEqual(3); // there, being loaded, there
});

test("nothing kept for one person is there for the next", async () => {
  const calls = serve(() => Response.json({}, { headers: ETAGGED }), json({}));
  const read = () => request("/api/v1/collections?person", { signal: never });
  await read();
  session.value = { user: { id: "u2" } } as typeof session.value;
  await read();
  session.value = undefined;
  expect(calls[1]?.headers.has("If-None-Match")).toBe(false);
});

test("the same address asked for twice is asked for once, and left when both have", async () => {
  let given: AbortSignal | null | undefined;
  let calls = 0;
  globalThis.fetch = (_, init) => {
    calls++;
    given = init?.signal;
    return new Promise((_, reject) => {
      given?.addEventListener("abort", () => reject(given?.reason));
    });
  };
  const [one, two] = [new AbortController(), new AbortController()];
  const read = (signal: AbortSignal) => request("/api/v1/collections?twice", { signal });
  const first = read(one.signal).catch((error) => error.name);
  const second = read(two.signal).catch((error) => error.name);
  one.abort();
  expect(await first).toBe("AbortError");
  expect([calls, given?.aborted]).toEqual([1, false]);
  two.abort();
  expect(await second).toBe("AbortError");
  expect(given?.aborted).toBe(true);
});

test("nobody joins a read that began before a change", async () => {
  const answers: ((value: Response) => void)[] = [];
  let changed = 0;
  globalThis.fetch = async (_, init) => {
    if (init?.method !== "GET") {
      changed++;
      return new Response(null, { status: 204 });
    }
    return new Promise<Response>((resolve) => answers.push(resolve));
  };
  const read = () => request<{ n: number }>("/api/v1/collections?change", { signal: never });
  const before = read();
  await request("/api/v1/collections/1", { method: "DELETE", signal: never });
  const after = read();
  expect([changed, answers.length]).toEqual([1, 2]);
  answers[1]?.(Response.json({ n: 2 }));
  answers[0]?.(Response.json({ n: 1 }));
  expect([(await before).n, (await after).n]).toEqual([1, 2]);
});
