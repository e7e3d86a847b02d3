import { afterEach, describe, expect, test } from "vitest";
import { speak } from "../src/i18n/language.svelte";
import { builtIn, speakerOf, t } from "../src/i18n/youth";
import { wording } from "../src/i18n/youth/wording.svelte";
import { withDraft, wrongIn } from "../src/screens/admin/texts";
import { FACTS } from "./stand-ins";

afterEach(() => {
  speak("ja");
  wording.take(FACTS);
});

describe("the desk's own words", () => {
  test("stand in the place of the page's, in their language only", () => {
    const before = t("start.lead");
    wording.take({ name: "みなと$&窓口", texts: { ja: { "start.lead": "{desk}です。{desk}!" }, en: {} } });
    expect(t("start.lead")).toBe("みなと$&窓口です。みなと$&窓口!");
    expect(t("start.title")).toBe(builtIn("start.title", "ja"));
    speak("ja-x-easy");
    expect(t("start.lead")).toBe(builtIn("start.lead", "ja-x-easy"));
    speak("ja");
    wording.take(FACTS);
    expect(t("start.lead")).toBe(before);
  });

  test("a draft is seen where it is tried, and nowhere else", () => {
    const own = { ja: { "closed.title": "またね" } };
    const say = speakerOf(() => "ja", () => withDraft(own, "ja", "closed.text", "いつでもどうぞ"), () => "窓口");
    expect([say("closed.title"), say("closed.text")]).toEqual(["またね", "いつでもどうぞ"]);
    expect(own).toEqual({ ja: { "closed.title": "またね" } });
    expect(t("closed.text")).toBe(builtIn("closed.text", "ja"));
  });

  test.each([
    ["ここで話せます。", null], ["{desk}です", null], ["👋🏽 a", null], ["x".repeat(40), null],
    ["  ", "texts.wrong.empty"], ["x".repeat(41), "texts.wrong.long"], ["<b>", "texts.wrong.plain"],
    ["a\nb", "texts.wrong.plain"], ["a\u200bb", "texts.wrong.plain"], ["{name}", "texts.wrong.blank"],
    ["{desk", "texts.wrong.blank"],
  ])("%j: %s", (text, why) => {
    expect(wrongIn(text, 40)).toBe(why);
  });
});
