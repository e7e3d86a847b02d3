import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";
import { alone } from "./alone.ts";

const entry = join(import.meta.dirname, "..", "src", "worker", "worker.ts");
// Beside what the start page names: what the guidance page names.
const UNHASHED = ["favicon.svg", "guidance/guidance.css", "guidance/guidance.js"];

export interface Build {
  version: string;
  shell: Record<string, string>;
  rest: string[];
}

/** What a service worker keeps of a build: `files` are its names, `read` gives the bytes of one. */
export function buildOf(files: readonly string[], read: (name: string) => Buffer): Build {
  const page = read("index.html").toString("utf8");
  const named = [...page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((found) => found[1] ?? "");
  const shell = Object.fromEntries(
    ["index.html", ...named, ...UNHASHED].map((name) => [
      name === "index.html" ? "/" : "/" + name,
      "sha256-" + createHash("sha256").update(read(name)).digest("base64"),
    ]),
  );
  const rest = files.filter((name) => name.startsWith("assets/") && !named.includes(name)).map((name) => "/" + name);
  const whole = JSON.stringify([shell, rest.sort()]);
  return { version: createHash("sha256").update(whole).digest("hex").slice(0, 12), shell, rest };
}

/** Vite plugin: after the build, `sw.js`, which knows every file of it. */
export function serviceWorker(): Plugin {
  let folder = "";
  return {
    name: "madoguchi:service-worker",
    apply: "build",
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    writeBundle: {
      order: "post",
      sequential: true,
      async handler(_options, bundle) {
        const build = buildOf(Object.keys(bundle), (name) => readFileSync(join(folder, name)));
        writeFileSync(join(folder, "sw.js"), await alone(entry, { BUILD: build }));
      },
    },
  };
}
