import { afterEach, expect, test } from "vitest";
import { DeskError } from "../src/desk/api";
import { speak } from "../src/i18n/language.svelte";
import { reasonOf } from "../src/screens/trouble";

afterEach(() => speak("ja"));

test("a refusal is told in the page's language; where that does not say it all, the desk's own words stand behind it", () => {
  const full = new DeskError(409, "JP_MADOGUCHI_FULL", { error: "You have as many cases as you can take." });
  expect(reasonOf(full)).toBe("受け持ちがいっぱいです。");
  expect(reasonOf(new DeskError(503, "M_UNKNOWN", { error: "x" }))).toMatch(/^サーバーで何かが壊れました.*\(x\)$/);
  expect(reasonOf(new DeskError(400, "M_ANOTHER"))).toBe("断られました。(M_ANOTHER)");
  expect(reasonOf(new DeskError(0, "OFFLINE"))).toMatch(/^サーバーにつながりません/);
  expect(reasonOf(new Error("else"))).toBe("Error: else");
  speak("en");
  expect(reasonOf(full)).toBe("No more cases can be taken now.");
  expect(reasonOf(new DeskError(404, "M_NOT_FOUND", { error: "There is no such case." }))).toBe("There is no such case.");
  expect(reasonOf(new DeskError(0, "OFFLINE"))).toBe("The server can't be reached. Try again once it can.");
});
