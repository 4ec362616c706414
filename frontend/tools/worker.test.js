import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const CODE = readFileSync("src/offline/worker.js", "utf8");
const BUILD = { version: "1", base: "/assets/", shell: "/shell", entry: ["main.2.js"], files: [] };

/** The worker's listeners, by the names of their events. */
function start(caches, fetch) {
  const listeners = {};
  const self = {
    addEventListener: (name, listener) => {
      listeners[name] = listener;
    },
  };
  const names = ["self", "caches", "fetch", "BUILD", "location"];
  new Function(...names, CODE)(self, caches, fetch, BUILD, { origin: "https://a.example" });
  return listeners;
}

test("a file that cannot be kept, on a full disk, is there all the same", async () => {
  const full = () => Promise.reject(new DOMException("", "QuotaExceededError"));
  const caches = { match: async () => undefined, open: async () => ({ put: full }) };
  const fetch = async () =>
    new Response("code", { headers: { "Cache-Control": "public, immutable" } });
  const listeners = start(caches, fetch);
  let answer;
  let kept;
  listeners.fetch({
    request: { method: "GET", url: "https://a.example/assets/a.js" },
    respondWith: (response) => {
      answer = response;
    },
    waitUntil: (work) => {
      kept = work;
    },
  });
  expect(await (await answer).text()).toBe("code");
  await kept; // and nothing is thrown where nobody listens
  expect(kept).toBeDefined();
});

test("of a release that not all servers have yet, nothing is kept with the shell of another", async () => {
  const page = (name) => `<script src="/assets/${name}"></script>`;
  const kept = new Map();
  const cache = {
    addAll: async () => undefined,
    put: async (name, shell) => kept.set(name, await shell.text()),
  };
  const install = async (name) => {
    const fetch = async () => new Response(page(name));
    let work;
    start({ open: async () => cache }, fetch).install({
      waitUntil: (promise) => {
        work = promise;
      },
    });
    await work;
  };
  await expect(install("main.1.js")).rejects.toThrow();
  expect(kept.size).toBe(0);
  await install("main.2.js");
  expect(kept.get("/shell")).toBe(page("main.2.js"));
});
