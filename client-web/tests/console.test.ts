import { beforeEach, describe, expect, test, vi } from "vitest";
import type { OwnCase, Queue } from "../src/desk/api";
import { Conversation } from "../src/screens/conversation/conversation.svelte";
import * as phrase from "../src/screens/youth/phrase";
import { unseal } from "../src/screens/sealed";
import { Console, endOf, type ConsoleSurroundings, type KeptStaff, type Seat } from "../src/screens/counsellor/console.svelte";
import { FACTS, fakeDesk, FakeChat, KEEPER, memory, once, QUEUE, ROOM, roomWith, said, SESSION, settled } from "./stand-ins";

const ME_HERE = { user_id: "@ken:desk", name: "健", role: "counsellor", capacity: 5, away: false, debrief: false };
const OWN: OwnCase = {
  case_id: "c1", room_id: ROOM, user_id: "@person:desk", channel: "web", mode: "open", state: "talking", accepted_at: 0, ghost: false,
  handing_over: false, risk: "none", helping: false, side_room_id: null, team: null, move: null, came_by: null,
  language: null, answers: null, previous: false,
};
const SIDE = "!side:desk";

let kept: KeptStaff | null;
let chat: FakeChat;
let around: ConsoleSurroundings;
let shelf: ReturnType<typeof memory>;
let shown: string[];
let chimes: number;
let watched: boolean;
let clock: number;

beforeEach(() => {
  kept = null;
  shelf = memory();
  [shown, chimes, watched, clock] = [[], 0, false, 0];
  chat = new FakeChat();
  around = {
    desk: fakeDesk({ "GET /me": { body: ME_HERE }, "GET /desk": { body: FACTS }, "GET /queue": once(QUEUE) }),
    load: () => kept,
    save: (value) => (kept = value),
    local: {
      load: (name) => shelf.getItem(name),
      save: (name, text) => (text === null ? shelf.removeItem(name) : shelf.setItem(name, text)),
    },
    notices: {
      permission: () => "granted", ask: async () => "granted", watched: () => watched,
      show: (news) => void shown.push(news), chime: () => void (chimes += 1), clock: () => clock,
    },
    openChat: async () => chat,
    signIn: vi.fn(async () => SESSION),
    signOut: vi.fn(async () => undefined),
    removeStores: async () => undefined,
    keyOfPassword: async (password, userId) => btoa((password + userId).padEnd(32).slice(0, 32)),
    phrase: async () => phrase,
    language: () => "ja",
    hold: async () => true,
    pause: () => new Promise(() => undefined),
  };
});

async function signedIn(answers: Parameters<typeof fakeDesk>[0] = {}): Promise<Console> {
  around.desk = fakeDesk({
    "GET /me": { body: ME_HERE }, "GET /desk": { body: FACTS }, "GET /queue": once(QUEUE), ...answers,
  });
  const desk = new Console(around);
  await desk.arrive();
  await desk.signIn("ken", "password");
  await settled();
  return desk;
}

describe("signing in", () => {
  test("signs the device, then takes invitations of the keeper alone", async () => {
    chat.identity = "none";
    const desk = await signedIn();
    expect(desk.stage).toBe("ready");
    expect(chat.renewals).toEqual(["password"]);
    expect(chat.host).toBe(KEEPER);
    expect(kept?.fingerprint).toBe("key one");
  });

  test("turns away who is not of the staff, and ends that session", async () => {
    const desk = await signedIn({ "GET /me": { status: 403, body: { errcode: "M_FORBIDDEN" } } });
    expect(desk.stage).toBe("signed_out");
    expect(desk.trouble).toBe("signin.notStaff");
    expect(around.signOut).toHaveBeenCalled();
    expect(kept).toBeNull();
  });

  test("goes on after a reload with the same keys", async () => {
    kept = { session: SESSION, fingerprint: "key one" };
    const desk = new Console(around);
    await desk.arrive();
    expect(desk.stage).toBe("ready");
    expect(around.signIn).not.toHaveBeenCalled();
  });

  test("a device whose keys are gone is given up", async () => {
    kept = { session: SESSION, fingerprint: "key of yesterday" };
    const desk = new Console(around);
    await desk.arrive();
    expect(desk.trouble).toBe("keys.replaced");
    expect(chat.forgotten).toBe(true);
    expect(kept).toBeNull();
  });
});

