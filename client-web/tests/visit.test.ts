import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Answers } from "../src/screens/codes";
import { Notices } from "../src/screens/youth/notices.svelte";
import { Traces } from "../src/screens/youth/traces";
import { type Surroundings, Youth } from "../src/screens/youth/visit.svelte";
import {
  FACTS, fakeDesk, FakeChat, KEEPER, ME, memory, MINE, once, ROOM, roomWith, SESSION, settled, silent,
} from "./stand-ins";

const OPENED = {
  case_id: "c1", room_id: ROOM, user_id: ME, device_id: "ONE", access_token: "t1", password: "secret",
};

let storage: ReturnType<typeof memory>;
let chats: FakeChat[];
let around: Surroundings;

beforeEach(() => {
  storage = memory();
  chats = [];
  around = {
    desk: fakeDesk({
      "GET /desk": { body: FACTS },
      "POST /cases": { body: OPENED },
      "GET /cases/mine": once(MINE, MINE),
    }),
    traces: new Traces(storage),
    openChat: vi.fn(async () => {
      const chat = chats.shift() ?? new FakeChat();
      chat.rooms.set(ROOM, roomWith([]));
      return chat;
    }),
    signIn: vi.fn(async () => ({ ...SESSION, deviceId: "TWO", accessToken: "t2" })),
    signOut: vi.fn(async () => undefined),
    newStorageKey: () => SESSION.storageKey,
    removeStore: vi.fn(),
    removeStores: vi.fn(async () => undefined),
    hold: vi.fn(async () => true),
    pause: () => new Promise(() => undefined),
    background: { leave: vi.fn(), install: vi.fn(), installable: false },
    notices: new Notices(fakeDesk({}), silent()),
    guidance: vi.fn(async () => null),
    phrase: async () => ({
      newPhrase: () => ["a", "b"],
      keysOf: async (words) => ({ id: "i" + words.join(""), secret: "s", key: new Uint8Array([words.length]) }),
      wordsOf: (text) => text.split(" "),
      unknownIn: () => [],
    }),
  };
});

async function begun(): Promise<Youth> {
  const youth = new Youth(around);
  await youth.arrive();
  await youth.begin("ja");
  await settled();
  return youth;
}

describe("beginning", () => {
  test("one tap leads into the room, with a place and a conversation", async () => {
    const youth = await begun();
    expect(youth.stage).toBe("room");
    expect(youth.mine?.place).toBe(1);
    expect(youth.keys).toBe("open");
    expect(around.desk.token).toBe("t1");
    expect(around.openChat).toHaveBeenCalledWith(expect.objectContaining({ first: ROOM }));
  });

  test("writing is possible before the keys are there", async () => {
    around.openChat = () => new Promise(() => undefined);
    const youth = new Youth(around);
    await youth.arrive();
    void youth.begin("ja");
    await settled();
    expect(youth.stage).toBe("room");
    expect(youth.keys).toBe("opening");
    if (youth.conversation) youth.conversation.text = "こわい";
    expect(youth.conversation?.send()).toBe(true);
    // It is there after a reload, and no word of it stands in what browsers write into files of theirs.
    await vi.waitFor(() => expect(storage.data.get("madoguchi.unsent")).toBeDefined());
    expect([...storage.data.values()].join()).not.toContain("こわい");
    expect(await new Traces(storage).unsent()).toMatchObject([{ what: { kind: "text", body: "こわい" } }]);
    const again = new Youth(around);
    void again.arrive();
    await vi.waitFor(() => expect(again.conversation?.outbox.drafts).toMatchObject([{ what: { body: "こわい" } }]));
  });

  test("what waits is sealed anew for another device, and gone at once with the visit", async () => {
    const traces = new Traces(storage);
    const visit = { caseId: "c1", roomId: ROOM, session: SESSION, password: null, store: "s", fingerprint: null };
    const draft = { txn: "1", what: { kind: "text", body: "まだ" }, at: 0, state: "waiting", eventId: null } as const;
    traces.visit = visit;
    traces.keepUnsent([draft]);
    traces.visit = { ...visit, session: { ...SESSION, storageKey: btoa("n".repeat(32)) } };
    await vi.waitFor(async () => expect(await new Traces(storage).unsent()).toEqual([draft]));
    traces.keepUnsent([draft, draft]);
    traces.clear();
    await settled();
    expect([...storage.data]).toEqual([]);
  });

  test.each([
    ["offline" as const, "unreachable"],
    [{ status: 500, body: {} }, "unreachable"],
    [{ status: 429, body: { errcode: "M_LIMIT_EXCEEDED" } }, "busy"],
    [{ status: 403, body: { errcode: "JP_MADOGUCHI_CLOSED" } }, "refused"],
  ])("a refusal %o leaves the start screen with a word", async (answer, trouble) => {
    around.desk = fakeDesk({ "GET /desk": { body: FACTS }, "POST /cases": answer });
    const youth = await begun();
    expect(youth.stage).toBe("start");
    expect(youth.trouble).toBe(trouble);
  });
});

