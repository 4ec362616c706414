import { beforeEach, expect, test, vi } from "vitest";
import { json, serve, stream } from "../../api/fake-server";
import type { SessionState } from "../../api/types";

const X = "a".repeat(32);
const Y = "b".repeat(32);
const empty = (id: string) => json({ id, title: "T", messages: [] });

const who = (id: string): SessionState => ({
  user: { id, name: id, email: null, role: "member", has_password: true },
  via: "session",
  csrf: "t",
  guest: false,
  needs_setup: false,
});

let page = new AbortController();
const listen = globalThis.addEventListener;

/** The page as it is after a load of the tab, which only what the browser keeps survives. */
async function load(user: string, place = "/") {
  page.abort();
  page = new AbortController();
  globalThis.addEventListener = (type: string, then: EventListenerOrEventListenerObject) =>
    listen(type, then, { signal: page.signal });
  vi.resetModules();
  history.replaceState(null, "", place);
  const current = await import("./current");
  const { session } = await import("../../api/client");
  const { draft } = await import("./drafts");
  const { navigate } = await import("../../app/router");
  session.value = who(user);
  return { chat: current.chat, draft, navigate, session };
}

const leave = () => dispatchEvent(new Event("pagehide"));
const kept = () => sessionStorage.getItem("likeopt.drafts");

beforeEach(() => sessionStorage.clear());

test("each conversation has its own, over a load of the tab", async () => {
  serve(empty(X), empty(Y), empty(X));
  const { draft, navigate } = await load("kim");
  draft.value = "새 질문";
  navigate(`/c/${X}`);
  expect(draft.value).toBe("");
  draft.value = "이어서\n둘째 줄";
  navigate(`/c/${Y}`);
  expect(draft.value).toBe("");
  draft.value = "마지막";
  // Not at each key.
  expect(kept()).not.toContain("마지막");
  leave();
  const after = await load("kim", `/c/${X}`);
  expect(after.draft.value).toBe("이어서\n둘째 줄");
  serve(empty(Y));
  after.navigate(`/c/${Y}`);
  expect(after.draft.value).toBe("마지막");
  after.navigate("/");
  expect(after.draft.value).toBe("새 질문");
});

test("it is nobody else's, neither here nor after a load", async () => {
  const first = await load("kim");
  first.draft.value = "비밀";
  leave();
  const other = await load("lee");
  expect(other.draft.value).toBe("");
  expect(kept()).toBeNull();
  // Lee leaves the tab open, and Kim signs in from another one.
  other.draft.value = "Lee's";
  serve(() => Promise.reject(new TypeError("offline")));
  await other.chat.ask("Lee asks");
  const reload = vi.spyOn(location, "reload").mockImplementation(() => undefined);
  other.session.value = who("kim");
  expect(other.draft.value).toBe("");
  expect(reload).toHaveBeenCalled();
  other.session.value = { ...who("kim") };
  leave();
  expect(kept()).toBeNull();
  vi.restoreAllMocks();
});

test("what is sent is not kept, and the next new conversation begins empty", async () => {
  const { chat, draft, navigate } = await load("kim");
  draft.value = "질문";
  leave();
  expect(kept()).toContain("질문");
  draft.value = "";
  const start = { conversation_id: X, question_id: "q", message_id: "m", title: "T" };
  serve(stream([["start", start]], { cut: true }), () => new Promise(() => undefined));
  chat.ask("질문");
  await vi.waitFor(() => expect(chat.id.value).toBe(X));
  draft.value = "다음";
  leave();
  navigate("/");
  expect(draft.value).toBe("");
  expect(JSON.parse(kept() ?? "")).toEqual({ user: "kim", texts: { [X]: "다음" }, keys: {} });
});

