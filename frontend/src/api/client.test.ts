import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { ask } from "./chat";
import { ApiError, open, proof, readAhead, readSession, request, session } from "./client";
import { upload } from "./documents";
import { json, serve, stream } from "./fake-server";
import { acceptLink, enterAsGuest, signIn } from "./session";
import type { SessionState } from "./types";

const never = new AbortController().signal;

function state(csrf: string | null, id = "u1"): SessionState {
  const user = { id, name: "Kim", email: "k@example.org", role: "member", has_password: true };
  return {
    user: csrf ? (user as SessionState["user"]) : null,
    via: csrf ? "session" : null,
    csrf,
    guest: false,
    needs_setup: false,
    oidc: null,
  };
}

const refusal = (code: string, status: number) => json({ code, detail: "No.", status }, status);
const change = () => request("/api/v1/me", { method: "PATCH", json: { name: "x" }, signal: never });

beforeEach(() => {
  session.value = undefined;
});
afterAll(() => {
  session.value = undefined;
});

test("changes carry the session's token, and reading does not", async () => {
  const calls = serve(json(state("t1")), json({}), json({}));
  await readSession(never);
  await request("/api/v1/info", { signal: never });
  await change();
  expect(calls.map(({ headers }) => headers.get("X-CSRF-Token"))).toEqual([null, null, "t1"]);
});

test("a guest's changes carry the token of their session", async () => {
  session.value = { ...state("t1"), guest: true, via: "guest" };
  const calls = serve(json({}));
  await change();
  expect(calls[0]?.headers.get("X-CSRF-Token")).toBe("t1");
});

test("an old token is replaced and the change sent once more", async () => {
  session.value = state("old");
  const calls = serve(refusal("csrf", 403), json(state("new")), json({ done: true }));
  expect(await change()).toEqual({ done: true });
  expect(calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "PATCH /api/v1/me",
    "GET /api/v1/session",
    "PATCH /api/v1/me",
  ]);
  expect(calls[2]?.headers.get("X-CSRF-Token")).toBe("new");
  expect(calls[2]?.body).toEqual({ name: "x" });
});

test("the change is sent only once more", async () => {
  session.value = state("old");
  const calls = serve(refusal("csrf", 403), json(state("new")), refusal("csrf", 403));
  await expect(change()).rejects.toMatchObject({ code: "csrf", status: 403 });
  expect(calls).toHaveLength(3);
});

test("what needs a late sign-in is sent once more after it, and not without", async () => {
  session.value = state("t");
  const asked = proof.ask;
  proof.ask = async () => true;
  let calls = serve(refusal("sign_in_again", 403), json({ ended: 1 }));
  await expect(change()).resolves.toEqual({ ended: 1 });
  expect(calls).toHaveLength(2);
  proof.ask = async () => false;
  calls = serve(refusal("sign_in_again", 403));
  await expect(change()).rejects.toMatchObject({ code: "sign_in_again" });
  expect(calls).toHaveLength(1);
  proof.ask = asked;
});

test("what one person began is not done in another's name", async () => {
  session.value = state("mine", "u1");
  const calls = serve(refusal("csrf", 403), json(state("theirs", "u2")));
  await expect(change()).rejects.toMatchObject({ code: "csrf" });
  expect(calls).toHaveLength(2);
  expect(session.value?.user?.id).toBe("u2");
});

test("a 401 to anything ends the session, an open stream's included", async () => {
  session.value = { ...state("t"), oidc: "Acme" };
  serve(refusal("unauthorized", 401));
  await expect(open("/api/v1/chat/1/stream", { signal: never })).rejects.toBeInstanceOf(ApiError);
  expect(session.value).toMatchObject({ user: null, via: null, csrf: null, oidc: "Acme" });
});

test("a 403 and an unreachable server do not", async () => {
  session.value = state("t");
  serve(refusal("forbidden", 403), () => Promise.reject(new TypeError("offline")));
  await expect(change()).rejects.toMatchObject({ code: "forbidden" });
  await expect(change()).rejects.toMatchObject({ code: "offline" });
  expect(session.value).toEqual(state("t"));
});

test("a 401 to what was asked before a sign-in does not undo it", async () => {
  session.value = state(null);
  serve(async () => {
    session.value = state("t");
    return refusal("unauthorized", 401)();
  });
  await expect(request("/api/v1/info", { signal: never })).rejects.toBeInstanceOf(ApiError);
  expect(session.value?.user?.id).toBe("u1");
});

test("signing in and accepting a link take over the new session", async () => {
  session.value = state(null);
  const calls = serve(json(state("a")), json(state("b")));
  await signIn("k@example.org", "pass", never);
  expect(session.value?.csrf).toBe("a");
  await acceptLink({ token: "x", password: "y" }, never);
  expect(session.value?.csrf).toBe("b");
  expect(calls[0]?.body).toEqual({ email: "k@example.org", password: "pass" });
});

test("a guest's link takes over who we are", async () => {
  session.value = { ...state(null), guest: true };
  const calls = serve(json({ ...state(null), guest: true, via: "guest" }));
  await enterAsGuest("lo_guest_x", never);
  expect(session.value?.via).toBe("guest");
  expect(calls[0]).toMatchObject({ path: "/api/v1/session/guest", body: { token: "lo_guest_x" } });
});

