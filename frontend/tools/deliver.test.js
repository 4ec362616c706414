// @vitest-environment node
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import webpack from "webpack";
import { Deliver } from "./deliver.js";

let folder;

beforeEach(async () => {
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  folder = await mkdtemp(path.join(tmpdir(), "deliver-"));
  await writeFile(path.join(folder, "main.js"), 'import(/* webpackChunkName: "page" */ "./page");');
  await writeFile(path.join(folder, "page.js"), `export default "${"page ".repeat(100)}";`);
});
afterEach(() => rm(folder, { recursive: true }));

async function build(budget) {
  const stats = await promisify(webpack)({
    mode: "production",
    context: folder,
    entry: "./main.js",
    output: { path: path.join(folder, "out"), filename: "[name].[contenthash:10].js" },
    plugins: [new Deliver({ routes: { home: ["page"] }, icon: /svg$/, compress: true, budget })],
  });
  return stats.toJson().errors.map(({ message }) => message);
}

const output = (name) => readFile(path.join(folder, "out", name));

test("the manifest tells what to load, and every file has its compressed copies", async () => {
  expect(await build({ initial: 100_000, chunk: 100_000 })).toEqual([]);
  const manifest = JSON.parse(await output("manifest.json"));
  expect(manifest).toEqual({
    entry: { js: [expect.stringMatching(/^main\.[0-9a-f]{10}\.js$/)], css: [] },
    routes: { home: [expect.stringMatching(/^page\.[0-9a-f]{10}\.js$/)] },
    icon: null,
    icons: {},
    worker: null,
    assets: [...manifest.entry.js, ...manifest.routes.home],
  });
  for (const name of manifest.assets) {
    const plain = await output(name);
    expect(zlib.brotliDecompressSync(await output(`${name}.br`))).toEqual(plain);
    expect(zlib.gunzipSync(await output(`${name}.gz`))).toEqual(plain);
  }
});

test("a first paint or a page over its budget fails the build", async () => {
  expect(await build({ initial: 10, chunk: 100_000 })).toEqual([
    expect.stringContaining("Over budget. Initial JS + CSS"),
  ]);
  expect(await build({ initial: 100_000, chunk: 10 })).toEqual([
    expect.stringMatching(/Over budget. page\..*\.js/),
  ]);
  const own = { initial: 100_000, chunk: 10, parts: { page: 100_000 } };
  expect(await build(own)).toEqual([]);
});
