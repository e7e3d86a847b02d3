import type { Plugin } from "vite";

/** Removes the custom section "name" (debugging names) from a WebAssembly module; every other byte stays as it is.
 *
 * Takes and gives a whole module. Raises if the bytes are not a module.
 * Layout: WebAssembly Core Specification, chapter "Binary Format", 5.5.2 and 5.5.3.
 */
export function withoutNames(module: Uint8Array): Uint8Array {
  if (module[0] !== 0x00 || module[1] !== 0x61 || module[2] !== 0x73 || module[3] !== 0x6d) {
    throw new Error("This is not a WebAssembly module.");
  }
  const kept: Uint8Array[] = [module.subarray(0, 8)];
  let at = 8;
  while (at < module.length) {
    const start = at;
    const id = module[at++];
    const [size, body] = readUnsigned(module, at);
    const end = body + size;
    if (!(id === 0 && sectionName(module, body) === "name")) kept.push(module.subarray(start, end));
    at = end;
  }
  return Buffer.concat(kept);
}

function sectionName(module: Uint8Array, at: number): string {
  const [length, start] = readUnsigned(module, at);
  return new TextDecoder().decode(module.subarray(start, start + length));
}

function readUnsigned(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    if (byte === undefined) throw new Error("The WebAssembly module ends too early.");
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

/** Vite plugin: every emitted .wasm file goes out without its names. */
export function stripWasmNames(): Plugin {
  return {
    name: "madoguchi:strip-wasm-names",
    apply: "build",
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type === "asset" && file.fileName.endsWith(".wasm") && typeof file.source !== "string") {
          file.source = withoutNames(file.source);
        }
      }
    },
  };
}
