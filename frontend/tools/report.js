/** What the build is made of: `npm run report`. Sizes as delivered, and the modules that make them. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import zlib from "node:zlib";
import webpack from "webpack";
import configure from "../webpack.config.js";

const TOP = 8;
const kib = (bytes) => (bytes / 1024).toFixed(1).padStart(7);

const folder = await mkdtemp(path.join(tmpdir(), "report-"));
const config = configure({}, { mode: "production" });
config.output.path = folder;
const log = console.log;
console.log = () => undefined; // the budget has its own place: the build
const stats = await promisify(webpack)(config);
console.log = log;
const { chunks, errors } = stats.toJson({
  ids: true,
  chunks: true,
  chunkModules: true,
  chunkModulesSpace: Number.POSITIVE_INFINITY,
  nestedModules: true,
  nestedModulesSpace: Number.POSITIVE_INFINITY,
  errors: true,
});
for (const { message } of errors) console.error(message);
for (const { files, names, initial, modules } of chunks) {
  console.log(`\n${names.join(", ")}${initial ? " (initial)" : ""}`);
  for (const name of files) {
    const data = await readFile(path.join(folder, name));
    const sizes = [data, zlib.gzipSync(data, { level: 9 }), zlib.brotliCompressSync(data)];
    console.log(
      `  ${sizes.map(({ length }) => kib(length)).join(" ")}  ${name}  (plain, gzip, brotli KiB)`,
    );
  }
  const parts = modules.flatMap((module) => module.modules ?? [module]);
  const largest = parts.sort((a, b) => b.size - a.size).slice(0, TOP);
  for (const { name, size } of largest) console.log(`    ${kib(size)}  ${name}`);
}
await rm(folder, { recursive: true });
process.exitCode = errors.length > 0 ? 1 : 0;
