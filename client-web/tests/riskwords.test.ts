import { describe, expect, test } from "vitest";
import type { Risk, RiskWord } from "../src/desk/api";
import { listsOf, unusable, wordsOf } from "../src/screens/admin/riskwords";
import { Matcher, plain } from "../src/screens/riskwords";

const word = (text: string, level: Risk = "high"): RiskWord =>
  ({ level: level as RiskWord["level"], language: /[a-z]/.test(text) ? "en" : "ja", text });
const finds = (sought: string, text: string): boolean => new Matcher([word(sought)]).find(text).length > 0;

describe("the same word, however it is written", () => {
  test.each([
    ["死にたい", "もう死にたいよ"],
    ["死にたい", "死　に た い"],
    ["死にたい", "死にたーい…"],
    ["死にたい", "死・に・た・い"],
    ["死にたい", "死…にたい"],
    ["死にたい", "死ニタイ"],
    ["しにたい", "ｼﾆﾀｲ"],
    ["死にたい", "死\u200bにたい"],
    ["死にたい", "死\nに\nた\nい"],
    ["死にたい", "死にたぃ"],
    ["4にたい", "４にたい"],
    ["リスカ", "りすかした"],
    ["ハブられ", "はぶられてる"],
    ["オーバードーズ", "おーばーどーずした"],
    ["OD", "昨日ＯＤしちゃった"],
    ["OD", "od"],
    ["want to die", "I WANT  to\tDIE"],
    ["don't want to live", "i dont want to live"],
    ["don't want to live", "I don’t want to live"],
    ["self-harm", "thinking of self harm"],
    ["self harm", "Self‑harm again"],
  ])("%s in %s", (sought, text) => {
    expect(finds(sought, text)).toBe(true);
  });

  test.each([
    ["OD", "good food and a body"],
    ["rape", "grapes"],
    ["hit me", "hit men"],
    ["4にたい", "14にたいして"],
    ["死にたい", "死。にたい"],
    ["want to die", "want to\ndie"],
    ["", "何でもない"],
    ["ー", "ラーメン"],
    ["死", "必死"],
  ])("%s is not in %s", (sought, text) => {
    expect(finds(sought, text)).toBe(false);
  });

  test("long pauses, links and emoji break nothing", () => {
    expect(plain("え…　🙂 https://example.org/A")).toBe("え🙂https://example.org/a");
    expect(plain("a".repeat(20_000)).length).toBe(20_000);
  });
});

describe("what is taken back", () => {
  test.each([
    ["死にたい", "死にたいわけじゃない"],
    ["死にたい", "死にたいってわけではないけど、しんどい"],
    ["死にたい", "死にたいとは思ってないです"],
    ["死にたい", "しんどいけど、死にたいなんて考えてない"],
    ["死にたい", "死にたいとかは全然思わない"],
    ["死にたい", "死にたい気持ちはありません"],
    ["死にたい", "死にたくない"],
    ["殴られ", "殴られてないよ"],
    ["殴られ", "殴られたことはない"],
    ["リスカ", "リスカはしてない"],
    ["自殺", "自殺したくない"],
    ["OD", "ODはしてないです"],
    ["虐待", "虐待じゃない。ただのけんか"],
    ["want to die", "I don't want to die"],
    ["want to die", "i dont really want to die"],
    ["want to die", "It's not that I want to die"],
    ["kill myself", "I'm not going to kill myself"],
    ["kill myself", "i would never kill myself"],
    ["raped", "I have never been raped"],
    ["cutting myself", "I stopped cutting myself"],
  ])("%s is not meant by %s", (sought, text) => {
    expect(finds(sought, text)).toBe(false);
  });

  test.each([
    ["死にたい", "死にたいけど、だれにも言えない"],
    ["死にたい", "死にたいとしか思えない"],
    ["死にたい", "死にたいと思わない日はない"],
    ["死にたい", "死にたいわけじゃないとは言えない"],
    ["死にたい", "死にたいんじゃないかな"],
    ["死にたい", "死にたいくらい何もしたくない"],
    ["死にたい", "死にたい。わけじゃない"],
    ["死にたい", "死にたいなんて言えない"],
    ["死にたい", "死にたいわけじゃない。でも、死にたい"],
    ["消えたい", "消えたいじゃない?"],
    ["殴られ", "殴られないか心配"],
    ["殴られ", "殴られない日はない"],
    ["殴られ", "殴られないように静かにしてる"],
    ["自殺", "自殺しないと楽になれない"],
    ["生きる意味がない", "もう生きる意味がない"],
    ["want to die", "i dont know if i want to die"],
    ["want to die", "I'm not okay. I want to die"],
    ["want to die", "not sure, i want to die"],
    ["want to die", "I can't stop, I want to die"],
    ["kill myself", "why not kill myself"],
    ["kill myself", "if i don't kill myself he will"],
    ["don't want to live", "I don't want to live"],
  ])("%s is meant by %s", (sought, text) => {
    expect(finds(sought, text)).toBe(true);
  });
});

test("all that stand in a text are found, the most dangerous first", () => {
  const list = [word("いじめ", "watch"), word("いじめられ", "watch"), word("遺書", "urgent"), word("消えたい"),
    word("消え", "watch"), word("リスカ")];
  const found = new Matcher(list).find("いじめられて消えたい。遺書を書いた");
  expect(found.map(({ text }) => text)).toEqual(["遺書", "消えたい", "いじめられ"]);
});

test("a thousand words over the longest message take no time to speak of", () => {
  const list = Array.from({ length: 1_000 }, (_, index) => word(`ことば${index}を言う`));
  const before = performance.now();
  expect(new Matcher(list).find("ことば1はない。".repeat(2_500) + "ことば999を言う")).toHaveLength(1);
  expect(performance.now() - before).toBeLessThan(500);
});

test("a list comes out of its fields as it went in, without what is no word", () => {
  const list = [word("遺書", "urgent"), word("消えたい"), word("もう 限界", "watch"), word("want to die")];
  expect(wordsOf(listsOf(list))).toEqual(list);
  const lists = listsOf([]);
  lists.high.ja = "\n 死にたい \n\nもう　無理\n";
  expect(wordsOf(lists)).toEqual([word("死にたい"), word("もう 無理")]);
  expect(unusable(wordsOf(lists))).toEqual([]);
});

test("words that would find nothing, or everything, or stand twice are named", () => {
  const list = [word("リスカ"), word("りすか", "watch"), word("死"), word("ーー"), word("あ".repeat(61)), word("OD")];
  expect(unusable(list)).toEqual(["りすか", "死", "ーー", "あ".repeat(61)]);
});