describe("the queue", () => {
  test("accepting opens the conversation and fetches its history once it is joined", async () => {
    const desk = await signedIn({
      "GET /queue": once(QUEUE, { ...QUEUE, pos: 2, mine: [OWN] }),
      "POST /cases/c1/accept": { body: { case_id: "c1", room_id: ROOM } },
    });
    await desk.accept("c1");
    await settled();
    expect(desk.columns).toEqual([ROOM]);
    expect(chat.loads).toEqual([]);
    chat.shows(roomWith([]));
    chat.shows(roomWith([]));
    expect(chat.loads).toEqual([ROOM]);
  });

  test.each([
    [{ errcode: "JP_MADOGUCHI_ALREADY_TAKEN", by: { user_id: "@sato:desk", name: "佐藤" } }, "queue.taken", "佐藤"],
    [{ errcode: "JP_MADOGUCHI_FULL", capacity: 5 }, "queue.full", 5],
    [{ errcode: "M_CONFLICT" }, "queue.gone", undefined],
  ])("a refusal says why: %o", async (body, key, value) => {
    const desk = await signedIn({ "POST /cases/c1/accept": { status: 409, body } });
    void desk.accept("c1");
    await settled();
    expect(desk.notice?.key).toBe(key);
    expect(Object.values(desk.notice?.parameters ?? {})[0]).toBe(value);
  });

  test("a case that ended stays open to read until its column is closed", async () => {
    const desk = await signedIn({
      "GET /queue": once({ ...QUEUE, mine: [OWN] }, { ...QUEUE, pos: 3 }),
      "POST /cases/c1/close": { body: {} },
    });
    await settled();
    desk.open(ROOM);
    await desk.close("c1");
    expect(desk.seats[0]?.ended).toBe(true);
    desk.put(ROOM);
    expect(desk.seats).toEqual([]);
  });

  test("who is taken out of the room after a handover asks at once what is left", async () => {
    const desk = await signedIn({ "GET /queue": once({ ...QUEUE, mine: [OWN] }, { ...QUEUE, pos: 2 }) });
    desk.open(ROOM);
    chat.shows(roomWith([]));
    chat.shows(roomWith([], { membership: "leave" }));
    await settled();
    expect(desk.seats[0]?.ended).toBe(true);
  });

  test("at most three columns stand side by side", async () => {
    const rooms = ["!a:d", "!b:d", "!c:d", "!d:d"];
    const desk = await signedIn({
      "GET /queue": once({ ...QUEUE, mine: rooms.map((room_id) => ({ ...OWN, case_id: room_id, room_id })) }),
    });
    for (const room of rooms) desk.open(room, true);
    expect(desk.columns).toEqual(rooms.slice(1));
    desk.open("!a:d");
    expect(desk.columns).toEqual(["!b:d", "!c:d", "!a:d"]);
  });
});

