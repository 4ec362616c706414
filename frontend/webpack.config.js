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
        // What is smaller is copied into each page that needs it; by itself, webpack copies 20 KB.
        minSize: 4000,
        cacheGroups: {
          default: false,
          defaultVendors: false,
          // Changes when a dependency is updated, not with every release of ours.
          vendor: { test: /node_modules[\\/](@?preact|@preact)/, name: "vendor", priority: 2 },
          // Styles of several pages come once, so that their order is the same wherever one goes
          // first. Scripts are copied: a common chunk of them has more than any one page needs.
          // Brotli bytes of the first page of a visit, chat and sign-in, then of all pages:
          //   no script in common    60,010   47,764   109,883
          //   all in common          62,420   51,201   105,560, and a request more
          common: { name: "common", type: "css/mini-extract", chunks: "async", minChunks: 2 },
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
