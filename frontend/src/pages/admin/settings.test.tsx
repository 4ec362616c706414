import { render } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { json, serve } from "../../api/fake-server";
import type { ServerState, Setting } from "../../api/settings";
import { chooseLanguage } from "../../i18n";
import SettingsPage from "./settings";
import * as store from "./settings-store";

const PORT: Setting = {
  ...{ name: "LIKEOPT_PORT", section: "where", value: 9000, default: 8080, is_set: true },
  ...{ secret: false, source: "option" },
  help: { en: "Port to listen on; `0` picks one.", ko: "요청을 받을 포트입니다." },
};
const KEY: Setting = {
  ...{ name: "LIKEOPT_LLM_KEY", section: "answers", value: null, default: null, is_set: true },
  ...{ secret: true, source: "file" },
  help: { en: "Key for the endpoint.", ko: "모델 서버의 키입니다." },
};
const CACHE: Setting = {
  ...{ name: "LIKEOPT_CACHE", section: "cache", value: "", default: "", is_set: false },
  ...{ secret: false, source: "default" },
  help: { en: "Layers of the cache.", ko: "캐시 계층입니다." },
};
const SERVER: ServerState = {
  ...{ version: "0.1.0", python: "3.11.7", database: "postgresql", library_revision: 12 },
  index: { generation: 11, passages: 1200, embedded: 800, embedder: "e5", vector_backend: "local" },
  parts: {
    database: { status: "ready", detail: "It answers." },
    engine: { status: "degraded", detail: "Does not work: embedding." },
    worker: { status: "unavailable", detail: "Not running." },
    model: { status: "ready", detail: "It answers." },
  },
};

let root: HTMLElement;
const lines = () => [...root.querySelectorAll("li.setting")].map((line) => line.textContent);

beforeEach(async () => {
  chooseLanguage("en");
  store.typed.value = "";
  store.onlySet.value = false;
  store.settings.set(undefined);
  root = document.createElement("div");
  document.body.append(root);
  serve(json({ items: [PORT, CACHE, KEY], server: SERVER }));
  render(<SettingsPage />, root);
  await vi.waitFor(() => expect(root.querySelector("li.setting")).toBeTruthy());
});
afterEach(() => {
  render(null, root);
  root.remove();
});

test("value, where it came from and what it would be otherwise", () => {
  expect(lines()[0]).toBe(
    "LIKEOPT_PORTPort to listen on; 0 picks one.9000Command optionDefault: 8080",
  );
  expect(root.querySelector("li.setting .small code")?.textContent).toBe("0");
  expect(lines()[1]).toBe("LIKEOPT_CACHELayers of the cache.emptyDefault");
});

test("of a secret it is said whether there is one", () => {
  expect(lines()[2]).toBe("LIKEOPT_LLM_KEYKey for the endpoint.Set, not shownSecret file");
});

test("how the server is, with the reason where something is wrong", () => {
  const parts = [...root.querySelectorAll(".part")].map((part) => part.textContent);
  expect(parts).toEqual([
    "Database Works",
    "Search engine Works in partDoes not work: embedding.",
    "Indexing Does not workNot running.",
    "Answers Works",
  ]);
  const facts = root.querySelector(".figures")?.textContent;
  expect(facts).toContain("PostgreSQL");
  expect(facts).toContain("11 (library: 12)");
  expect(facts).toContain("1,200 (800 by meaning)");
});

test.each([
  ["port", ["LIKEOPT_PORT"]],
  ["llm key", ["LIKEOPT_LLM_KEY"]],
  ["9000", ["LIKEOPT_PORT"]],
  ["LAYERS", ["LIKEOPT_CACHE"]],
  ["secret file", ["LIKEOPT_LLM_KEY"]],
  ["nonesuch", []],
  ["  ", ["LIKEOPT_PORT", "LIKEOPT_CACHE", "LIKEOPT_LLM_KEY"]],
])("typing %s finds %j", async (typed, names) => {
  store.typed.value = typed;
  await vi.waitFor(() =>
    expect([...root.querySelectorAll(".setting-name")].map((name) => name.textContent)).toEqual(
      names,
    ),
  );
  expect(!!root.querySelector(".panel")).toBe(names.length === 0);
});

test("in Korean one finds by the Korean description", async () => {
  chooseLanguage("ko");
  store.typed.value = "모델 서버";
  await vi.waitFor(() => expect(lines()).toHaveLength(1));
  expect(lines()[0]).toBe("LIKEOPT_LLM_KEY모델 서버의 키입니다.정해짐(표시하지 않음)비밀 파일");
});

test("those that are set can be looked at alone", async () => {
  root.querySelector<HTMLElement>("input[type=checkbox]")?.click();
  await vi.waitFor(() => expect(lines()).toHaveLength(2));
});
