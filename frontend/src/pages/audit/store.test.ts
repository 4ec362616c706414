import { beforeEach, expect, test } from "vitest";
import { json, serve } from "../../api/fake-server";
import { chooseLanguage } from "../../i18n";
import * as store from "./store";

const event = (id: number) => ({ id, action: "session.create", detail: {} });

beforeEach(() => {
  store.form.value = { actor: "", object: "", q: "", from: "", to: "" };
});

test("days are whole days of the reader, the last one included", () => {
  const form = { actor: "", object: "", q: "", from: "2026-11-01", to: "2026-11-30" };
  const { since, until } = store.filtersOf(form);
  expect(new Date(since)).toEqual(new Date(2026, 10, 1));
  expect(new Date(until)).toEqual(new Date(2026, 11, 1));
  expect(store.filtersOf({ ...form, from: "", to: "nonsense" })).toMatchObject({
    since: "",
    until: "",
  });
});

test("only what is filled in is asked for, a kind of action with its dot", async () => {
  const calls = serve(
    json({ items: [], next_cursor: null }),
    json({ items: [], next_cursor: null }),
  );
  await store.load();
  store.form.value = { ...store.form.value, object: "key", q: " 김 " };
  await store.load();
  expect(calls.map(({ path }) => path)).toEqual([
    "/api/v1/audit",
    `/api/v1/audit?action=key.&q=${encodeURIComponent("김")}`,
  ]);
});

test("the next page is added, no event twice", async () => {
  const calls = serve(
    json({ items: [event(3), event(2)], next_cursor: "c" }),
    json({ items: [event(2), event(1)], next_cursor: null }),
  );
  await store.load();
  expect(store.list.hasMore.value).toBe(true);
  await store.loadMore();
  expect(calls[1]?.path).toBe("/api/v1/audit?cursor=c");
  expect(store.list.state.value.data?.items.map(({ id }) => id)).toEqual([3, 2, 1]);
  expect(store.list.hasMore.value).toBe(false);
});

test("details are told in one line and the reader's language, people and groups by their names", () => {
  const called = new Map([["u1", "Kim"]]);
  const detail = {
    ...{ everyone: false, users: ["u1", "u2"], groups: [], to: { role: "admin", name: "admin" } },
    ...{ x: null, key: "0123456789abcdef" },
  };
  chooseLanguage("en");
  expect(store.detailsOf(detail, called)).toBe(
    "everyone: no · people: Kim, u2 · changed to: role: Administrator · name: admin",
  );
  expect(store.detailsOf({}, called)).toBe("");
  expect(store.detailsOf({ left_out: 1200 }, called)).toBe("left out before it: 1200");
  expect(store.detailsOf({ code: "brand_new" }, called)).toBe("reason: brand_new");
  chooseLanguage("ko");
  expect(store.detailsOf({ how: "password", role: "member" }, called)).toBe(
    "방법: 비밀번호 · 역할: 구성원",
  );
  expect(store.detailsOf({ code: "forbidden", scopes: ["read", "admin"] }, called)).toBe(
    "이유: 권한이 없습니다. (forbidden) · 허용한 작업: 읽기, 관리",
  );
  expect(store.detailsOf({ filters: { action: "key.", format: "csv" } }, called)).toBe(
    "필터: 작업: API 키 · 형식: csv",
  );
});
