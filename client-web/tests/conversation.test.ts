import { beforeEach, describe, expect, test } from "vitest";
import { NotSent } from "../src/matrix/chat";
import type { MessageLine } from "../src/screens/conversation/lines";
import { Conversation, LONGEST } from "../src/screens/conversation/conversation.svelte";
import { FakeChat, KEEPER, KEN, ME, ROOM, roomWith, said, settled } from "./stand-ins";

let chat: FakeChat;
let conversation: Conversation;

beforeEach(() => {
  chat = new FakeChat();
  conversation = new Conversation({ roomId: ROOM, silent: [KEEPER] });
  conversation.attach(chat);
});

const kinds = (): string[] => conversation.lines.map((line) => line.kind);

describe("lines", () => {
  test("a day stands before its first message, once", () => {
    const tomorrow = said("あした", KEN, { at: Date.UTC(2026, 3, 7, 12) });
    chat.shows(roomWith([said("きょう"), said("きょうも"), tomorrow]));
    expect(kinds()).toEqual(["day", "message", "message", "day", "message"]);
  });

  test("one line stands for a row of unreadable messages", () => {
    const unreadable = { kind: "unreadable", body: "" } as const;
    chat.shows(roomWith([said("", ME, unreadable), said("", ME, unreadable), said("読める")]));
    expect(kinds()).toEqual(["day", "message", "message"]);
  });

  test("people come in with a line, the keeper and oneself without", () => {
    const joined = { kind: "joined" } as const;
    chat.shows(roomWith([said("記録係", KEEPER, joined), said("me", ME, joined), said("健", KEN, joined)]));
    expect(conversation.lines.flatMap((line) => (line.kind === "message" ? [line.message.body] : []))).toEqual(["健"]);
  });

  test("what came by an app is one's own for whoever has moved from there, and its ghost comes and goes unseen", () => {
    const ghost = "@line_x:desk";
    const messages = [
      said("LINEの相談者", ghost, { kind: "joined" }), said("眠れない", ghost, { fromApp: true }), said("聞くよ"),
      said("LINEの相談者", ghost, { kind: "left" }),
    ];
    const own = (): [string, boolean][] =>
      conversation.lines.flatMap((line) => (line.kind === "message" ? [[line.message.body, line.own]] : []));
    chat.shows(roomWith(messages));
    expect(own()).toEqual([["LINEの相談者", false], ["眠れない", false], ["聞くよ", false], ["LINEの相談者", false]]);
    conversation = new Conversation({ roomId: ROOM, silent: [KEEPER], moved: true });
    conversation.attach(chat);
    expect(own()).toEqual([["眠れない", true], ["聞くよ", false]]);
  });

  test("what somebody said as another account before they moved is one's own", () => {
    const messages = [said("Mio", "@mio:desk", { kind: "joined" }), said("眠れない", "@mio:desk"), said("聞くよ")];
    conversation = new Conversation({ roomId: ROOM, silent: [KEEPER], moved: true, before: ["@mio:desk"] });
    conversation.attach(chat);
    chat.shows(roomWith(messages));
    const own = conversation.lines.flatMap((line) => (line.kind === "message" ? [[line.message.body, line.own]] : []));
    expect(own).toEqual([["眠れない", true], ["聞くよ", false]]);
  });

  test("a message is read when a person has read up to it, not when the keeper has", () => {
    const messages = [said("one", ME), said("two", ME)];
    const read = (): boolean[] => conversation.lines.flatMap((line) => (line.kind === "message" ? [line.read] : []));
    chat.shows(roomWith(messages, { readUpTo: { [KEEPER]: 1, [KEN]: -1 } }));
    expect(read()).toEqual([false, false]);
    chat.shows(roomWith(messages, { readUpTo: { [KEEPER]: 1, [KEN]: 0 } }));
    expect(read()).toEqual([true, false]);
  });

  test("what was sent shows once, whichever comes first: the answer or the room", async () => {
    chat.shows(roomWith([]));
    conversation.text = "ひとつ";
    conversation.send();
    await settled();
    const txn = chat.sent[0]?.txn ?? "";
    expect(kinds()).toEqual(["day", "draft"]);
    chat.shows(roomWith([said("ひとつ", ME, { txn })]));
    expect(kinds()).toEqual(["day", "message"]);
    expect(conversation.outbox.drafts).toEqual([]);
  });
});

