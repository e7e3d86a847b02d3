import { afterEach, describe, expect, test } from "vitest";
import { speak } from "../src/i18n/language.svelte";
import { t } from "../src/i18n/youth";
import roomEasy from "../src/i18n/room/ja-x-easy.json";
import roomNotes from "../src/i18n/room/ja-x-easy.readings.json";
import youthEasy from "../src/i18n/youth/ja-x-easy.json";
import youthNotes from "../src/i18n/youth/ja-x-easy.readings.json";
import { piecesIn, type Piece } from "../src/i18n/youth/notation";
import { piecesOf } from "../src/i18n/youth/readings";
import { Traces } from "../src/screens/youth/traces";
import { furigana } from "../src/ui/furigana.svelte";
import { memory } from "./stand-ins";

const HAN = /\p{Script=Han}/u;
const texts: Record<string, string> = { ...youthEasy, ...roomEasy };
const notes: Record<string, string> = { ...youthNotes, ...roomNotes };

const plain = (pieces: readonly Piece[]): string => pieces.map(({ text }) => text).join("");
/** As it is read aloud by somebody who knows no characters. */
const aloud = (pieces: readonly Piece[] | null): string | undefined =>
  pieces?.map(({ text, reading }) => reading ?? text).join("");

describe("the readings of easy Japanese", () => {
  test("stand beside texts that there are, and leave each as it is", () => {
    for (const [key, note] of Object.entries(notes)) expect([key, plain(piecesIn(note))]).toEqual([key, texts[key]]);
  });

  test("are there for every character, in kana, and for nothing else", () => {
    for (const [key, text] of Object.entries(texts)) {
      const pieces = piecesIn(notes[key] ?? text);
      const bare = pieces.filter((piece) => piece.reading === undefined && HAN.test(piece.text));
      expect([key, bare]).toEqual([key, []]);
      const read = pieces.filter((piece) => piece.reading !== undefined);
      for (const piece of read) {
        expect([key, piece.text]).toEqual([key, expect.stringMatching(/^\p{Script=Han}+$/u)]);
        expect([key, piece.reading]).toEqual([key, expect.stringMatching(/^[ぁ-ゖー]+$/)]);
      }
    }
  });

  test("are found by the text that the page says, whatever was put into it", () => {
    for (const [key, text] of Object.entries(texts)) {
      const said = text.replace(/\{(count|low|high|number|grade|step)\}/g, "5").replace(/\{\w+\}/g, "山[田|x]");
      const pieces = piecesOf(said);
      expect([key, pieces && plain(pieces)]).toEqual([key, said]);
    }
    expect(piecesOf("山田さんと 話しています")).toEqual([
      { text: "山田" }, { text: "さんと " }, { text: "話", reading: "はな" }, { text: "しています" },
    ]);
  });

  test("leave alone what is no text of the page", () => {
    for (const text of ["山田", "みなとの相談窓口", "今日はいい天気", ""]) expect(piecesOf(text)).toBeNull();
  });

  test.each([
    ["1人が まっています", "ひとりが まっています"],
    ["2人が まっています", "ふたりが まっています"],
    ["11人が まっています", "11にんが まっています"],
    ["1,002人が まっています", "1,002にんが まっています"],
    ["3分から 15分くらい まちます", "3ぷんから 15ふんくらい まちます"],
    ["2分から 10分くらい まちます", "2ふんから 10ぷんくらい まちます"],
    ["つぎは 4月1日(火) 9:00 から", "つぎは 4がつついたち(か) 9:00 から"],
    ["つぎは 12月24日(木) 18:00 から", "つぎは 12がつ24か(もく) 18:00 から"],
    ["つたえた こと: いじめ、小学校 4年生", "つたえた こと: いじめ、しょうがっこう 4ねんせい"],
    ["11月29日(日)", "11がつ29にち(にち)"],
    ["2026年11月20日", "2026ねん11がつはつか"],
    ["3 時間前の いちらん です。いま 話せるかは、この 端末の 時計で しらべました。",
      "3 じかんまえの いちらん です。いま はなせるかは、この たんまつの とけいで しらべました。"],
  ])("count as one counts: %s", (text, read) => {
    expect(aloud(piecesOf(text))).toBe(read);
  });
});

describe("the switch", () => {
  const readings = { piecesOf };

  afterEach(async () => {
    speak("ja");
    await furigana.want(false);
  });

  test("stays off where the readings can't be had, and says so until it is tried again", async () => {
    furigana.source = () => Promise.reject(new Error("offline"));
    await furigana.want(true);
    expect([furigana.wanted, furigana.failed]).toEqual([false, true]);
    furigana.source = () => Promise.resolve(readings);
    await furigana.want(true);
    expect([furigana.wanted, furigana.failed]).toEqual([true, false]);
  });

  test("shows readings in easy Japanese only; what the page says stays a plain text", async () => {
    speak("ja-x-easy");
    const before = t("start.title");
    expect(furigana.piecesOf(before)).toBeNull();
    await furigana.want(true);
    expect(furigana.shown).toBe(true);
    expect(t("start.title")).toBe(before);
    expect(aloud(furigana.piecesOf(before))).toBe("はなして みませんか");
    speak("ja");
    expect(furigana.shown).toBe(false);
    expect(furigana.piecesOf(before)).toBeNull();
  });

  test("is kept like the language: in the tab, longer only for who asks to be remembered, and goes with the rest", () => {
    const [tab, lasting] = [memory(), memory()];
    const traces = new Traces(tab, lasting);
    expect(traces.furigana).toBe(false);
    traces.furigana = true;
    expect([traces.furigana, lasting.data.size]).toEqual([true, 0]);
    traces.clear();
    expect([traces.furigana, tab.data.size]).toEqual([false, 0]);
  });
});
