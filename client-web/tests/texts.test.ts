import { describe, expect, test } from "vitest";
import staffEn from "../src/i18n/staff/en.json";
import staffJa from "../src/i18n/staff/ja.json";
import roomEn from "../src/i18n/room/en.json";
import roomEasy from "../src/i18n/room/ja-x-easy.json";
import roomJa from "../src/i18n/room/ja.json";
import en from "../src/i18n/youth/en.json";
import easy from "../src/i18n/youth/ja-x-easy.json";
import ja from "../src/i18n/youth/ja.json";
import { fill, preferred } from "../src/i18n/language.svelte";

const blanks = (text: string): string[] => [...new Set(text.match(/\{\w+\}/g))].sort();

describe.each([
  ["easy Japanese", ja, easy],
  ["English", ja, en],
  ["easy Japanese, room", roomJa, roomEasy],
  ["English, room", roomJa, roomEn],
  ["English, staff", staffJa, staffEn],
])("%s", (_name, full: Record<string, string>, other: Record<string, string>) => {
  test("says everything, with the same blanks", () => {
    expect(Object.keys(other).sort()).toEqual(Object.keys(full).sort());
    for (const [key, text] of Object.entries(full)) expect([key, blanks(other[key] ?? "")]).toEqual([key, blanks(text)]);
  });
});

test("easy Japanese has short sentences", () => {
  for (const [key, text] of Object.entries({ ...easy, ...roomEasy })) {
    const longest = Math.max(...text.split(/[。、?]/).map((sentence) => sentence.replaceAll(" ", "").length));
    expect([key, longest <= 32 ? "short" : longest]).toEqual([key, "short"]);
  }
});

test("blanks are filled, numbers as the language writes them", () => {
  expect(fill("{count} waiting for {name}", { count: 1234, name: "{count}" }, "en-GB")).toBe("1,234 waiting for {count}");
  expect(fill("{unknown}", {}, "ja-JP")).toBe("{unknown}");
});

test("the browser's wishes choose the language, easy Japanese before full", () => {
  const offered = ["ja-x-easy", "ja", "en"] as const;
  expect(preferred(offered, ["ja-JP", "en"])).toBe("ja-x-easy");
  expect(preferred(offered, ["en-US"])).toBe("en");
  expect(preferred(offered, ["pt-BR", "en"])).toBe("en");
  expect(preferred(offered, ["th"])).toBe("ja-x-easy");
});