describe("writing", () => {
  test("before the room is there is kept and sent when it is", async () => {
    conversation.text = "待っているあいだ";
    expect(conversation.send()).toBe(true);
    await settled();
    expect(chat.sent).toEqual([]);
    chat.shows(roomWith([], { membership: "invite", encrypted: false }));
    await settled();
    expect(chat.sent).toEqual([]);
    chat.shows(roomWith([]));
    await settled();
    expect(chat.words).toEqual(["待っているあいだ"]);
  });

  test("nothing, or too much, is not sent", () => {
    conversation.text = "  \n ";
    expect(conversation.send()).toBe(false);
    conversation.text = "あ".repeat(LONGEST / 3 + 1);
    expect(conversation.over).toBeGreaterThan(0);
    expect(conversation.send()).toBe(false);
    expect(conversation.text).not.toBe("");
  });

  test("tells the others at most every ten seconds, and takes it back when sent", () => {
    chat.shows(roomWith([]));
    conversation.text = "a";
    conversation.typed(0);
    conversation.typed(5_000);
    conversation.typed(11_000);
    expect(chat.typing).toEqual([true, true]);
    conversation.send();
    expect(chat.typing).toEqual([true, true, false]);
  });
});

describe("reading", () => {
  test("counts only while the person looks", () => {
    const message = said("見て");
    chat.shows(roomWith([message]));
    expect(chat.read).toEqual([]);
    expect(conversation.unread).toBe(1);
    conversation.show(true);
    expect(chat.read).toEqual([message.id]);
    chat.shows(roomWith([message], { ownReadUpTo: 0 }));
    expect(conversation.unread).toBe(0);
    expect(chat.read).toEqual([message.id]);
  });

  test("the clock of waiting starts with the first unanswered message", () => {
    const asked = said("いますか", KEN);
    chat.shows(roomWith([said("はい", ME), asked, said("もしもし", KEN)]));
    expect(conversation.waitingSince).toBe(asked.at);
    chat.shows(roomWith([asked, said("います", ME)]));
    expect(conversation.waitingSince).toBeNull();
  });
});

describe("pictures and second thoughts", () => {
  const PICTURE = { data: "AAAA", width: 4, height: 3, size: 3 };

  test("a picture goes out in its turn, as a picture", async () => {
    const chat = new FakeChat();
    chat.rooms.set(ROOM, roomWith([]));
    const conversation = new Conversation({ roomId: ROOM });
    conversation.text = "見て";
    conversation.send();
    conversation.sendPicture(PICTURE);
    conversation.attach(chat);
    await settled();
    expect(chat.words).toEqual(["見て"]);
    expect(chat.sent.at(-1)?.what).toEqual({ kind: "picture", picture: PICTURE });
  });

  test("somebody else's picture counts as unread, and is opened when asked for", async () => {
    const chat = new FakeChat();
    chat.rooms.set(ROOM, roomWith([said("", KEN, { kind: "picture", picture: { width: 4, height: 3 } })]));
    const conversation = new Conversation({ roomId: ROOM });
    await expect(conversation.openFile("$1")).rejects.toThrow();
    conversation.attach(chat);
    expect(conversation.unread).toBe(1);
    expect((await conversation.openFile("$1")).size).toBe(7);
  });

  test("taking back says whether it worked", async () => {
    const chat = new FakeChat();
    chat.rooms.set(ROOM, roomWith([]));
    const conversation = new Conversation({ roomId: ROOM });
    expect(await conversation.takeBack("$1")).toBe(false);
    conversation.attach(chat);
    expect(await conversation.takeBack("$1")).toBe(true);
    chat.takeBack = async () => Promise.reject(new Error("offline"));
    expect(await conversation.takeBack("$2")).toBe(false);
    expect(chat.takenBack).toEqual(["$1"]);
  });
});