describe("the questions while one waits", () => {
  const SAID: Answers = { topics: ["family"], school: null, grade: null };

  async function answering(answer: Parameters<typeof fakeDesk>[0][string]): Promise<Youth> {
    around.desk = fakeDesk({
      "GET /desk": { body: FACTS }, "POST /cases": { body: OPENED }, "GET /cases/mine": once(MINE),
      "PUT /cases/mine/answers": answer,
    });
    return begun();
  }

  test("what the desk has kept is what they see", async () => {
    const youth = await answering((body) => ({ body }));
    expect(await youth.tell(SAID)).toBe(true);
    expect(youth.mine?.answers).toEqual(SAID);
    expect(youth.mine?.may_answer).toBe(true);
  });

  test.each([
    [{ status: 409, body: { errcode: "M_CONFLICT" } }, false],
    ["offline" as const, true],
  ])("after %o they may still answer: %s", async (answer, still) => {
    const youth = await answering(answer);
    expect(await youth.tell(SAID)).toBe(false);
    expect(youth.mine?.answers).toBeNull();
    expect(youth.mine?.may_answer).toBe(still);
  });
});

describe("once more as the same person", () => {
  const AGAIN = { case_id: "c2", room_id: "!second:desk", user_id: ME };

  test("leads into a new room, with the device, the account and nothing of the case before", async () => {
    const cases = once(OPENED, AGAIN);
    around.desk = fakeDesk({
      "GET /desk": { body: FACTS }, "POST /cases": cases,
      "GET /cases/mine": once({ ...MINE, state: "closed" }, { ...MINE, case_id: "c2", room_id: "!second:desk" }),
    });
    const youth = await begun();
    expect(youth.closed).toBe(true);
    youth.surveyed = true;
    await youth.beginAgain("ja");
    await settled();
    expect(youth.closed).toBe(false);
    expect(youth.surveyed).toBe(false);
    expect(youth.conversation?.roomId).toBe("!second:desk");
    expect(around.traces.visit).toMatchObject({ caseId: "c2", roomId: "!second:desk", session: { deviceId: "ONE" } });
    expect(youth.ownUserId).toBe(ME);
    expect(around.openChat).toHaveBeenCalledOnce();
  });

  test("a closed desk leaves everything as it was, with a word", async () => {
    const answers = [{ body: OPENED }, { status: 403, body: { errcode: "JP_MADOGUCHI_CLOSED" } }];
    around.desk = fakeDesk({
      "GET /desk": { body: FACTS }, "POST /cases": () => answers.shift() ?? "never",
      "GET /cases/mine": once({ ...MINE, state: "closed" }),
    });
    const youth = await begun();
    await youth.beginAgain("ja");
    expect(youth.trouble).toBe("refused");
    expect(youth.closed).toBe(true);
    expect(around.traces.visit?.roomId).toBe(ROOM);
  });
});

describe("showing when one came before", () => {
  test("what the desk has kept is what they see, and a failure changes nothing", async () => {
    const answers = [{ body: { shown: true } }, "offline" as const];
    around.desk = fakeDesk({
      "GET /desk": { body: FACTS }, "POST /cases": { body: OPENED }, "GET /cases/mine": once({ ...MINE, repeat: true }),
      "PUT /cases/mine/previous": () => answers.shift() ?? "never",
    });
    const youth = await begun();
    expect(await youth.showPrevious(true)).toBe(true);
    expect(youth.mine?.previous_shown).toBe(true);
    expect(await youth.showPrevious(false)).toBe(false);
    expect(youth.mine?.previous_shown).toBe(true);
  });
});

