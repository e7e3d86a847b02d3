import { beforeEach, describe, expect, test } from "vitest";
import type { OwnCase, RiskWord } from "../src/desk/api";
import { Hints } from "../src/screens/counsellor/hints.svelte";
import { seal, unseal } from "../src/screens/sealed";
import { KEN, ME, said } from "./stand-ins";

const WISH: RiskWord = { level: "high", language: "ja", text: "消えたい" };
const LETTER: RiskWord = { level: "urgent", language: "ja", text: "遺書" };
const OWN: OwnCase = {
  case_id: "c1", room_id: "!r:desk", user_id: KEN, channel: "web", mode: "open", state: "talking", accepted_at: 0,
  ghost: false, handing_over: false, risk: "none", helping: false, side_room_id: null, team: null, move: null, came_by: null,
  language: null, answers: null, previous: false,
};

let hints: Hints;
let kept: unknown;

beforeEach(() => {
  kept = null;
  hints = new Hints((aside) => (kept = aside));
  hints.use([WISH, LETTER]);
});

const words = (own: OwnCase = OWN, messages = TALK): string[] => hints.of(own, messages).map(({ word }) => word.text);
const TALK = [said("もう消えたい"), said("消えたい気持ちはある?", ME), said("遺書を書いた"), said("消えたいよ")];

describe("a suggestion", () => {
  test("names the word and the newest message in which the young person wrote it", () => {
    expect(hints.of(OWN, TALK)).toEqual([{ word: LETTER, message: TALK[2] }, { word: WISH, message: TALK[3] }]);
  });

  test("is not made of what staff wrote, nor of what is no text", () => {
    const others = [said("遺書", ME), said("遺書", "@sato:desk"), said("遺書", KEN, { kind: "removed" })];
    expect(words(OWN, others)).toEqual([]);
  });

  test("is there only while it says more than a human has set", () => {
    expect(words({ ...OWN, risk: "watch" })).toEqual(["遺書", "消えたい"]);
    expect(words({ ...OWN, risk: "high" })).toEqual(["遺書"]);
    expect(words({ ...OWN, risk: "urgent" })).toEqual([]);
  });

  test("goes when the words do", () => {
    expect(words(OWN, [said("遺書")])).toEqual(["遺書"]);
    const message = said("遺書");
    expect(words(OWN, [message])).toEqual(["遺書"]);
    expect(words(OWN, [{ ...message, body: "手紙" }])).toEqual([]);
    hints.use([WISH]);
    expect(words()).toEqual(["消えたい"]);
  });
});

describe("a false alarm", () => {
  test("stays put aside in its case and in no other", () => {
    hints.putAside("c1", WISH);
    expect(words()).toEqual(["遺書"]);
    expect(words(OWN, [...TALK, said("消えたい")])).toEqual(["遺書"]);
    expect(words({ ...OWN, case_id: "c2" })).toEqual(["遺書", "消えたい"]);
  });

  test("is taken up again", () => {
    hints.putAside("c1", WISH);
    hints.takeUp("c1", WISH);
    expect(words()).toEqual(["遺書", "消えたい"]);
  });

  test("outlives a reload, and not the case", () => {
    hints.putAside("c1", WISH);
    hints.putAside("c2", LETTER);
    const later = new Hints((aside) => (kept = aside));
    later.use([WISH, LETTER]);
    later.restore(JSON.parse(JSON.stringify(kept)));
    expect(later.of(OWN, TALK).map(({ word }) => word.text)).toEqual(["遺書"]);
    later.keepOnly(["c1"]);
    expect(kept).toEqual([["c1", ["high 消えたい"]]]);
    later.keepOnly([]);
    expect(kept).toEqual([]);
  });

  test.each([null, "x", {}, [1], [["c1"]], [[1, []]]])("that was kept as %j is none", (broken) => {
    hints.restore(broken);
    expect(words()).toEqual(["遺書", "消えたい"]);
  });
});

describe("what is sealed", () => {
  const key = btoa("k".repeat(32));

  test("opens under its key, for its use, whole", async () => {
    const box = await seal(key, "hints", [["c1", ["high 消えたい"]]]);
    expect(atob(box)).not.toContain('"c1"');
    expect(await unseal(key, "hints", box)).toEqual([["c1", ["high 消えたい"]]]);
    expect(await seal(key, "hints", 1)).not.toBe(await seal(key, "hints", 1));
    await expect(unseal(btoa("x".repeat(32)), "hints", box)).rejects.toThrow();
    await expect(unseal(key, "replies", box)).rejects.toThrow();
    await expect(unseal(key, "hints", box.replace(/.{4}$/, "AAAA"))).rejects.toThrow();
    await expect(unseal(key, "hints", "no box")).rejects.toThrow();
  });
});
