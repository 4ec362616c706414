import { render } from "preact";
import { afterEach, expect, test } from "vitest";
import { chooseLanguage } from "../../i18n";
import { Event } from ".";

const root = document.createElement("div");
afterEach(() => render(null, root));

test("an event is told in words, and its codes can be found", () => {
  chooseLanguage("ko");
  const event = {
    ...{ id: 1, at: "2026-01-01T00:00:00Z", action: "access.refuse", via: "key" },
    ...{ actor_id: null, actor_name: "", object_kind: "operation", object_id: null },
    ...{ object_name: "GET /x", address: "", request_id: "", detail: { code: "scope_missing" } },
  };
  render(<Event event={event} />, root);
  const what = root.querySelector("strong");
  expect(what?.textContent).toBe("요청 거부됨");
  expect(what?.title).toBe("access.refuse");
  expect(root.textContent).toContain("이유: 이 키로는 할 수 없는 작업입니다. (scope_missing)");
});
