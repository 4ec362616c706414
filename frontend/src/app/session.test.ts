import { afterAll, beforeEach, expect, test, vi } from "vitest";
import { request, session } from "../api/client";
import { json, serve } from "../api/fake-server";
import type { SessionState } from "../api/types";
import { navigate } from "./router";
import {
  admin,
  ended,
  followSession,
  guest,
  loadSession,
  loseAccess,
  losses,
  member,
  placeAfter,
  problem,
  rememberPlace,
  returnToPlace,
  signOut,
} from "./session";

const ID = "0123456789abcdef0123456789abcdef";
const NOBODY: SessionState = {
  user: null,
  via: null,
  csrf: null,
  guest: false,
  needs_setup: false,
};
const KIM: SessionState = {
  ...NOBODY,
  user: { id: "u1", name: "Kim", email: "k@example.org", role: "admin", has_password: true },
  via: "session",
  csrf: "t",
};

const unfollow = followSession();
afterAll(() => {
  unfollow();
  session.value = undefined;
  navigate("/", { replace: true });
});

beforeEach(() => {
  session.value = undefined;
  navigate("/", { replace: true });
});

test("who is not signed in comes to the sign-in page and knows the way back", () => {
  navigate(`/library/${ID}?at=5`);
  expect(location.pathname).toBe(`/library/${ID}`); // nothing is known yet
  session.value = NOBODY;
  expect(location.pathname).toBe("/sign-in");
  const next = new URLSearchParams(location.search).get("next");
  expect(placeAfter(next)).toBe(`/library/${ID}?at=5`);
});

test("a session that ends anywhere leads there, too, and the chat needs no way back", async () => {
  expect(ended.value).toBe(false);
  session.value = KIM;
  expect(location.pathname).toBe("/");
  serve(json({ code: "unauthorized" }, 401));
  const stop = new AbortController().signal;
  await request("/api/v1/documents", { signal: stop }).catch(() => undefined);
  expect(location.pathname + location.search).toBe("/sign-in");
  expect(ended.value).toBe(true);
});

test("who is not signed in may open a link", () => {
  navigate("/link");
  session.value = NOBODY;
  expect(location.pathname).toBe("/link");
  navigate("/admin/people");
  expect(location.pathname).toBe("/sign-in");
});

test.each([
  ["https://evil.example/library", "/"],
  ["//evil.example/library", "/"],
  ["//", "/"],
  ["http://[", "/"],
  ["/\\evil.example", "/"],
  ["javascript:alert(1)", "/"],
  ["/sign-in?next=/library", "/"],
  ["/link", "/"],
  ["/api/v1/session", "/"],
  ["", "/"],
  ["/library?q=a", "/library?q=a"],
  ["/admin/people", "/admin/people"],
])("after signing in, %s leads to %s", (wanted, place) => {
  expect(placeAfter(wanted)).toBe(place);
});

test("from the provider one comes back to where one was, once", () => {
  rememberPlace("/library");
  returnToPlace();
  expect(location.pathname).toBe("/library");
  navigate("/", { replace: true });
  returnToPlace();
  expect(location.pathname).toBe("/");
  rememberPlace("https://evil.example/");
  returnToPlace();
  expect(location.href).toMatch(/\/$/);
});

test("members, administrators and guests are told apart", () => {
  const seen = () => [member.value, admin.value, guest.value];
  session.value = KIM;
  expect(seen()).toEqual([true, true, false]);
  session.value = { ...KIM, user: KIM.user && { ...KIM.user, role: "member" } };
  expect(seen()).toEqual([true, false, false]);
  session.value = { ...KIM, via: "guest", csrf: null, guest: true };
  expect(seen()).toEqual([false, false, true]);
  session.value = NOBODY;
  expect(seen()).toEqual([false, false, false]);
});

test("a server that cannot be reached at the start is a problem, later it is not", async () => {
  const offline = () => Promise.reject(new TypeError("offline"));
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  serve(offline, json(KIM), offline);
  await loadSession();
  expect(problem.value?.code).toBe("offline");
  await loadSession();
  expect(problem.value).toBeUndefined();
  await loadSession();
  expect(problem.value).toBeUndefined();
  vi.restoreAllMocks();
});

test("losing access is noticed by all who keep something", async () => {
  session.value = KIM;
  const before = losses.value;
  serve(json(NOBODY));
  await loseAccess();
  expect(losses.value).toBe(before + 1);
  expect(location.pathname).toBe("/sign-in");
});

test("signing out in one tab is told to the others, and theirs ends this one", async () => {
  const other = new BroadcastChannel("likeopt.session");
  const heard = new Promise((resolve) => {
    other.onmessage = resolve;
  });
  const replace = vi.spyOn(location, "replace").mockImplementation(() => undefined);
  session.value = KIM;
  serve(() => new Response(null, { status: 204 }));
  await signOut();
  await heard;
  expect(replace.mock.calls).toEqual([["/sign-in"]]);
  session.value = KIM;
  rememberPlace("/library");
  other.postMessage("signed out");
  await vi.waitFor(() => expect(replace).toHaveBeenCalledTimes(2));
  expect([session.value, sessionStorage.length]).toEqual([undefined, 0]);
  // Who follows a link may go on.
  navigate("/link");
  rememberPlace("/library");
  other.postMessage("signed out");
  await vi.waitFor(() => expect(sessionStorage.length).toBe(0));
  expect(replace).toHaveBeenCalledTimes(2);
  other.close();
  vi.restoreAllMocks();
});