describe("notices", () => {
  const waiting = (case_id: string): Queue["waiting"][number] => ({
    case_id, channel: "web", mode: "open", waiting_since: 0, place: 1, repeat: false, locked: true, risk: "none",
    team: null, answers: null,
  });
  const queues = (...given: Partial<Queue>[]): Parameters<typeof fakeDesk>[0] => ({
    "GET /queue": once(...given.map((each, index) => ({ ...QUEUE, pos: index + 1, ...each }))),
    "POST /cases/c1/close": { body: {} }, "POST /cases/c1/accept": { body: { case_id: "c1", room_id: ROOM } },
  });

  test("are off until chosen, and the choice stays in this browser, over sign-outs too", async () => {
    const desk = await signedIn(queues({}, { waiting: [waiting("c2")] }));
    await desk.close("c1");
    expect([shown, chimes]).toEqual([[], 0]);
    await desk.notices.setNotify(true);
    desk.notices.setSound(true);
    await desk.signOut();
    const later = new Console(around);
    expect([later.notices.notify, later.notices.sound]).toEqual([true, true]);
  });

  test("tell of who waits anew, or was handed over, and not of what was there or was asked for", async () => {
    const own = { ...OWN, case_id: "c3", room_id: "!c3:desk" };
    const desk = await signedIn(queues(
      { waiting: [waiting("c1")] }, { waiting: [waiting("c1"), waiting("c2")] }, { waiting: [waiting("c2")], mine: [OWN] },
      { mine: [OWN, own] }, { waiting: [waiting("c1")], mine: [own] },
    ));
    await desk.notices.setNotify(true);
    await desk.close("c1");
    expect(shown).toEqual(["case"]);
    await desk.accept("c1");
    expect(shown).toEqual(["case"]);
    await desk.close("c1");
    expect(shown).toEqual(["case", "case"]);
    // Given back by oneself.
    await desk.close("c1");
    expect(shown).toEqual(["case", "case"]);
  });

  test("tell of no case on a break", async () => {
    const desk = await signedIn({ "GET /me": { body: { ...ME_HERE, away: true } }, ...queues({}, { waiting: [waiting("c2")] }) });
    await desk.notices.setNotify(true);
    await desk.close("c1");
    expect(shown).toEqual([]);
  });

  test("tell of a reply that nobody looks at, once, and not of the history", async () => {
    const desk = await signedIn(queues({ mine: [OWN] }));
    await desk.notices.setNotify(true);
    desk.notices.setSound(true);
    const before = chimes;
    const [asked, answered] = [said("前から", OWN.user_id), said("はい", "@ken:desk")];
    chat.shows(roomWith([asked]));
    await settled();
    chat.shows(roomWith([asked, answered]));
    expect([shown, chimes - before]).toEqual([[], 0]);
    const news = said("新しく", OWN.user_id);
    chat.shows(roomWith([asked, answered, news]));
    chat.shows(roomWith([asked, answered, news], { typing: [OWN.user_id] }));
    expect([shown, chimes - before]).toEqual([["reply"], 1]);
    // Taken back: what stood before it is no news.
    chat.shows(roomWith([asked, answered, { ...news, kind: "removed" }]));
    expect(shown).toEqual(["reply"]);

    // Before somebody's eyes in an open column: nothing. In another column's place: the sound, and not too often.
    watched = true;
    desk.open(ROOM);
    chat.shows(roomWith([asked, answered, news, said("見ている", OWN.user_id)]));
    expect([shown, chimes - before]).toEqual([["reply"], 1]);
    desk.put(ROOM);
    clock += 1_000;
    chat.shows(roomWith([asked, said("一つ", OWN.user_id)]));
    expect(chimes - before).toBe(1);
    clock += 5_000;
    chat.shows(roomWith([asked, said("二つ", OWN.user_id)]));
    expect([shown, chimes - before]).toEqual([["reply"], 2]);
  });

  test("that the browser refuses are not promised", async () => {
    around.notices.permission = () => "default";
    around.notices.ask = async () => "denied";
    const desk = new Console(around);
    await desk.notices.setNotify(true);
    expect([desk.notices.notify, desk.notices.permission]).toEqual([false, "denied"]);
    shelf.setItem("notices", JSON.stringify({ notify: true, sound: "yes" }));
    expect([new Console(around).notices.notify, new Console(around).notices.sound]).toEqual([false, false]);
    shelf.setItem("notices", "broken");
    expect(new Console(around).notices.sound).toBe(false);
  });
});

