import { beforeEach, describe, expect, test } from "vitest";
import type { DeskFacts, Reply } from "../src/desk/api";
import { Conversation } from "../src/screens/conversation/conversation.svelte";
import { filled, hoursText, unknownBlanks } from "../src/screens/counsellor/blanks";
import { OwnReplies } from "../src/screens/counsellor/ownreplies.svelte";
import { type Offer, Picker } from "../src/screens/counsellor/picker.svelte";
import { keyOfPassword } from "../src/screens/sealed";
import { FakeChat, FACTS, ROOM, roomWith, settled } from "./stand-ins";

const HELLO: Offer = { id: "hello", language: "ja", title: "はじめのあいさつ", text: "こんにちは、{name}です。", own: false };
const WAIT: Offer = { id: "wait", language: "ja", title: "少し待ってもらう", text: "待ってください。", own: false };
const ENGLISH: Offer = { id: "hello_en", language: "en", title: "Hello", text: "Hello, this is {name}.", own: false };
const OWN: Offer = { id: "own", language: "ja", title: "アイサツ", text: "/を打ちます", own: true };

describe("choosing a reply", () => {
  let chat: FakeChat;
  let conversation: Conversation;
  let picker: Picker;

  beforeEach(() => {
    chat = new FakeChat();
    chat.rooms.set(ROOM, roomWith([]));
    conversation = new Conversation({ roomId: ROOM });
    conversation.attach(chat);
    picker = new Picker(conversation, () => [ENGLISH, HELLO, WAIT, OWN], ({ text }) => text.replace("{name}", "健"), () => "ja");
  });

  const ids = (): string[] => picker.offers.map(({ id }) => id);

  test.each(["/", "／", "・"])("%s at the start of an empty line offers all, those in the person's language first", (stroke) => {
    conversation.text = stroke;
    expect(picker.open).toBe(true);
    expect(ids()).toEqual(["hello", "wait", "own", "hello_en"]);
  });

  test("nothing is offered in the middle of words", () => {
    for (const text of ["", "and/or", " /", "/a\n"]) {
      conversation.text = text;
      expect([text, picker.open]).toEqual([text, false]);
      expect(picker.press("Enter")).toBe(false);
    }
  });

  test("what follows the stroke is looked for, in any kana: title before text", () => {
    conversation.text = "/あいさつ";
    expect(ids()).toEqual(["own", "hello"]);
    conversation.text = "/待って";
    expect(ids()).toEqual(["wait"]);
    conversation.text = "/ＨＥＬＬＯ";
    expect(ids()).toEqual(["hello_en"]);
  });

  test("Enter puts it in and sends nothing; the next one sends", async () => {
    conversation.text = "/はじめ";
    expect(picker.press("Enter")).toBe(true);
    expect(conversation.text).toBe("こんにちは、健です。");
    expect(picker.open).toBe(false);
    await settled();
    expect(chat.sent).toEqual([]);
    expect(picker.press("Enter")).toBe(false);
    conversation.send();
    await settled();
    expect(chat.words).toEqual(["こんにちは、健です。"]);
  });

  test("arrows go round, and Tab takes too", () => {
    conversation.text = "/";
    picker.press("ArrowUp");
    expect(picker.chosen?.id).toBe("hello_en");
    picker.press("ArrowDown");
    picker.press("ArrowDown");
    expect(picker.chosen?.id).toBe("wait");
    // Fewer fit now.
    conversation.text = "/あいさつ";
    expect(picker.chosen?.id).toBe("hello");
    expect(picker.press("Tab")).toBe(true);
    expect(conversation.text).toBe("こんにちは、健です。");
  });

  test("Esc leaves what was typed, and the menu stays away until it is begun anew", () => {
    conversation.text = "/he";
    expect(picker.press("Escape")).toBe(true);
    expect([picker.open, conversation.text]).toEqual([false, "/he"]);
    conversation.text = "/hel";
    expect(picker.open).toBe(false);
    conversation.text = "/";
    expect(picker.open).toBe(true);
  });

  test("a line that only looks like it is written and sent as any other", () => {
    conversation.text = "・明日の予定";
    expect([picker.open, picker.press("Enter")]).toEqual([false, false]);
    conversation.text = "/nothing like it";
    expect([picker.open, picker.press("Enter")]).toEqual([true, false]);
  });

  test("a reply that begins with a stroke does not open the menu again", () => {
    conversation.text = "/アイサツ";
    picker.press("Enter");
    expect([conversation.text, picker.open]).toEqual(["/を打ちます", false]);
  });

  test("the button puts it where the caret is, and looks in a field of its own", () => {
    conversation.text = "はい。それでは";
    picker.ask(3, 3);
    picker.asked = "待って";
    expect(picker.press("Tab")).toBe(false);
    expect(ids()).toEqual(["wait"]);
    expect(picker.take(WAIT)).toBe(3 + WAIT.text.length);
    expect(conversation.text).toBe("はい。待ってください。それでは");
    picker.ask(0, 0);
    picker.ask(0, 0);
    expect(picker.open).toBe(false);
    picker.ask(0, 0);
    picker.asked = "nothing like it";
    expect(picker.press("Enter")).toBe(true);
    expect(picker.press("Escape")).toBe(true);
    expect(conversation.text).toBe("はい。待ってください。それでは");
  });
});