describe("answers, corrections and reactions", () => {
  const first = said("眠れない");
  const own = said("うん", ME);
  const lineOf = (id: string) => conversation.lines.find((line) => line.kind === "message" && line.key === id) as MessageLine;

  beforeEach(() => chat.shows(roomWith([first, own])));

  test("an answer goes out with what it answers, once, and shows it", async () => {
    conversation.answer(first);
    conversation.text = "そうなんだ";
    conversation.send();
    conversation.text = "うん";
    conversation.send();
    await settled();
    expect(chat.sent.map(({ what }) => what)).toEqual([
      { kind: "text", body: "そうなんだ", answers: first.id }, { kind: "text", body: "うん" },
    ]);
    const draft = conversation.lines.find((line) => line.kind === "draft");
    expect(draft?.kind === "draft" ? draft.quote : null).toEqual({ id: first.id, message: first, name: "健" });
    const answer = said("そうなんだ", ME, { answers: first.id });
    const lost = said("?", ME, { answers: "$gone" });
    chat.shows(roomWith([first, own, answer, lost]));
    expect(lineOf(answer.id).quote?.message?.body).toBe("眠れない");
    expect(lineOf(lost.id).quote).toEqual({ id: "$gone", message: null, name: "" });
  });

  test("a correction shows at once, and brings back what was being written before", async () => {
    chat.sending = () => new Promise(() => undefined);
    conversation.text = "書きかけ";
    conversation.correct(own);
    expect(conversation.text).toBe("うん");
    conversation.text = "ううん";
    expect(conversation.send()).toBe(true);
    expect([conversation.text, conversation.aside]).toEqual(["書きかけ", null]);
    await settled();
    expect(lineOf(own.id).message).toMatchObject({ body: "ううん", corrected: true });
    expect(lineOf(own.id).pending.map(({ state }) => state)).toEqual(["sending"]);
    expect(kinds()).toEqual(["day", "message", "message"]);
  });

  test("a correction that changes nothing is not sent, and can be left", async () => {
    conversation.correct(own);
    conversation.send();
    conversation.correct(own);
    conversation.text = "ううん";
    conversation.leaveAside();
    await settled();
    expect([chat.sent, conversation.text, conversation.aside]).toEqual([[], "", null]);
  });

  test("a refused correction leaves the message as it was, and can be tried again", async () => {
    chat.sending = () => Promise.reject(new NotSent(true));
    conversation.correct(own);
    conversation.text = "ううん";
    conversation.send();
    await settled();
    const [draft] = lineOf(own.id).pending;
    expect([lineOf(own.id).message.body, draft?.state]).toEqual(["うん", "refused"]);
    chat.sending = async () => "$c";
    conversation.outbox.retry(draft?.txn ?? "");
    await settled();
    expect(lineOf(own.id).message.body).toBe("ううん");
    chat.shows(roomWith([first, { ...own, body: "ううん", corrected: true }], { changes: ["$c"] }));
    expect(conversation.outbox.drafts).toEqual([]);
  });

  test("a message that is taken back is no longer being corrected", async () => {
    conversation.correct(own);
    await conversation.takeBack(own.id);
    expect(conversation.aside).toBeNull();
  });

  test("a reaction shows at once, and a second tap takes it back", async () => {
    chat.sending = () => new Promise(() => undefined);
    conversation.react(first, "🙏");
    await settled();
    expect(lineOf(first.id).message.reactions).toEqual([{ key: "🙏", by: [ME], own: "" }]);
    // On its way: not to be doubled by impatience.
    conversation.react(first, "🙏");
    expect(conversation.outbox.drafts).toHaveLength(1);
    const arrived = { ...first, reactions: [{ key: "🙏", by: [KEN, ME], own: "$r" }] } as const;
    chat.shows(roomWith([arrived, own], { changes: [conversation.outbox.drafts[0]?.txn ?? ""] }));
    expect(conversation.outbox.drafts).toEqual([]);
    conversation.react(first, "🙏");
    expect(conversation.outbox.drafts[0]?.what).toEqual({ kind: "withdrawal", about: first.id, key: "🙏", id: "$r" });
    expect(lineOf(first.id).message.reactions).toEqual([{ key: "🙏", by: [KEN], own: null }]);
  });

  test("without a connection a reaction waits like a message, or is thought better of", async () => {
    chat.shows(roomWith([first], { encrypted: false }));
    conversation.react(first, "👍");
    conversation.react(first, "❤️");
    conversation.react(first, "👍");
    expect(conversation.outbox.drafts.map(({ what }) => what)).toEqual([{ kind: "reaction", about: first.id, key: "❤️" }]);
    chat.shows(roomWith([first]));
    await settled();
    expect(chat.sent).toHaveLength(1);
  });

  test("a voice message answers, too, and counts as unread on the other side", async () => {
    const voice = { data: "AAAA", type: "audio/webm", size: 3, ms: 900, levels: [] };
    conversation.answer(first);
    conversation.sendVoice(voice);
    await settled();
    expect(chat.sent[0]?.what).toEqual({ kind: "voice", voice, answers: first.id });
    expect(conversation.aside).toBeNull();
    chat.shows(roomWith([said("", KEN, { kind: "voice", voice: { ms: 900, levels: [] } })]));
    expect(conversation.unread).toBe(1);
  });

  test("what was taken back waits for no answer", () => {
    chat.shows(roomWith([said("", KEN, { kind: "removed" })]));
    expect(conversation.waitingSince).toBeNull();
  });
});

test("what a colleague says is an answer; only the person's own words wait", () => {
  const chat = new FakeChat();
  const [asked, answered, again] = [said("眠れない"), said("聞いています", "@sato:desk"), said("うん")];
  const conversation = new Conversation({ roomId: ROOM, person: KEN });
  chat.rooms.set(ROOM, roomWith([asked]));
  conversation.attach(chat);
  expect(conversation.waitingSince).toBe(asked.at);
  chat.shows(roomWith([asked, answered]));
  expect(conversation.waitingSince).toBeNull();
  chat.shows(roomWith([asked, answered, again]));
  expect(conversation.waitingSince).toBe(again.at);

  // Who has moved waits on under another account, and what they said before is theirs still.
  const moved = said("ここでもいい?", "@person_anew:desk");
  conversation.goesOnWith("@person_anew:desk");
  chat.shows(roomWith([asked, answered, moved]));
  expect(conversation.waitingSince).toBe(moved.at);
  chat.shows(roomWith([answered, again, moved]));
  expect(conversation.waitingSince).toBe(again.at);
});