describe("the desk's risk words", () => {
  const WORD = { level: "high", language: "ja", text: "消えたい" } as const;
  const answers = (): Parameters<typeof fakeDesk>[0] => ({
    "GET /queue": once({ ...QUEUE, mine: [OWN] }), "GET /risk_words": { body: { revision: "1", words: [WORD] } },
    "GET /replies": { body: { replies: [] } },
  });
  const wordsIn = (desk: Console): string[] =>
    desk.seats.flatMap((seat) => desk.hintsFor(seat).map(({ word }) => word.text));

  test("suggest, until put aside; a reload remembers that, a sign-out does not", async () => {
    const desk = await signedIn(answers());
    chat.shows(roomWith([said("もう消えたい", OWN.user_id)]));
    expect(wordsIn(desk)).toEqual(["消えたい"]);
    desk.putAside("c1", WORD);
    expect(wordsIn(desk)).toEqual([]);
    await vi.waitFor(() => expect(shelf.getItem("hints")).not.toBeNull());
    // With its quotes: two letters alone may stand in what is sealed by chance.
    expect([...shelf.data.values()].join()).not.toContain('"c1"');

    around.desk = fakeDesk({ "GET /me": { body: ME_HERE }, "GET /desk": { body: FACTS }, ...answers() });
    const reloaded = new Console(around);
    await reloaded.arrive();
    await settled();
    expect(reloaded.seats).toHaveLength(1);
    expect(wordsIn(reloaded)).toEqual([]);
    await reloaded.signOut();
    await settled();
    expect(shelf.getItem("hints")).toBeNull();
  });

  test("suggest nothing for a case that was given to a colleague", async () => {
    const desk = await signedIn({ ...answers(), "GET /queue": once({ ...QUEUE, mine: [{ ...OWN, handing_over: true }] }) });
    chat.shows(roomWith([said("もう消えたい", OWN.user_id)]));
    expect(wordsIn(desk)).toEqual([]);
  });
});

describe("a warm handover", () => {
  const NIGHT = { id: "night", name: "夜間", size: 2, present: 1 };
  const room = (): Parameters<typeof fakeDesk>[0] => ({
    "GET /queue": once({ ...QUEUE, mine: [OWN] }, { ...QUEUE, pos: 2, mine: [{ ...OWN, handing_over: true, team: "夜間" }] }),
    "POST /cases/c1/side_room": { body: { case_id: "c1", room_id: SIDE } },
  });

  test("says what the next one has to know in the staff's room, once the keeper has opened it", async () => {
    const desk = await signedIn(room());
    const telling = desk.tellStaff("c1", "夜になるとつらい人です", "txn1");
    await settled();
    expect(chat.sent).toEqual([]);
    chat.shows(roomWith([], { id: SIDE, membership: "invite", encrypted: false }));
    await settled();
    expect(chat.sent).toEqual([]);
    chat.shows(roomWith([], { id: SIDE }));
    await telling;
    expect(chat.sent).toEqual([{ what: { kind: "text", body: "夜になるとつらい人です" }, txn: "txn1" }]);
  });

  test("does not take for told what was not sent", async () => {
    const desk = await signedIn(room());
    chat.shows(roomWith([], { id: SIDE }));
    chat.sending = async () => Promise.reject(new Error("offline"));
    await expect(desk.tellStaff("c1", "申し送り", "txn1")).rejects.toThrow();
  });

  test("to a team says nothing of the matter to the desk, and is known by the team's name", async () => {
    const bodies: unknown[] = [];
    const desk = await signedIn({
      ...room(), "POST /cases/c1/hand_over": (body) => ({ body: bodies.push(body) }),
    });
    desk.open(ROOM);
    await desk.handOver("c1", NIGHT, "勤務時間の終わり");
    expect(bodies).toEqual([{ team: "night", reason: "勤務時間の終わり" }]);
    const [seat] = desk.seats;
    expect(seat && endOf({ ...seat, ended: true })).toEqual({ key: "case.passed.team", parameters: { name: "夜間" } });
  });
});