test("a refused sign-in says why and how long to wait", async () => {
  session.value = state(null);
  serve(
    refusal("wrong_credentials", 401),
    json({ code: "too_many_requests", retry_after: 8 }, 429),
  );
  const before = session.value;
  await expect(signIn("a", "b", never)).rejects.toMatchObject({ code: "wrong_credentials" });
  await expect(signIn("a", "b", never)).rejects.toMatchObject({ retryAfter: 8 });
  expect(session.value).toBe(before);
});

/** An XMLHttpRequest that answers with what is next in `answers`. */
function fakeXhr(answers: [number, unknown][]) {
  const sent: { headers: Record<string, string>; form: FormData }[] = [];
  class Fake {
    upload = {};
    headers: Record<string, string> = {};
    status = 0;
    response: unknown;
    onload?: () => void;
    open(): void {}
    setRequestHeader(name: string, value: string): void {
      this.headers[name] = value;
    }
    send(form: FormData): void {
      sent.push({ headers: this.headers, form });
      [this.status, this.response] = answers.shift() ?? [500, {}];
      this.onload?.();
    }
  }
  vi.stubGlobal("XMLHttpRequest", Fake);
  return sent;
}

test("an upload names its collection, carries the token, and is sent again with a fresh one", async () => {
  session.value = state("old");
  const sent = fakeXhr([
    [403, { code: "csrf" }],
    [200, { items: [{ name: "a.txt", document: { id: "d1" } }] }],
  ]);
  serve(json(state("new")));
  const document = await upload(new File(["x"], "a.txt"), "a.txt", "c1", () => undefined, never);
  vi.unstubAllGlobals();
  expect(document).toEqual({ id: "d1" });
  expect(sent.map(({ headers }) => headers["X-CSRF-Token"])).toEqual(["old", "new"]);
  expect(sent[1]?.form.get("collection")).toBe("c1");
});

test("no answer, problem or event reaches what all objects inherit", async () => {
  // As text, for in a literal `__proto__` is no key.
  const evil = JSON.parse('{"__proto__": {"out": 1}, "constructor": {"prototype": {"out": 1}}}');
  const inherited = () => [({} as { out?: unknown }).out, ([] as { out?: unknown }).out];
  serve(json(evil), json({ ...evil, user: evil }), json(evil, 400), stream([["start", evil]]));
  await request("/api/v1/info", { signal: never });
  await readSession(never);
  await expect(change()).rejects.toBeInstanceOf(ApiError);
  for await (const [event] of ask({ question: "?", key: "k" }, never)) {
    expect(event).toBeDefined();
    expect((event as { out?: unknown }).out).toBeUndefined();
    break;
  }
  expect(inherited()).toEqual([undefined, undefined]);
});

test("somebody else in another tab ends the page, the same person again does not", () => {
  const reload = vi.spyOn(location, "reload").mockImplementation(() => undefined);
  const signedIn = (id: string | null) => {
    session.value = { user: id ? { id } : null } as unknown as SessionState;
  };
  session.value = undefined;
  signedIn("u1");
  signedIn(null);
  signedIn("u1");
  expect(reload).not.toHaveBeenCalled();
  signedIn("u2");
  expect(reload).toHaveBeenCalledTimes(1);
  session.value = undefined;
  reload.mockRestore();
});

test("what is read ahead is there at once, until something is changed", async () => {
  session.value = state("t1");
  const calls = serve(json({ is: 1 }), json({}), json({ is: 2 }));
  const read = () => request("/api/v1/ahead", { signal: never });
  readAhead("/api/v1/ahead");
  readAhead("/api/v1/ahead");
  expect(await read()).toEqual({ is: 1 });
  expect(await read()).toEqual({ is: 1 });
  await change();
  expect(await read()).toEqual({ is: 2 });
  expect(calls.map(({ method }) => method)).toEqual(["GET", "PATCH", "GET"]);
});

test("what is read ahead while a question is on its way is not shown after it", async () => {
  session.value = state("t1");
  let answer: (response: Response) => void = () => {};
  const asked = new Promise<Response>((resolve) => {
    answer = resolve;
  });
  serve(() => asked, json({ is: "before" }), json({ is: "after" }));
  const asking = open("/api/v1/chat", { method: "POST", json: {}, signal: never });
  readAhead("/api/v1/talk");
  const read = () => request("/api/v1/talk", { signal: never });
  expect(await read()).toEqual({ is: "before" });
  answer(Response.json({}));
  await asking;
  expect(await read()).toEqual({ is: "after" });
});

test("what was read ahead grows old, and what failed is asked for again", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  session.value = state("t1");
  serve(json({ is: 1 }), refusal("internal_error", 500), json({ is: 2 }), json({ is: 3 }));
  const read = (path: string) => request(path, { signal: never });
  readAhead("/api/v1/old");
  expect(await read("/api/v1/old")).toEqual({ is: 1 });
  readAhead("/api/v1/bad");
  await vi.waitFor(async () => expect(await read("/api/v1/bad")).toEqual({ is: 2 }));
  vi.advanceTimersByTime(2001);
  expect(await read("/api/v1/old")).toEqual({ is: 3 });
  vi.useRealTimers();
});
