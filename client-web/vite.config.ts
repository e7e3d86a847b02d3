import { resolve } from "node:path";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { brotliAssets } from "./tools/brotli-assets.ts";
import { guidancePage } from "./tools/guidance-page.ts";
import { serviceWorker } from "./tools/service-worker.ts";
import { stripWasmNames } from "./tools/strip-wasm-names.ts";

const desk = process.env["MADOGUCHI_DEV_SERVER"] ?? "http://127.0.0.1:8008";

// Two builds into one folder. Alone, the young person's page is one script and one style sheet, so that a slow line
// carries it in one round trip; together with the staff's pages it would be cut into a handful of shared pieces.
const PAGES: Record<string, Record<string, string>> = {
  youth: { youth: "index.html" },
  staff: { staff: "staff/index.html", admin: "admin/index.html" },
};

export default defineConfig(({ mode }) => {
  const pages = PAGES[mode] ?? { ...PAGES["youth"], ...PAGES["staff"] };
  const first = mode !== "staff";
  return {
    plugins: [svelte(), stripWasmNames(), ...(first ? [guidancePage(), serviceWorker()] : []), brotliAssets()],
    publicDir: first ? "public" : false,
    build: {
      target: "es2022",
      emptyOutDir: first,
      // The page's policy refuses data: addresses, and a separate file can be cached for good.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: 1500,
      rolldownOptions: {
        input: Object.fromEntries(
          Object.entries(pages).map(([name, page]) => [name, resolve(import.meta.dirname, page)]),
        ),
      },
    },
    server: {
      proxy: Object.fromEntries(
        ["/_matrix", "/_madoguchi", "/.well-known", "/icons", "/manifest.webmanifest"].map((path) => [path, desk]),
      ),
    },
    test: {
      environment: "node",
      // Keys are made of words slowly by intent, and the machine that tests may be busy.
      testTimeout: 30_000,
      include: ["tests/**/*.test.ts"],
      // Runes only react in the browser build of Svelte.
      server: { deps: { inline: [/svelte/] } },
    },
    resolve: process.env["VITEST"] ? { conditions: ["browser"] } : {},
  };
});