describe("the staff's own room", () => {
  const beside = { ...OWN, side_room_id: SIDE };
  const told = (): ReturnType<typeof roomWith> => roomWith([said("夜になるとつらい人です", "@sato:desk")], { id: SIDE });

  test("is entered on asking, and comes to the seat as a conversation of its own", async () => {
    const desk = await signedIn({
      "GET /queue": once({ ...QUEUE, mine: [OWN] }, { ...QUEUE, pos: 2, mine: [beside] }),
      "POST /cases/c1/side_room": { body: { case_id: "c1", room_id: SIDE } },
    });
    expect(desk.seats[0]?.side).toBeNull();
    await desk.enterSide("c1");
    const side = desk.seats[0]?.side;
    expect(side?.roomId).toBe(SIDE);
    chat.shows(told());
    chat.shows(told());
    expect(chat.loads).toEqual([SIDE]);
    expect([side?.unread, desk.seats[0]?.conversation.unread, desk.unread]).toEqual([1, 0, 1]);
  });

  test("what is written in it goes there and nowhere else", async () => {
    const desk = await signedIn({ "GET /queue": once({ ...QUEUE, mine: [beside] }) });
    chat.shows(roomWith([]));
    chat.shows(told());
    const [seat] = desk.seats;
    if (!seat?.side) throw new Error("no side room");
    const sentTo: string[] = [];
    chat.send = async (roomId) => {
      sentTo.push(roomId);
      return "$x";
    };
    seat.side.text = "どうしましょうか";
    seat.side.send();
    await settled();
    expect(sentTo).toEqual([SIDE]);
    expect(seat.conversation.drafts).toEqual([]);
  });

  test("whoever advises sees that room and no other, until its column is closed", async () => {
    const desk = await signedIn({ "POST /cases/c9/side_room": { body: { case_id: "c9", room_id: SIDE } } });
    await desk.advise("c9");
    await desk.advise("c9");
    expect(desk.advice.map(({ caseId }) => caseId)).toEqual(["c9"]);
    expect([desk.columns, desk.active, desk.seats]).toEqual([[SIDE], SIDE, []]);
    chat.shows(told());
    expect(chat.loads).toEqual([SIDE]);
    desk.put(SIDE);
    expect(desk.advice).toEqual([]);
  });
});

describe("the end of a shift", () => {
  const answers = (): Parameters<typeof fakeDesk>[0] => ({
    "GET /queue": once({ ...QUEUE, mine: [
      OWN, { ...OWN, case_id: "c2", room_id: "!two:desk", handing_over: true },
      { ...OWN, case_id: "c3", room_id: "!three:desk", state: "resting" },
    ] }),
    "POST /cases/c1/give_back": { body: {} },
  });

  test("gives every case back that nobody else has taken and that does not rest, then signs out", async () => {
    const desk = await signedIn(answers());
    const asked = vi.spyOn(around.desk, "giveBack");
    await desk.endShift();
    expect(asked.mock.calls).toEqual([["c1"]]);
    expect(around.signOut).toHaveBeenCalledOnce();
    expect(kept).toBeNull();
  });

  test("stays signed in when a case could not be given back", async () => {
    const desk = await signedIn({ ...answers(), "POST /cases/c1/give_back": { status: 500, body: {} } });
    await expect(desk.endShift()).rejects.toThrow();
    expect(around.signOut).not.toHaveBeenCalled();
    expect(desk.stage).toBe("ready");
  });
});

