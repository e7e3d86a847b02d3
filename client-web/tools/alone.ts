import { build, type Rolldown } from "vite";

/** One script that imports nothing: what a page without modules, or a service worker, can load. */
export async function alone(entry: string, constants: Record<string, unknown> = {}): Promise<string> {
  const define = Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, JSON.stringify(value)]));
  const built = (await build({
    configFile: false,
    publicDir: false,
    logLevel: "warn",
    define,
    build: { write: false, target: "es2022", lib: { entry, formats: ["iife"], name: "alone", fileName: "alone" } },
  })) as Rolldown.RolldownOutput[];
  const code = built[0]?.output[0].code;
  if (code === undefined) throw new Error(`${entry} came to nothing.`);
  return code;
}