test("a question that comes back into the field is the same request as long as it stays there", async () => {
  const gone = () => Promise.reject(new TypeError("offline"));
  const start = { conversation_id: X, question_id: "q", message_id: "m", title: "T" };
  const begun = () => stream([["start", start]], { cut: true })();
  const keyOf = (call: { headers: Headers } | undefined) => call?.headers.get("Idempotency-Key");
  let calls = serve(...Array(9).fill(gone));
  const { chat } = await load("kim");
  await chat.ask("질문");
  const [first] = calls;
  leave();
  const after = await load("kim");
  expect(after.draft.value).toBe("질문");
  calls = serve(begun, () => new Promise(() => undefined));
  after.chat.ask("질문");
  await vi.waitFor(() => expect(after.chat.id.value).toBe(X));
  expect(keyOf(calls[0])).toBe(keyOf(first));
  // Once it has begun, who asks the same again wants another answer; and with other words it never
  // was the same.
  after.navigate("/");
  calls = serve(gone, gone);
  await after.chat.ask("질문");
  await after.chat.ask("다른 질문");
  const keys = new Set([first, ...calls].map(keyOf));
  expect(keys.size).toBe(3);
  // As long as they are in sight, whatever else is in the field when the tab is hidden.
  after.draft.value = "그 밖에";
  leave();
  after.draft.value = "";
  const again = await import("./drafts");
  expect(keys).toContain(`"${again.keyOf({ question: "질문" })}"`);
  // Both come into the field, in one; there they are cleared.
  serve(empty(X));
  after.navigate(`/c/${X}`);
  after.navigate("/");
  expect(after.draft.value).toBe("질문\n\n다른 질문");
  after.draft.value = "";
  leave();
  expect(keys).not.toContain(`"${again.keyOf({ question: "질문" })}"`);
});

test("what is asked after another answer in the same conversation is another question", async () => {
  const gone = () => Promise.reject(new TypeError("offline"));
  const start = { conversation_id: X, question_id: "q", message_id: "m", title: "T" };
  const calls = serve(empty(X), gone, stream([["start", start]], { cut: true }), gone, gone);
  const { chat } = await load("kim", `/c/${X}`);
  await vi.waitFor(() => expect(chat.title.value).toBe("T"));
  await chat.ask("더 알려 줘");
  chat.ask("다른 질문");
  await vi.waitFor(() => expect(chat.turns.value[1]?.id).toBe("q"));
  chat.ask("더 알려 줘");
  const sent = () => calls.filter(({ method }) => method === "POST");
  await vi.waitFor(() => expect(sent().length).toBeGreaterThan(2));
  const keys = sent().map(({ headers }) => headers.get("Idempotency-Key"));
  expect(keys[0]).not.toBe(keys.at(-1));
});

test("a question that could not be sent is kept with its conversation", async () => {
  const refused = json({ code: "unauthorized" }, 401);
  serve(empty(X), refused);
  const { chat, navigate, session } = await load("kim");
  navigate(`/c/${X}`);
  await vi.waitFor(() => expect(chat.title.value).toBe("T"));
  await chat.ask("질문");
  // Whether the session has ended, as here, or there is no network.
  expect(session.value?.user).toBeNull();
  leave();
  serve(empty(X));
  expect((await load("kim", `/c/${X}`)).draft.value).toBe("질문");
});

test("it goes with a conversation that is deleted", async () => {
  serve(empty(X), empty(Y), () => new Response(null, { status: 204 }), empty(X));
  const { draft, navigate } = await load("kim", `/c/${X}`);
  draft.value = "이어서";
  navigate(`/c/${Y}`);
  draft.value = "둘";
  const { list, remove } = await import("../../app/sidebar/history");
  list.set({ items: [], next_cursor: null });
  await remove(X);
  expect(kept()).not.toContain("이어서");
  serve(() => new Response(null, { status: 204 }));
  await remove(Y);
  expect([draft.value, kept()]).toEqual(["", null]);
});

test("nothing is left by who signs out, also where the session had ended", async () => {
  for (const status of [204, 401]) {
    const { draft } = await load("kim");
    const { signOut } = await import("../../app/session");
    draft.value = "비밀";
    leave();
    const replace = vi.spyOn(location, "replace").mockImplementation(() => undefined);
    serve(status === 204 ? () => new Response(null, { status }) : json({}, status));
    await signOut();
    expect(replace).toHaveBeenCalledWith("/sign-in");
    leave();
    expect({ ...sessionStorage }).toEqual({});
    vi.restoreAllMocks();
  }
});
