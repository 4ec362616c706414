import { promisify } from "node:util";
import zlib from "node:zlib";
import { shells } from "./shells.js";

const brotli = promisify(zlib.brotliCompress);
const gzip = promisify(zlib.gzip);
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;

/**
 * Turns webpack's output into what the server delivers: compressed copies beside each text file,
 * and `manifest.json`, which tells the server what to put into the page:
 *
 *     entry   {js, css}: files of the first paint, in order
 *     routes  page -> what that page loads on top, worth a preload hint
 *     assets  every hashed file; only these may be served as immutable
 *     icon    the favicon
 *     icons   kind -> the app's icon where it is installed
 *     worker  the service worker, which the server puts its list of files in front of
 *     shells  page -> {css, html, parts}: what it shows before any script runs
 *
 * Names are relative to the output folder. Sizes over `budget` fail the build.
 */
export class Deliver {
  /** @param {{routes: Record<string, string[]>, icon: RegExp, compress: boolean,
   *           worker?: string, shells?: string,
   *           budget?: {initial: number, chunk: number, parts?: Record<string, number>}}} options */
  constructor(options) {
    this.options = options;
  }

  apply(compiler) {
    const { Compilation, WebpackError, sources } = compiler.webpack;
    compiler.hooks.thisCompilation.tap("Deliver", (compilation) => {
      const stage = Compilation.PROCESS_ASSETS_STAGE_REPORT;
      compilation.hooks.processAssets.tapPromise({ name: "Deliver", stage }, async () => {
        const assets = Object.keys(compilation.assets).filter((name) => !name.endsWith(".map"));
        const emit = (name, data) => compilation.emitAsset(name, new sources.RawSource(data));
        const manifest = this.manifest(compilation, assets);
        if (this.options.shells) {
          compilation.fileDependencies.add(this.options.shells);
          manifest.shells = await shells(this.options.shells, (route) =>
            this.sheets(compilation, manifest, route),
          );
        }
        emit("manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
        if (!this.options.compress) return;
        const sizes = new Map();
        await Promise.all(
          assets.map(async (name) => {
            const data = compilation.assets[name].buffer();
            const packed = await brotli(data);
            sizes.set(name, packed.length);
            emit(`${name}.br`, packed);
            emit(`${name}.gz`, await gzip(data, { level: 9 }));
          }),
        );
        for (const complaint of this.overspent(manifest, sizes)) {
          compilation.errors.push(new WebpackError(complaint));
        }
      });
    });
  }

  manifest(compilation, assets) {
    const entry = byKind(compilation.entrypoints.get("main").getFiles());
    const initial = new Set([...entry.js, ...entry.css]);
    const routes = {};
    for (const [route, chunks] of Object.entries(this.options.routes)) {
      const files = chunks.flatMap((chunk) => {
        const group = compilation.chunkGroups.find((found) => found.name === chunk);
        if (!group) throw new Error(`No chunk is named ${chunk}, so route ${route} has no files`);
        return group.getFiles();
      });
      const { js, css } = byKind([...new Set(files)].filter((name) => !initial.has(name)));
      routes[route] = [...js, ...css];
    }
    const icon = assets.find((name) => this.options.icon.test(name)) ?? null;
    const icons = {};
    for (const name of assets) {
      const kind = name.match(/^icon-(\w+)\.(?:.*\.)?png$/)?.[1];
      if (kind) icons[kind] = name;
    }
    const chunk = this.options.worker && compilation.entrypoints.get(this.options.worker);
    const worker = chunk ? byKind(chunk.getFiles()).js[0] : null;
    return { entry, routes, icon, icons, worker, assets: assets.sort() };
  }

  /** The style sheets of a page, as they will be. */
  sheets(compilation, manifest, route) {
    const own =
      {
        "chat-extractive": "chat",
        conversation: "chat",
        transcript: "conversation",
        document: "library",
        reading: "library",
      }[route] ?? route;
    // A page without a chunk of its own shows what any of them may.
    const more = manifest.routes[own] ?? Object.values(manifest.routes).flat();
    const names = new Set([...manifest.entry.css, ...more.filter((name) => name.endsWith(".css"))]);
    return [...names].map((name) => compilation.assets[name].source().toString()).join("");
  }

  *overspent(manifest, sizes) {
    const { budget } = this.options;
    if (!budget) return;
    const first = [...manifest.entry.js, ...manifest.entry.css];
    const initial = first.reduce((sum, name) => sum + sizes.get(name), 0);
    const line = `Initial JS + CSS: ${kib(initial)} brotli of ${kib(budget.initial)}`;
    console.log(line);
    if (initial > budget.initial) yield `Over budget. ${line}`;
    for (const [name, size] of sizes) {
      if (first.includes(name)) continue;
      const most = budget.parts?.[name.split(".")[0]] ?? budget.chunk;
      const line = `${name}: ${kib(size)} brotli of ${kib(most)}`;
      console.log(line);
      if (size > most) yield `Over budget. ${line}`;
    }
  }
}

function byKind(files) {
  const wanted = (end) =>
    files.filter((name) => name.endsWith(end) && !name.includes(".hot-update."));
  return { js: wanted(".js"), css: wanted(".css") };
}
