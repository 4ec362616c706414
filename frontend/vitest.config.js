import { defineConfig } from "vitest/config";

export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  test: {
    environment: "happy-dom",
    setupFiles: "tools/vitest-setup.js",
    include: ["src/**/*.test.{ts,tsx}", "tools/**/*.test.js"],
    testTimeout: 30_000,
  },
});
