import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import hotlines from "../guidance/guidance.json";
import { guidanceHtml } from "../tools/guidance-page";
import { buildOf } from "../tools/service-worker";
import { withoutNames } from "../tools/strip-wasm-names";

test("the encryption's module loses its names and nothing else", () => {
  const folder = createRequire(import.meta.url).resolve("@matrix-org/matrix-sdk-crypto-wasm").replace(/[^/]+$/, "");
  const whole = readFileSync(folder + "pkg/matrix_sdk_crypto_wasm_bg.wasm");
  const stripped = withoutNames(whole);
  expect(stripped.length).toBeLessThan(whole.length * 0.8);
  const before = new WebAssembly.Module(whole);
  const after = new WebAssembly.Module(new Uint8Array(stripped));
  expect(WebAssembly.Module.exports(after)).toEqual(WebAssembly.Module.exports(before));
  expect(WebAssembly.Module.customSections(before, "name")).toHaveLength(1);
  expect(WebAssembly.Module.customSections(after, "name")).toHaveLength(0);
});

test("what is not a module is refused", () => {
  expect(() => withoutNames(new TextEncoder().encode("not a module"))).toThrow("not a WebAssembly module");
});

test("the guidance page works without script and names every number", () => {
  const html = guidanceHtml(hotlines);
  expect(html.match(/<script[^>]*>/g)).toEqual(['<script src="/guidance/guidance.js" defer>']);
  expect(html).not.toContain("style=");
  for (const { id, phone } of hotlines) {
    expect(html).toContain(`href="tel:${phone.replaceAll("-", "")}"`);
    expect(html).toContain(`data-id="${id}"`);
  }
});

test("the service worker knows the page's files by their bytes, the others by their names, and another build by both", () => {
  const files = ["index.html", "assets/a-1.js", "assets/a-1.css", "assets/b-1.wasm", "guidance/index.html"];
  const page = '<script src="/assets/a-1.js"></script><link href="/assets/a-1.css"><link href="/favicon.svg">';
  const read = (more: string) => (name: string) => Buffer.from(name === "index.html" ? page + more : name);
  const build = buildOf(files, read(""));
  expect(Object.keys(build.shell)).toEqual([
    "/", "/assets/a-1.js", "/assets/a-1.css", "/favicon.svg", "/guidance/guidance.css", "/guidance/guidance.js",
  ]);
  expect(build.rest).toEqual(["/assets/b-1.wasm"]);
  const other = buildOf(files, read(" "));
  expect(other.shell["/"]).not.toBe(build.shell["/"]);
  expect(other.version).not.toBe(build.version);
});