describe("coming back in the same tab", () => {
  test("who wished that everything is destroyed reads that it was", async () => {
    await begun();
    around.desk = fakeDesk({
      "GET /desk": { body: FACTS },
      "GET /cases/mine": { status: 404, body: {} },
      "GET /cases/mine/deletion": { body: { state: "done", receipt: "R" } },
    });
    const again = new Youth(around);
    await again.arrive();
    await settled();
    expect([again.stage, again.destroyed]).toEqual(["lost", "R"]);
    await again.startAfresh();
    expect(again.destroyed).toBe(null);
  });

  test("goes on with the same device while its keys are there", async () => {
    await begun();
    const again = new Youth(around);
    await again.arrive();
    expect(again.stage).toBe("room");
    expect(around.signIn).not.toHaveBeenCalled();
    expect(again.renewed).toBe(false);
    // It has asked ahead once: what it was given then is not asked for a second time.
    expect(around.openChat).toHaveBeenLastCalledWith(expect.not.objectContaining({ first: ROOM }));
  });

  test("signs in afresh when the keys are gone, and never uses the device again", async () => {
    await begun();
    const emptied = Object.assign(new FakeChat(), { fingerprint: "another key" });
    const fresh = Object.assign(new FakeChat(), { fingerprint: "third key" });
    chats = [emptied, fresh];
    const again = new Youth(around);
    await again.arrive();
    await settled();
    expect(emptied.forgotten).toBe(true);
    expect(around.signIn).toHaveBeenCalledWith(ME, "secret", "web");
    expect(around.signOut).toHaveBeenCalledWith(expect.objectContaining({ deviceId: "ONE" }));
    expect(again.renewed).toBe(true);
    expect(around.traces.visit?.session.deviceId).toBe("TWO");
    expect(fresh.signedBy).toEqual(["secret"]);
  });

  test("a browser that stores no keys always signs in afresh", async () => {
    chats = [Object.assign(new FakeChat(), { remembers: false })];
    await begun();
    const again = new Youth(around);
    await again.arrive();
    await settled();
    expect(around.signIn).toHaveBeenCalledOnce();
  });

  test("another tab holds the conversation until it is taken over", async () => {
    await begun();
    around.hold = vi.fn(async (_name: string, steal: boolean) => steal);
    const again = new Youth(around);
    await again.arrive();
    expect(again.stage).toBe("elsewhere");
    await again.takeOver();
    expect(again.stage).toBe("room");
  });

  test("a case that has gone leads to a way on, not to a dead end", async () => {
    await begun();
    around.desk = fakeDesk({ "GET /desk": { body: FACTS }, "GET /cases/mine": { status: 404, body: {} } });
    const again = new Youth(around);
    await again.arrive();
    await settled();
    expect(again.stage).toBe("lost");
    await again.startAfresh();
    expect(again.stage).toBe("start");
  });

  test("a case that goes on elsewhere is not said to have ended", async () => {
    await begun();
    const body = { errcode: "JP_MADOGUCHI_MOVED" };
    around.desk = fakeDesk({ "GET /desk": { body: FACTS }, "GET /cases/mine": { status: 409, body } });
    const again = new Youth(around);
    await again.arrive();
    await settled();
    expect(again.stage).toBe("gone");
    await again.startAfresh();
    expect(again.stage).toBe("start");
  });
});

describe("leaving", () => {
  test("clears everything of this visit from the tab", async () => {
    const chat = new FakeChat();
    chats = [chat];
    const youth = await begun();
    around.traces.language = "en";
    const session = youth.vanish();
    expect(around.background.leave).toHaveBeenCalledOnce();
    expect(session?.accessToken).toBe("t1");
    // Without waiting for anything: the page is about to go.
    expect(around.removeStore).toHaveBeenCalledWith("madoguchi-visit-one");
    expect([...storage.data]).toEqual([]);
    expect(chat.stopped).toBe(true);
    await settled();
    expect(chat.forgotten).toBe(true);
  });

  test("a first visit removes what an earlier one left", async () => {
    await new Youth(around).arrive();
    expect(around.removeStores).toHaveBeenCalledWith("madoguchi-visit-", null);
  });
});

test("the keeper reads without being shown as a reader", async () => {
  const youth = await begun();
  expect(youth.conversation?.silent).toEqual([KEEPER]);
});

describe("remembered on this phone", () => {
  test("only for who asks, and with everything that the tab has", async () => {
    const lasting = memory();
    around.traces = new Traces(storage, lasting);
    const youth = await begun();
    expect(youth.remembered).toBe(false);
    expect(lasting.data.size).toBe(0);
    youth.remember(true);
    expect(youth.remembered).toBe(true);
    if (youth.conversation) youth.conversation.text = "まだ";
    around.openChat = () => new Promise(() => undefined);
    // Another tab, after this one was closed.
    const later = new Traces(memory(), lasting);
    expect(later.visit?.caseId).toBe("c1");
    around.traces = later;
    const again = new Youth(around);
    void again.arrive();
    await settled();
    expect(again.stage).toBe("room");
    expect(again.remembered).toBe(true);
    again.remember(false);
    expect(lasting.data.size).toBe(0);
  });

  test("leaving fast forgets it, and a browser that refuses says so", async () => {
    const lasting = memory();
    around.traces = new Traces(storage, lasting);
    const youth = await begun();
    youth.remember(true);
    youth.vanish();
    expect(lasting.data.size).toBe(0);
    around.traces = new Traces(storage, null);
    const other = await begun();
    other.remember(true);
    expect(other.remembered).toBe(false);
  });
});

