import { defineConfig } from "vitest/config";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  test: {
    environment: "happy-dom",
    setupFiles: "tools/vitest-setup.js",
    include: ["src/**/*.test.{ts,tsx}", "tools/**/*.test.js"],
    // One window for all files of a worker: to make one takes longer than the tests in it.
    isolate: false,
    testTimeout: 30_000,
  },
});
