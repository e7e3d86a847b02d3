import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import hotlines from "../guidance/guidance.json";
import { guidanceHtml } from "../tools/guidance-page";
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