describe("what became of a case that is no longer one's own", () => {
  const gone = (own: Partial<OwnCase>, caseState: string | null, membership: "join" | "leave", name: string | null = null) => {
    const heir = name === null ? null : ({ key: "case.passed.to", parameters: { name } } as const);
    const conversation = new Conversation({ roomId: ROOM });
    chat.rooms.set(ROOM, roomWith([], { caseState, membership }));
    conversation.attach(chat);
    return endOf({ case: { ...OWN, ...own }, conversation, ended: true, heir, side: null });
  };

  test.each([
    ["closed by either side", {}, "closed", "join", null, "case.closed"],
    ["closed while it was handed over", { handing_over: true }, "closed", "join", "佐藤", "case.closed"],
    ["handed over from here", { handing_over: true }, "talking", "leave", "佐藤", "case.passed.to"],
    ["handed over by whoever leads the shift", { handing_over: true }, "talking", "leave", null, "case.passed"],
    ["given back", {}, "waiting", "leave", null, "case.returned"],
    ["somebody else goes on", { helping: true }, "talking", "leave", null, "case.left"],
    ["the room has not told yet", {}, "talking", "join", null, undefined],
    ["no room is known", {}, null, "leave", null, "case.left"],
  ] as const)("%s", (_what, own, state, membership, heir, key) => {
    const end = gone(own, state, membership, heir);
    expect(end?.key).toBe(key);
    expect(end?.parameters).toEqual(key === "case.passed.to" ? { name: "佐藤" } : undefined);
  });

  test("the name of whom it was handed to stays until it comes back", async () => {
    const answers = [{ ...QUEUE, mine: [OWN] }, { ...QUEUE, pos: 2, mine: [{ ...OWN, handing_over: true }] },
      { ...QUEUE, pos: 3 }, { ...QUEUE, pos: 4, mine: [OWN] }];
    const desk = await signedIn({ "GET /queue": once(...answers), "POST /cases/c1/hand_over": { body: {} }, "POST /cases/c1/close": { body: {} } });
    desk.open(ROOM);
    await desk.handOver("c1", { user_id: "@sato:desk", name: "佐藤", role: "counsellor", present: true, free: 1 }, "r");
    expect(desk.seats[0]?.heir?.parameters).toEqual({ name: "佐藤" });
    await desk.close("c1");
    expect([desk.seats[0]?.ended, desk.seats[0]?.heir?.key]).toEqual([true, "case.passed.to"]);
    await desk.close("c1");
    expect([desk.seats[0]?.ended, desk.seats[0]?.heir]).toEqual([false, null]);
  });
});

test("what was being written is there after a reload, sealed, and goes with the case", async () => {
  const queue = { ...QUEUE, mine: [OWN] };
  const desk = await signedIn({ "GET /queue": once(queue) });
  const [{ conversation }] = desk.seats as [Seat];
  conversation.text = "まだ書いている";
  conversation.typed();
  conversation.outbox.add({ kind: "text", body: "まだ出ていない" });
  await vi.waitFor(async () => {
    const opened = JSON.stringify(await unseal(SESSION.storageKey, "written", shelf.getItem("written") ?? ""));
    expect([opened.includes("まだ書いている"), opened.includes("まだ出ていない")]).toEqual([true, true]);
  });
  expect(shelf.getItem("written")).not.toContain("まだ");

  around.desk = fakeDesk({ "GET /me": { body: ME_HERE }, "GET /desk": { body: FACTS }, "GET /queue": once(queue) });
  const again = new Console(around);
  await again.arrive();
  await vi.waitFor(() => expect(again.seats).toHaveLength(1));
  const [{ conversation: found }] = again.seats as [Seat];
  expect([found.text, found.outbox.drafts.map(({ what }) => what.kind)]).toEqual(["まだ書いている", ["text"]]);

  // Sent, or the case gone: nothing is kept.
  around.desk = fakeDesk({ "GET /me": { body: ME_HERE }, "GET /desk": { body: FACTS }, "GET /queue": once(QUEUE) });
  const later = new Console(around);
  await later.arrive();
  await settled();
  await vi.waitFor(() => expect(shelf.getItem("written")).toBeNull());
});

test("somebody in a Matrix client is brought a link in the conversation, beside what is being written", async () => {
  const ticket = { url: "https://desk/#move=t", code: "ABCD-2345", expires_at: 1 };
  const bodies: unknown[] = [];
  const desk = await signedIn({
    "GET /queue": once({ ...QUEUE, waiting: [], mine: [{ ...OWN, channel: "matrix" }] }),
    "POST /cases/c1/move/bring": (body) => (bodies.push(body), { body: ticket }),
  });
  const [seat] = desk.seats;
  if (!seat) throw new Error("no case");
  seat.conversation.text = "a draft";
  void desk.bringMove(seat, null, ({ url, code }) => `${url} ${code}`);
  await settled();
  expect(bodies).toEqual([{}]);
  expect(seat.conversation.text).toBe("a draft");
  expect(seat.conversation.outbox.drafts.map(({ what }) => what)).toEqual([
    { kind: "text", body: "https://desk/#move=t ABCD-2345" },
  ]);
});