describe("coming back", () => {
  test("the words are shown only once the messages are kept under them", async () => {
    around.desk = fakeDesk({
      "GET /desk": { body: FACTS }, "POST /cases": { body: OPENED }, "GET /cases/mine": once(MINE, MINE),
      "PUT /return_key": { body: { kept: true } },
    });
    const chat = new FakeChat();
    chats = [chat];
    const youth = await begun();
    expect(await youth.makeWords("ja")).toBe(true);
    expect(youth.words).toEqual(["a", "b"]);
    expect(chat.keptUnder).toEqual([2]);
    expect((around.desk as unknown as { asked: string[] }).asked).toContain("PUT /return_key");
  });

  test("without the messages there are no words, and the server learns of none", async () => {
    const chat = new FakeChat();
    chat.keepUnder = async () => Promise.reject(new Error("offline"));
    chats = [chat];
    const youth = await begun();
    expect(await youth.makeWords("ja")).toBe(false);
    expect(youth.words).toBeNull();
    expect((around.desk as unknown as { asked: string[] }).asked).not.toContain("PUT /return_key");
  });

  async function returning(answer: Parameters<typeof fakeDesk>[0][string]): Promise<Youth> {
    around.desk = fakeDesk({ "GET /desk": { body: FACTS }, "POST /return": answer, "GET /cases/mine": once(MINE, MINE) });
    const youth = new Youth(around);
    await youth.arrive();
    await settled();
    await youth.comeBack(["a", "b"]);
    await settled();
    return youth;
  }

  test("the words open the case and what was said", async () => {
    const chat = new FakeChat();
    chat.opensWith = [2];
    chats = [chat];
    const youth = await returning({ body: { ...OPENED, password: undefined } });
    expect(youth.stage).toBe("room");
    expect(chat.opened).toBe(true);
    expect(youth.withoutPast).toBe(false);
  });

  test("where the messages can't be opened the conversation goes on, and it says so", async () => {
    const chat = new FakeChat();
    chat.opensWith = [9];
    chats = [chat];
    const youth = await returning({ body: OPENED });
    expect(youth.stage).toBe("room");
    expect(youth.keys).toBe("open");
    expect(youth.withoutPast).toBe(true);
  });

  test.each([
    [{ status: 403, body: { errcode: "M_FORBIDDEN" } }, "unknown"],
    [{ status: 404, body: { errcode: "M_NOT_FOUND" } }, "destroyed"],
    [{ status: 409, body: { errcode: "JP_MADOGUCHI_MOVED" } }, "moved"],
    [{ status: 429, body: { errcode: "M_LIMIT_EXCEEDED" } }, "busy"],
    ["offline" as const, "unreachable"],
  ])("a refusal %o leaves the start screen with a word", async (answer, refused) => {
    const youth = await returning(answer);
    expect(youth.stage).toBe("start");
    expect(youth.refused).toBe(refused);
    expect(storage.data.has("madoguchi.visit")).toBe(false);
  });
});

describe("going on in a Matrix client", () => {
  const MOVED = { status: 409, body: { errcode: "JP_MADOGUCHI_MOVED", case_id: "c1" } };

  test("a code is made, and the page steps aside once it has been said", async () => {
    const invite = { code: "ABCD-2345", alias: "#move-ABCD-2345:desk", link: "https://matrix.to/#/x", expires_at: 1 };
    around.desk = fakeDesk({
      "GET /desk": { body: FACTS }, "POST /cases": { body: OPENED }, "POST /cases/mine/move/matrix": { body: invite },
      "GET /cases/mine": once(MINE),
    });
    expect(await (await begun()).inviteToMatrix()).toEqual(invite);
    around.desk = fakeDesk({ "GET /desk": { body: FACTS }, "GET /cases/mine": MOVED });
    const youth = new Youth(around);
    await youth.arrive();
    await settled();
    expect(youth.stage).toBe("gone");
    await youth.startAfresh();
    expect(youth.stage).toBe("start");
    expect(storage.data.has("madoguchi.visit")).toBe(false);
  });
});

