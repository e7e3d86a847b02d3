import { MatrixEvent, type Room as SdkRoom } from "matrix-js-sdk/lib/matrix.js";
import { expect, test } from "vitest";
import type { Message } from "../src/matrix/chat";
import { snapshot } from "../src/matrix/snapshot";
import { sizeOf } from "../src/screens/conversation/file";

const ME = "@me:desk.test";
const KEN = "@ken:desk.test";
const ROOM = "!case:desk.test";

function roomWith(events: readonly MatrixEvent[], more: object = {}): SdkRoom {
  const stands = {
    roomId: ROOM,
    oldState: { paginationToken: null },
    getLiveTimeline: () => ({ getEvents: () => events }),
    getMembers: () => [],
    getEventReadUpTo: () => null,
    getMyMembership: () => "join",
    hasEncryptionStateEvent: () => true,
    maySendMessage: () => true,
    currentState: { getStateEvents: () => said("jp.madoguchi.case", { state: "waiting" }) },
    ...more,
  };
  return stands as unknown as SdkRoom;
}

let serial = 0;

function said(type: string, content: object, sender = KEN, unsigned: object = {}): MatrixEvent {
  serial += 1;
  return new MatrixEvent({
    type, event_id: `$${serial}`, room_id: ROOM, sender, origin_server_ts: serial, content, unsigned,
  } as object);
}

function sealed(type: string, content: object, sender = KEN, unsigned: object = {}): MatrixEvent {
  const event = said(type, content, sender, unsigned);
  event.makeEncrypted("m.room.encrypted", { algorithm: "m.megolm.v1.aes-sha2" }, "k", "e");
  return event;
}

const text = (body: string, sender = KEN, more: object = {}): MatrixEvent =>
  sealed("m.room.message", { msgtype: "m.text", body, ...more }, sender);
