import path from "node:path";
import { fileURLToPath } from "node:url";
import { EsbuildPlugin } from "esbuild-loader";
import MiniCssExtractPlugin from "mini-css-extract-plugin";
import { Deliver } from "./tools/deliver.js";

const here = path.dirname(fileURLToPath(import.meta.url));
// What `browserslist` in package.json says, in esbuild's words.
const target = ["chrome123", "firefox125", "safari17.5"];
// What the server calls a page -> its chunk, which most have for themselves.
const ROUTES = Object.fromEntries(
  ["chat", "library", "sign-in", "link", "account", "people", "audit"].map((name) => [name, name]),
);
for (const name of ["jobs", "caches", "settings"]) ROUTES[name] = "admin";
const backend = process.env.LIKEOPT_DEV_BACKEND ?? "http://127.0.0.1:8080";

/** @returns {import("webpack").Configuration} */
export default (_env, { mode }) => {
  const production = mode === "production";
  // dev/index.html names the files of development.
  const name = production ? "[name].[contenthash:10]" : "[name]";
  return {
    mode,
    target: "browserslist",
    context: here,
    entry: {
      main: "./src/main.tsx",
      // Runs apart from the page, so it brings its own few lines of runtime.
      worker: { import: "./src/offline/worker.js", runtime: false },
    },
    output: {
      path: path.resolve(here, "../likeopt/web/static"),
      // From where the script itself came: here, or a CDN (LIKEOPT_ASSETS_URL).
      publicPath: "auto",
      crossOriginLoading: "anonymous",
      filename: `${name}.js`,
      chunkFilename: `${name}.js`,
      assetModuleFilename: `${name}[ext]`,
      clean: true,
    },
    resolve: { extensions: [".tsx", ".ts", ".js"] },
    module: {
      rules: [
        { test: /\.tsx?$/, loader: "esbuild-loader", options: { target } },
        { test: /\.css$/, use: [MiniCssExtractPlugin.loader, "css-loader"] },
        { test: /\.(svg|png)$/, type: "asset/resource" },
      ],
    },
    optimization: {
      moduleIds: "deterministic",
      chunkIds: "deterministic",
      runtimeChunk: "single",
      minimizer: [new EsbuildPlugin({ target, css: true, legalComments: "none" })],
      splitChunks: {
        chunks: ({ name }) => name !== "worker",
        // Code shared by pages is loaded once, however small; without this, webpack copies
        // anything under 20 KB into both.
        minSize: 4000,
        cacheGroups: {
          default: false,
          defaultVendors: false,
          // Changes when a dependency is updated, not with every release of ours.
          vendor: { test: /node_modules[\\/](@?preact|@preact)/, name: "vendor", priority: 2 },
          common: { name: "common", chunks: "async", minChunks: 2, priority: 1 },
        },
      },
    },
    plugins: [
      new MiniCssExtractPlugin({
        filename: `${name}.css`,
        chunkFilename: `${name}.css`,
      }),
      new Deliver({
        routes: {
          ...Object.fromEntries(Object.entries(ROUTES).map(([page, chunk]) => [page, [chunk]])),
          // There are answers to be shown at once.
          conversation: ["chat", "markdown"],
        },
        worker: "worker",
        shells: path.resolve(here, "src/shell/skeleton.tsx"),
        icon: /^icon\.(.*\.)?svg$/,
        compress: production,
        // Brotli bytes: what a visitor waits for, and what each page adds.
        // Formulas are no page: only an answer that holds one loads what draws them. KaTeX would be
        // 64 KB, with fonts and a style sheet on top.
        budget: production
          ? { initial: 60_000, chunk: 30_000, parts: { formula: 52_000 } }
          : undefined,
      }),
    ],
    devtool: production ? false : "source-map",
    // Uncompressed bytes, a second fence in front of the brotli budget of `Deliver`.
    performance: production
      ? { hints: "error", maxEntrypointSize: 200_000, maxAssetSize: 220_000 }
      : false,
    stats: production ? "errors-warnings" : "minimal",
    devServer: {
      host: "127.0.0.1",
      port: 5173,
      client: { overlay: { runtimeErrors: false } },
      // gzip would hold back the events of a stream.
      compress: false,
      // The page from here, everything else from a running `likeopt serve`; nothing is written, so
      // a build that is there stays as it is.
      static: path.resolve(here, "dev"),
      historyApiFallback: true,
      proxy: [{ context: ["/api", "/v1", "/health", "/ready"], target: backend }],
    },
  };
};
