import { afterEach, expect, test } from "vitest";
import { json, serve } from "../../api/fake-server";
import { list, rename } from "../../app/sidebar/history";
import { chat } from "./current";

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
