import { beforeEach, describe, expect, test } from "vitest";
import type { CaseRecord, RecordOfCase } from "../src/desk/api";
import { type Codes, tidy, wrongIn } from "../src/screens/codes";
import { Drafts } from "../src/screens/drafts.svelte";
import { OpenRecord, type RecordDraft } from "../src/screens/records/record.svelte";
import { Records } from "../src/screens/records/records.svelte";
import { NotSent } from "../src/matrix/chat";
import { fakeDesk, FakeChat, KEN, ME, memory, roomWith, SESSION, settled } from "./stand-ins";

const SIDE = "!side:desk";
const CODES: Codes = {
  contact: "self", visit: "first", age: "unknown", school: "unknown", grade: null, gender: "not_given", prefecture: null,
  topics: [], risk: "none", risk_reasons: [], attitude: "unknown", actions: [], referrals: [], consent: "not_asked",
  outcome: "settled", ended_by: "agreed", follow_up: null,
};
const FACTS: RecordOfCase = {
  case_id: "c1", channel: "web", arrived_at: 0, accepted_at: 1, closed_at: null, record: null, defaults: CODES, answers: null,
};
const WRITTEN: CaseRecord = {
  state: "written", codes: { ...CODES, topics: ["family"] }, note_event: "$note", written_by: ME, written_at: 1, changed_at: 1,
  reviewed_by: null, reviewed_at: null, review_event: null, followed_up_at: null,
};
const NONE = { to_write: 0, to_review: 0, sent_back: 0, follow_up: 0 };

let chat: FakeChat;
let shelf: ReturnType<typeof memory>;
let put: Record<string, unknown>[];
let saved: string[];

beforeEach(() => {
  chat = new FakeChat();
  chat.rooms.set(SIDE, { ...roomWith([]), id: SIDE });
  shelf = memory();
  put = [];
  saved = [];
});

const onShelf = () => ({
  load: (name: string) => shelf.getItem(name),
  save: (name: string, text: string | null) => (text === null ? shelf.removeItem(name) : shelf.setItem(name, text)),
});

async function drafts(): Promise<Drafts<RecordDraft>> {
  const made = new Drafts<RecordDraft>(onShelf(), "records");
  await made.restore(SESSION);
  return made;
}

async function opened(facts: RecordOfCase = FACTS, kept?: Drafts<RecordDraft>): Promise<OpenRecord> {
  const desk = fakeDesk({
    "GET /cases/c1/record": { body: facts },
    "POST /cases/c1/side_room": { body: { case_id: "c1", room_id: SIDE } },
    "PUT /cases/c1/record": (body) => {
      put.push(body as Record<string, unknown>);
      return { body: { ...WRITTEN, note_event: (body as { note_event: string | null }).note_event } };
    },
    "POST /cases/c1/record/review": (body) => {
      put.push(body as Record<string, unknown>);
      return { body: { ...WRITTEN, state: (body as { verdict: string }).verdict } };
    },
  });
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
  const record = new OpenRecord("c1", {
    desk, chat: () => chat, me: () => ME, drafts: kept ?? (await drafts()), saved: (id) => void saved.push(id), pause,
  });
  await record.open();
  await settled();
  return record;
}

describe("writing", () => {
  test("what is known stands in it; without a topic it is not saved, and says so", async () => {
    const record = await opened({ ...FACTS, defaults: { ...CODES, age: "13_15" } });
    expect(record.codes?.age).toBe("13_15");
    expect(await record.save()).toBe(false);
    expect(record.trouble).toEqual({ key: "record.needs.topics" });
    expect(put).toEqual([]);
  });

  test("words go sealed into the room of the staff, their event alone to the desk", async () => {
    const record = await opened();
    record.codes = { ...CODES, topics: ["family"] };
    record.note = " 家のこと ";
    record.changed();
    expect(await record.save()).toBe(true);
    const event = put[0]?.["note_event"] as string;
    expect(chat.notes.get(event)?.text).toBe("家のこと");
    expect(JSON.stringify(put)).not.toContain("家のこと");
    expect(saved).toEqual(["c1"]);
  });

  test("a room that does not open keeps everything here, and the next try sends the words once", async () => {
    const record = await opened();
    record.codes = { ...CODES, topics: ["family"] };
    record.note = "家のこと";
    chat.sending = async () => Promise.reject(new NotSent(false));
    expect(await record.save()).toBe(false);
    expect(record.trouble).toEqual({ key: "record.sealing.failed" });
    chat.sending = async (_body, txn) => "$of-" + txn;
    expect(await record.save()).toBe(true);
    expect(await record.save()).toBe(true);
    expect(chat.notes.size).toBe(1);
  });

  test("words that can't be opened here stay as they are, unless others are written", async () => {
    const record = await opened({ ...FACTS, record: WRITTEN });
    expect(record.standing).toBe("opening");
    expect(await record.save()).toBe(true);
    expect(put[0]?.["note_event"]).toBe("$note");
    await record.close();
  });

  test("words are shown once opened; taken out they are gone from the record", async () => {
    chat.notes.set("$note", { sender: ME, text: "家のこと" });
    const record = await opened({ ...FACTS, record: WRITTEN });
    expect([record.standing, record.note, record.forged]).toEqual(["open", "家のこと", false]);
    record.note = "";
    expect(await record.save()).toBe(true);
    expect(put[0]?.["note_event"]).toBeNull();
  });
});

