import { resolve } from "node:path";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { brotliAssets } from "./tools/brotli-assets.ts";
import { guidancePage } from "./tools/guidance-page.ts";
import { stripWasmNames } from "./tools/strip-wasm-names.ts";

const desk = process.env["MADOGUCHI_DEV_SERVER"] ?? "http://127.0.0.1:8008";

export default defineConfig({
  plugins: [svelte(), stripWasmNames(), guidancePage(), brotliAssets()],
  build: {
    target: "es2022",
    // The page's policy refuses data: addresses, and a separate file can be cached for good.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
    rolldownOptions: {
      input: {
        youth: resolve(import.meta.dirname, "index.html"),
        staff: resolve(import.meta.dirname, "staff/index.html"),
        admin: resolve(import.meta.dirname, "admin/index.html"),
      },
    },
  },
  server: {
    proxy: { "/_matrix": desk, "/_madoguchi": desk, "/.well-known": desk },
  },
  test: {
    environment: "node",
    include: ["tests/**/*.test.ts"],
    // Runes only react in the browser build of Svelte.
    server: { deps: { inline: [/svelte/] } },
  },
  resolve: process.env["VITEST"] ? { conditions: ["browser"] } : {},
});