describe("coming from an app", () => {
  async function arriving(answers: Parameters<typeof fakeDesk>[0]): Promise<Youth> {
    around.desk = fakeDesk({ "GET /desk": { body: FACTS }, "GET /cases/mine": once(MINE, MINE), ...answers });
    const youth = new Youth(around);
    await youth.arrive("token");
    await settled();
    return youth;
  }

  const LOOKED = { body: { passphrase: false, expires_at: 1 } };

  test("looking spends nothing; the person's word opens the room, and the keeper lets them in", async () => {
    const chat = new FakeChat();
    chats = [chat];
    const youth = await arriving({ "POST /move/look": LOOKED, "POST /move": { body: OPENED } });
    expect(youth.stage).toBe("moving");
    expect((around.desk as unknown as { asked: string[] }).asked).not.toContain("POST /move");
    await youth.confirmMove(null);
    await settled();
    expect(youth.stage).toBe("room");
    expect(youth.moved).toBe(true);
    // Only a signed device is given the history.
    expect(chat.signedBy[0]).toBe("secret");
    expect(chat.host).toBe(KEEPER);
    expect(chat.loads).toEqual([ROOM]);
  });

  test.each([["line", true], ["matrix", false]])("from %s: an app that is told of news: %s", async (channel, fromApp) => {
    const opened = { ...OPENED, before: ["@before:desk"] };
    const youth = await arriving({
      "POST /move/look": { body: { ...LOOKED.body, channel } }, "POST /move": { body: opened },
    });
    expect(youth.move?.channel).toBe(channel);
    await youth.confirmMove(null);
    await settled();
    expect(youth.fromApp).toBe(fromApp);
    // After a reload, too, what was said before is one's own.
    expect(JSON.parse(storage.data.get("madoguchi.visit") ?? "")).toMatchObject({ cameBy: channel, before: ["@before:desk"] });
  });

  test("an earlier visit stays until the person has moved", async () => {
    await begun();
    const before = storage.data.get("madoguchi.visit");
    const youth = await arriving({ "POST /move/look": LOOKED, "POST /move/decline": { body: { declined: true } } });
    expect(youth.stage).toBe("moving");
    await youth.stayOnApp();
    await settled();
    expect(youth.stage).toBe("room");
    expect(storage.data.get("madoguchi.visit")).toBe(before);
  });

  test("a passphrase is asked for, and the tries that are left are told", async () => {
    const wrong = { status: 403, body: { errcode: "JP_MADOGUCHI_PASSPHRASE", tries_left: 4 } };
    const youth = await arriving({
      "POST /move/look": { body: { passphrase: true, expires_at: 1 } },
      "POST /move": (asked) => ((asked as { passphrase?: string }).passphrase === "ねこ" ? { body: OPENED } : wrong),
    });
    expect(youth.move?.passphrase).toBe(true);
    await youth.confirmMove("いぬ");
    expect([youth.stage, youth.moveTrouble, youth.move?.triesLeft]).toEqual(["moving", "passphrase", 4]);
    await youth.confirmMove("ねこ");
    await settled();
    expect(youth.stage).toBe("room");
  });

  test.each([
    [{ status: 410, body: { errcode: "JP_MADOGUCHI_LINK_SPENT", reason: "used" } }, "used"],
    [{ status: 410, body: { errcode: "JP_MADOGUCHI_LINK_SPENT", reason: "expired" } }, "expired"],
    [{ status: 410, body: { errcode: "JP_MADOGUCHI_LINK_SPENT", reason: "ended" } }, "ended"],
    [{ status: 410, body: { errcode: "JP_MADOGUCHI_LINK_SPENT", reason: "locked" } }, "locked"],
    [{ status: 403, body: { errcode: "M_FORBIDDEN" } }, "unknown"],
    [{ status: 409, body: { errcode: "M_CONFLICT" } }, "own"],
    [{ status: 429, body: { errcode: "M_LIMIT_EXCEEDED" } }, "busy"],
    ["offline" as const, "unreachable"],
  ])("a refusal %o has a word and a way on", async (answer, trouble) => {
    const youth = await arriving({ "POST /move/look": answer });
    expect([youth.stage, youth.moveTrouble]).toEqual(["moving", trouble]);
    await youth.leaveMove();
    expect(youth.stage).toBe("start");
  });

  test("whether the app may say that there is news is the person's choice, and stands as it was if that fails", async () => {
    const youth = await arriving({
      "POST /move/look": LOOKED, "POST /move": { body: OPENED },
      "PUT /cases/mine/news": (asked) => ((asked as { wanted: boolean }).wanted ? "offline" : { body: { wanted: false } }),
    });
    await youth.confirmMove(null);
    await youth.wantNews(false);
    expect([youth.news, youth.newsTrouble]).toEqual([false, false]);
    await youth.wantNews(true);
    expect([youth.news, youth.newsTrouble]).toEqual([false, true]);
  });
});
