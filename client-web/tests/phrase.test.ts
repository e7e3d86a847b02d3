import { expect, test } from "vitest";
import { keysOf, LENGTH, newPhrase, type ReturnKeys, unknownIn, wordsOf } from "../src/screens/youth/phrase";

test("six words by chance, of either language, that are known again when they are typed", () => {
  for (const language of ["ja", "en"] as const) {
    const phrases = Array.from({ length: 50 }, () => newPhrase(language));
    expect(phrases.every((phrase) => phrase.length === LENGTH && unknownIn(phrase).length === 0)).toBe(true);
    expect(new Set(phrases.flat()).size).toBeGreaterThan(200);
    expect(phrases.flat().filter((word) => ["さつじん", "ぜんら", "death", "hate"].includes(word))).toEqual([]);
    for (const phrase of phrases) expect(wordsOf(phrase.join(language === "ja" ? "　" : " "))).toEqual(phrase);
  }
});

test("typed otherwise they are the same words", () => {
  expect(wordsOf(" アいこくしん、あいさつ\nガっき ")).toEqual(["あいこくしん", "あいさつ", "がっき"]);
  // A voiced letter as some keyboards send it: the letter, then its mark.
  expect(wordsOf("か\u3099っき")).toEqual(["がっき"]);
  expect(wordsOf("Abandon, ABILITY.")).toEqual(["abandon", "ability"]);
  expect(unknownIn(wordsOf("あいさつ あいさっ abandon xyzzy"))).toEqual(["あいさっ", "xyzzy"]);
  expect(wordsOf("  ")).toEqual([]);
});

test("the same words give the same keys, any other word gives others, and the three have nothing in common", async () => {
  const words = wordsOf("あいこくしん あいさつ あいだ あおぞら あかちゃん あきる");
  const several = [words, [...words], [...words].reverse()].map((each) => keysOf(each, "desk"));
  const [one, again, other] = (await Promise.all(several)) as [ReturnKeys, ReturnKeys, ReturnKeys];
  expect(again).toEqual(one);
  // As Python's hashlib and hmac make them. Fixed once and for all: whoever has written their words down must come
  // back after every upgrade.
  expect(one.id).toBe("XOOl2poDBQl31_27FE6pSw");
  expect(one.secret).toBe("UyGveCkFgmDvYpPY7WOmfKuNqC79aDXGS3X0dyl7awA");
  expect(one.key).toHaveLength(32);
  expect(other.id).not.toBe(one.id);
  expect(other.secret).not.toBe(one.secret);
  expect([...other.key]).not.toEqual([...one.key]);
  expect((await keysOf(words, "another")).id).not.toBe(one.id);
  expect(btoa(String.fromCharCode(...one.key))).not.toContain(one.secret.slice(0, 8));
});