describe("blanks", () => {
  const always = { weekly: [{ from: "00:00", to: "24:00" }] };
  const facts: DeskFacts = {
    ...FACTS, name: "みなと", hours: { weekly: [{ days: ["mon", "tue", "wed", "thu", "fri"], from: "16:00", to: "26:00" }] },
    guidance: [
      { id: "a", name: "こども", name_easy: "こども(やさしい)", name_en: "Children", phone: "110", hours_text: "", open_now: false,
        checked_on: null, hours: always },
      { id: "b", name: "閉", name_easy: "", phone: "111", hours_text: "", open_now: false, checked_on: null,
        hours: { weekly: [] } },
      { id: "c", name: "不明", name_easy: "", phone: "112", hours_text: "", open_now: null, checked_on: null },
    ],
  };
  const fill = (text: string, language: Reply["language"] = "ja"): string => filled(text, language, "健", facts, 0);

  test("are filled in the reply's language with what is so now", () => {
    expect(fill("{desk}の{name}です。{hours}\n{lines}")).toBe("みなとの健です。月〜金 16:00〜26:00\nこども 110");
    expect(fill("{lines}", "ja-x-easy")).toBe("こども(やさしい) 110");
    expect(fill("{hours}. {lines}", "en")).toBe("Mon–Fri 16:00–02:00 (next day). Children 110");
  });

  test("that nothing fills stay to be seen", () => {
    expect(fill("{neme} {}")).toBe("{neme} {}");
    expect(filled("{desk}", "ja", "健", null, 0)).toBe("{desk}");
    expect(unknownBlanks("{neme} {name} {neme} {x}")).toEqual(["neme", "x"]);
  });

  test.each([
    [[{ from: "00:00", to: "24:00" }], "毎日24時間", "Every day, 24 hours"],
    [[{ days: ["sat", "sun"], from: "10:00", to: "12:00" }], "土・日 10:00〜12:00", "Sat, Sun 10:00–12:00"],
    [[{ days: ["mon", "wed", "thu", "fri"], from: "09:00", to: "24:00" }, { days: ["sat"], from: "09:00", to: "12:00" }],
      "月・水〜金 09:00〜24:00、土 09:00〜12:00", "Mon, Wed–Fri 09:00–00:00; Sat 09:00–12:00"],
    [[], "", ""],
  ] as const)("hours in words: %j", (weekly, japanese, english) => {
    const hours = { weekly: weekly.map((each) => ({ ...each })) } as unknown as DeskFacts["hours"];
    expect(hoursText(hours, "ja")).toBe(japanese);
    expect(hoursText(hours, "en")).toBe(english);
  });
});

describe("one's own replies", () => {
  let box: string | null;
  let adopted: string[];
  let own: OwnReplies;
  const at = (save = async (sealed: string): Promise<void> => void (box = sealed)): OwnReplies =>
    new OwnReplies({ load: () => box, save, keyOf, adopt: (key) => void adopted.push(key) });
  const keyOf = async (password: string): Promise<string> => btoa(password.padEnd(32).slice(0, 32));
  const reply: Reply = { id: "r1", language: "ja", title: "題", text: "わたしの文" };

  beforeEach(() => {
    box = null;
    adopted = [];
    own = at();
  });

  test("are kept sealed, and opened wherever one signs in with the password", async () => {
    await own.use(await keyOf("first"));
    expect([own.state, own.list]).toEqual(["open", []]);
    await own.save([reply]);
    expect(atob(box ?? "")).not.toContain('"r1"');
    await own.use(null);
    expect([own.state, own.list]).toEqual(["shut", []]);
    await own.use(await keyOf("first"));
    expect([own.state, own.list]).toEqual(["open", [reply]]);
  });

  test("of an earlier password open with that one, and are sealed anew", async () => {
    await own.use(await keyOf("first"));
    await own.save([reply]);
    await own.use(await keyOf("second"));
    expect([own.state, own.list]).toEqual(["shut", []]);
    expect(await own.unlock("third")).toBe(false);
    expect(await own.unlock("first")).toBe(true);
    expect([own.state, own.list, adopted]).toEqual(["open", [reply], []]);
    await own.use(await keyOf("second"));
    expect(own.list).toEqual([reply]);
  });

  test("are opened by the password in a session that was begun without their key", async () => {
    await own.use(null);
    expect(own.state).toBe("later");
    await expect(own.save([reply])).rejects.toThrow();
    await own.use(await keyOf("first"));
    await own.save([reply]);
    await own.use(null);
    expect(await own.unlock("first")).toBe(true);
    expect([own.state, own.list, adopted]).toEqual(["open", [reply], [await keyOf("first")]]);
  });

  test("that nobody can open are given up for good", async () => {
    await own.use(await keyOf("first"));
    await own.save([reply]);
    await own.use(await keyOf("second"));
    await own.beginAnew();
    expect([own.state, own.list]).toEqual(["open", []]);
    await own.use(await keyOf("first"));
    expect(own.state).toBe("shut");
  });

  test("stay as they were when they could not be kept", async () => {
    await own.use(await keyOf("first"));
    await own.save([reply]);
    const failing = at(() => Promise.reject(new Error("offline")));
    await failing.use(await keyOf("first"));
    await expect(failing.save([])).rejects.toThrow("offline");
    expect(failing.list).toEqual([reply]);
  });

  test("written at another workplace are there at the next look", async () => {
    await own.use(await keyOf("first"));
    const elsewhere = at();
    await elsewhere.use(await keyOf("first"));
    await elsewhere.save([reply]);
    expect(own.list).toEqual([]);
    await own.look();
    expect(own.list).toEqual([reply]);
  });

  test("have a key of the password, the account and the use", async () => {
    const made = [["a", "@ken:desk", "x"], ["b", "@ken:desk", "x"], ["a", "@sato:desk", "x"], ["a", "@ken:desk", "y"],
      ["a", "@ken:desk", "x"]] as const;
    const keys = await Promise.all(made.map(([password, who, use]) => keyOfPassword(password, who, use, 1_000)));
    expect(new Set(keys).size).toBe(4);
    expect(keys[0]).toBe(keys[4]);
    expect(atob(keys[0] ?? "")).toHaveLength(32);
  });
});
