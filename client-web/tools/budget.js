// What a young person's phone must load before the encryption: 60 kB of compressed JavaScript and CSS at most.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const BUDGET = 60_000;
const folder = join(import.meta.dirname, "..", "dist");
const page = readFileSync(join(folder, "index.html"), "utf8");
const files = [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+\.(?:js|css))"/g)].map((match) => match[1] ?? "");
const sizes = files.map((file) => ({ file, bytes: statSync(join(folder, file + ".br")).size }));
const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);

for (const { file, bytes } of sizes) console.log(`${String(bytes).padStart(8)}  ${file}`);
console.log(`${String(total).padStart(8)}  of ${BUDGET} bytes (brotli) before the encryption loads`);
if (total > BUDGET || files.length === 0) {
  console.error("The young person's page is over its budget.");
  process.exit(1);
}