const correction = (of: MatrixEvent, body: string, sender = KEN): MatrixEvent => text("* " + body, sender, {
  "m.new_content": { msgtype: "m.text", body }, "m.relates_to": { rel_type: "m.replace", event_id: of.getId() },
});
const reaction = (to: MatrixEvent, key: string, sender = KEN): MatrixEvent =>
  sealed("m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id: to.getId(), key } }, sender);
const shown = (...events: MatrixEvent[]): readonly Message[] => snapshot(roomWith(events), ME, null).messages;
/** As the server hands out what has been taken back. */
const takenBack = (mark: object): MatrixEvent =>
  said("m.room.encrypted", {}, KEN, { redacted_because: { type: "m.room.redaction", content: mark } });

test("words that were not encrypted are not shown as said", () => {
  const slipped = said("m.room.message", { msgtype: "m.text", body: "send me your address" });
  const liked = said("m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id: slipped.getId(), key: "👍" } });
  expect(shown(slipped, liked).map(({ kind, body, reactions }) => [kind, body, reactions])).toEqual([["unreadable", "", []]]);
});

test("the room says how its case stands", () => {
  expect(snapshot(roomWith([]), ME, null).caseState).toBe("waiting");
});

test("who speaks or says so has read; who only comes in has not", () => {
  const first = text("眠れない", KEN);
  const second = text("きのうから", KEN);
  const comesIn = said("m.room.member", { membership: "join" }, ME);
  // As the library does it: an event of one's own stands for a receipt, unless those are left out.
  const read = (real: MatrixEvent | null) => ({
    getEventReadUpTo: (_who: string, realOnly = false) => (realOnly ? real?.getId() ?? null : comesIn.getId()),
  });
  expect(snapshot(roomWith([first, second, comesIn], read(null)), ME, null).ownReadUpTo).toBe(-1);
  expect(snapshot(roomWith([first, second, comesIn], read(first)), ME, null).ownReadUpTo).toBe(0);
  const echo = { getEventReadUpTo: () => second.getId() };
  expect(snapshot(roomWith([first, second, comesIn], echo), ME, null).ownReadUpTo).toBe(1);
  expect(snapshot(roomWith([first, text("うん", ME), second], read(first)), ME, null).ownReadUpTo).toBe(1);
});

test("a correction takes the place of the words, the last one of all", () => {
  const first = text("きのう");
  const lines = shown(first, text("うん", ME), correction(first, "きょう"), correction(first, "あした"));
  expect(lines.map(({ body, corrected }) => [body, corrected])).toEqual([["あした", true], ["うん", false]]);
});

test("nobody corrects what somebody else has said", () => {
  const first = text("きのう");
  const lines = shown(first, correction(first, "あした", ME));
  expect(lines.map(({ body, corrected, mine }) => [body, corrected, mine])).toEqual([
    ["きのう", false, false], ["あした", true, true],
  ]);
});

test("a correction of what is not here stands for itself; of what was taken back nothing is shown", () => {
  const gone = text("x");
  expect(shown(correction(gone, "あした")).map(({ body, corrected }) => [body, corrected])).toEqual([["あした", true]]);
  const back = takenBack({});
  const lines = shown(back, correction(back, "あした"), reaction(back, "👍", ME));
  expect(lines.map(({ kind, body, reactions }) => [kind, body, reactions])).toEqual([["removed", "", []]]);
});

test("reactions stand at their message: whose they are, and which is one's own", () => {
  const first = text("眠れた");
  const own = reaction(first, "👍", ME);
  const room = snapshot(roomWith([first, reaction(first, "👍"), reaction(first, "🙏"), own]), ME, null);
  expect(room.messages.map(({ reactions }) => reactions)).toEqual([[
    { key: "👍", by: [KEN, ME], own: own.getId() },
    { key: "🙏", by: [KEN], own: null },
  ]]);
  expect(room.changes).toEqual([own.getId(), own.getId()]);
});

test("what was a reaction or a correction leaves no trace when it is taken back, a message does", () => {
  expect(shown(takenBack({ "jp.madoguchi.quiet": true }))).toEqual([]);
  expect(shown(takenBack({})).map(({ kind }) => kind)).toEqual(["removed"]);
});

test("an answer names what it answers, a voice message how long it is", () => {
  const first = text("だいじょうぶ?");
  const voice = sealed("m.room.message", {
    msgtype: "m.audio", body: "voice", file: { url: "mxc://desk/1" }, info: { duration: 1_500 }, "org.matrix.msc3245.voice": {},
    "m.relates_to": { "m.in_reply_to": { event_id: first.getId() } },
  }, ME);
  expect(shown(first, voice)[1]).toMatchObject({ kind: "voice", answers: first.getId(), voice: { ms: 1_500 }, mine: true });
});

test("a film, a sound and a file tell their name and size, and are nothing without their seal", () => {
  const file = { url: "mxc://desk/1" };
  const film = sealed("m.room.message", { msgtype: "m.video", body: "caption", filename: "a.mp4", file, info: { size: 2_000 } }, KEN);
  // The sign in the name shows "fdp.exe" as "exe.pdf" to whoever reads it.
  const other = sealed("m.room.message", { msgtype: "m.file", body: "../\u202Efdp.exe", file, info: { size: "big" } }, KEN);
  const open = sealed("m.room.message", { msgtype: "m.file", body: "a.pdf", url: "mxc://desk/2" }, KEN);
  // Somebody's voice says that it is one; anything else that sounds is a file.
  const song = sealed("m.room.message", { msgtype: "m.audio", body: "song.mp3", file, info: { size: 3_000 } }, KEN);
  const unknown = sealed("m.room.message", { msgtype: "org.example", body: "?", file }, KEN);
  expect(shown(film, other, open, song, unknown)).toMatchObject([
    { kind: "file", file: { plays: "film", name: "a.mp4", size: 2_000 } },
    { kind: "file", file: { plays: null, name: "..fdp.exe", size: null } },
    { kind: "other", file: null },
    { kind: "file", voice: null, file: { plays: "sound", name: "song.mp3", size: 3_000 } },
    { kind: "other", file: null },
  ]);
  expect([0, 2_000, 20_480, 52_428_800].map(sizeOf)).toEqual(["0.1 KB", "2 KB", "20 KB", "50 MB"]);
});

test("what this device is still waiting for is known by the transaction id of what came", () => {
  const first = text("x");
  const own = reaction(first, "👍", ME);
  own.setTxnId("t1");
  expect(snapshot(roomWith([first, own]), ME, null).changes).toEqual([own.getId(), "t1"]);
});