describe("a draft", () => {
  test("outlives the page, sealed, and goes when the record is saved", async () => {
    const kept = await drafts();
    const first = await opened(FACTS, kept);
    first.codes = { ...CODES, topics: ["bullying"] };
    first.note = "途中まで";
    first.changed();
    await kept.settled();
    expect(kept.count).toBe(1);
    expect(shelf.getItem("records")).not.toContain("途中");
    const again = await drafts();
    const record = await opened(FACTS, again);
    expect([record.codes?.topics, record.note, record.restored]).toEqual([["bullying"], "途中まで", true]);
    expect(await record.save()).toBe(true);
    await again.settled();
    expect([again.count, shelf.getItem("records")]).toEqual([0, null]);
  });

  test("of another session opens no more; signing out forgets them", async () => {
    const kept = await drafts();
    kept.put("c1", { codes: CODES, note: "途中まで" });
    await kept.settled();
    const other = new Drafts<RecordDraft>(onShelf(), "records");
    await other.restore({ ...SESSION, storageKey: btoa("x".repeat(32)) });
    expect(other.count).toBe(0);
    kept.forget();
    expect(shelf.getItem("records")).toBeNull();
  });
});

describe("looking through", () => {
  const theirs = { ...FACTS, closed_at: 9, record: { ...WRITTEN, written_by: KEN } };

  test("somebody else's is read, not written; sending it back carries sealed words", async () => {
    chat.notes.set("$note", { sender: KEN, text: "家のこと" });
    const record = await opened(theirs);
    expect([record.mayWrite, record.mayReview, record.note]).toEqual([false, true, "家のこと"]);
    record.review = "危険度の理由を";
    expect(await record.look("sent_back")).toBe(true);
    expect(chat.notes.get(put[0]?.["note_event"] as string)?.text).toBe("危険度の理由を");
    await record.close();
    expect(chat.left).toEqual([SIDE]);
  });

  test("a note that another device sealed is told apart", async () => {
    chat.notes.set("$note", { sender: "@mallory:desk", text: "…" });
    expect((await opened(theirs)).forged).toBe(true);
  });

  test("nobody looks through their own, nor a case that runs", async () => {
    expect((await opened({ ...FACTS, closed_at: 9, record: WRITTEN })).mayReview).toBe(false);
    expect((await opened({ ...theirs, closed_at: null })).mayReview).toBe(false);
    expect((await opened({ ...FACTS, record: { ...WRITTEN, state: "reviewed" } })).mayWrite).toBe(false);
  });
});

describe("the lists", () => {
  const entry = { case_id: "c1", channel: "web", arrived_at: 0, closed_at: 1, risk: "none", state: null, by: ME, by_name: "健", follow_up: null };

  function lists(role: string, counts = NONE): Records {
    const desk = fakeDesk({ "GET /records": { body: { records: [entry], counts } } });
    const pause = async (): Promise<void> => undefined;
    return new Records({ desk, chat: () => chat, me: () => ({ user_id: ME, role }), local: onShelf(), pause });
  }

  test("a counsellor has their own, whoever leads the shift everybody's to look through", async () => {
    const counts = { to_write: 2, to_review: 7, sent_back: 1, follow_up: 1 };
    const ken = lists("counsellor", counts);
    await ken.count();
    expect(ken.todo).toBe(4);
    await ken.turn("to_write", false);
    expect([ken.mine, ken.entries?.length]).toEqual([true, 1]);
    const lead = lists("supervisor", counts);
    await lead.count();
    expect(lead.todo).toBe(11);
  });
});

test("what does not fit together is taken out before it is sent", () => {
  const codes: Codes = { ...CODES, school: "working", grade: 3, risk: "none", risk_reasons: ["plan"], follow_up: "" };
  expect(tidy(codes)).toEqual({ ...CODES, school: "working" });
  expect([wrongIn(CODES), wrongIn({ ...CODES, contact: "silent" })]).toEqual(["topics", null]);
});
