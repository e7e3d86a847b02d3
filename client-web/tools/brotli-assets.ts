import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Plugin } from "vite";

const WORTH_IT = /\.(html|js|css|svg|json|wasm|webmanifest|txt)$/;

/** Vite plugin: after the build, each text or wasm file of the output folder that has none gets a .br and a .gz. */
export function brotliAssets(): Plugin {
  let folder = "";
  return {
    name: "madoguchi:brotli-assets",
    apply: "build",
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    async closeBundle() {
      const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => WORTH_IT.test(name));
      const fresh = files.map((name) => join(folder, name)).filter((path) => !existsSync(path + ".br"));
      await Promise.all(fresh.map(compress));
    },
  };
}

async function compress(path: string): Promise<void> {
  const bytes = readFileSync(path);
  const hints = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } };
  writeFileSync(path + ".br", await promisify(brotliCompress)(bytes, hints));
  writeFileSync(path + ".gz", await promisify(gzip)(bytes, { level: 9 }));
}
