import { afterEach, expect, test, vi } from "vitest";
import { json, serve } from "../../api/fake-server";
import { navigate } from "../../app/router";
import { list, remove, rename } from "../../app/sidebar/history";
import { chat } from "./current";
import { draft } from "./drafts";

afterEach(() => {
  chat.id.value = null;
  chat.title.value = "";
});

test("a conversation that is not in the list is renamed above it, and back if refused", async () => {
  list.set({ items: [], next_cursor: null });
  chat.id.value = "c1";
  chat.title.value = "Old";
  serve(() => new Response(null, { status: 204 }), json({ code: "forbidden" }, 403));
  expect(await rename("c1", "New", "Old")).toBe(true);
  expect(chat.title.value).toBe("New");
  const refused = rename("c1", "Newer", "New");
  expect(chat.title.value).toBe("Newer");
  expect(await refused).toBe(false);
  expect(chat.title.value).toBe("New");
  // Another one's name is none of its business.
  serve(() => new Response(null, { status: 204 }));
  await rename("c2", "Else", "");
  expect(chat.title.value).toBe("New");
});

const X = "a".repeat(32);
const Y = "b".repeat(32);

test("a question is limited before the document's name is known, and only in its conversation", async () => {
  let name = (_: Response) => {};
  const named = () => new Promise<Response>((resolve) => (name = resolve));
  serve(named, json({ id: Y, title: "Y", messages: [] }));
  navigate(`/?document=${X}`);
  expect(chat.scope.value?.id).toBe(X);
  navigate(`/c/${Y}`);
  name(Response.json({ id: X, name: "a.pdf" }));
  await vi.waitFor(() => expect(chat.title.value).toBe("Y"));
  expect(chat.scope.value).toBeNull();
  serve(named);
  navigate(`/?document=${X}`);
  name(Response.json({ id: X, name: "a.pdf" }));
  await vi.waitFor(() => expect(chat.scope.value).toEqual({ id: X, name: "a.pdf" }));
  navigate("/");
  expect(chat.scope.value).toBeNull();
});

test("a conversation that was deleted from another page is not shown from memory", async () => {
  const messages = [{ id: X, role: "user", content: "?", parent_id: null }];
  serve(
    json({ id: Y, title: "Y", messages }),
    () => new Response(null, { status: 204 }),
    json({ code: "not_found" }, 404),
  );
  navigate(`/c/${Y}`);
  await vi.waitFor(() => expect(chat.turns.value).toHaveLength(1));
  navigate("/library");
  await remove(Y);
  expect(chat.turns.value).toEqual([]);
  navigate(`/c/${Y}`);
  await vi.waitFor(() => expect(chat.loading.state.value.error?.status).toBe(404));
  navigate("/");
});

test("a question that never reached the server is in the field of its conversation once that is left", async () => {
  const offline = () => Promise.reject(new TypeError("offline"));
  const empty = json({ id: Y, title: "Y", messages: [] });
  navigate("/");
  serve(offline, empty, offline);
  await chat.ask("First");
  // As long as it is in sight with its button, it is not there twice.
  expect(draft.value).toBe("");
  navigate(`/c/${Y}`);
  expect(draft.value).toBe("");
  await vi.waitFor(() => expect(chat.title.value).toBe("Y"));
  // What somebody has typed since is not written over.
  draft.value = "Typed";
  await chat.ask("Second");
  navigate("/");
  expect(draft.value).toBe("First");
  serve(empty);
  navigate(`/c/${Y}`);
  expect(draft.value).toBe("Typed");
  navigate("/");
  draft.value = "";
});
