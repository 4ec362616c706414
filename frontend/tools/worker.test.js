import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const CODE = readFileSync("src/offline/worker.js", "utf8");
const BUILD = { version: "1", base: "/assets/", shell: "/shell", files: [] };

test("a file that cannot be kept, on a full disk, is there all the same", async () => {
  const listeners = {};
  const self = {
    addEventListener: (name, listener) => {
      listeners[name] = listener;
    },
  };
  const full = () => Promise.reject(new DOMException("", "QuotaExceededError"));
  const caches = { match: async () => undefined, open: async () => ({ put: full }) };
  const fetch = async () =>
    new Response("code", { headers: { "Cache-Control": "public, immutable" } });
  const names = ["self", "caches", "fetch", "BUILD", "location"];
  new Function(...names, CODE)(self, caches, fetch, BUILD, { origin: "https://a.example" });
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
