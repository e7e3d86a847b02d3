// One record 相談記録 that is being written, read or looked through. Its words go into the case's side room, sealed here.
import type { CaseRecord, Desk, RecordOfCase } from "../../desk/api";
import type { Key } from "../../i18n/staff";
import type { Chat } from "../../matrix";
import { reasonOf } from "../trouble";
import { type Codes, tidy, wrongIn } from "../codes";
import type { Drafts } from "../drafts.svelte";

/** What is begun of a record and not saved. */
export interface RecordDraft {
  codes: Codes;
  note: string;
}

export const NOTE_LENGTH = 4_000;
// The keeper invites within a moment; a machine under load takes longer.
const ROOM_WITHIN_MS = 20_000;
const KEY_WITHIN_MS = 6_000;
const LOOK_EVERY_MS = 250;

export interface RecordSurroundings {
  desk: Desk;
  chat: () => Chat | null;
  me: () => string;
  drafts: Drafts<RecordDraft>;
  saved: (caseId: string) => void;
  pause: (ms: number) => Promise<void>;
}

export class OpenRecord {
  facts = $state.raw<RecordOfCase | null>(null);
  codes = $state<Codes | null>(null);
  note = $state("");
  /** What the reviewer says, or is about to say. */
  review = $state("");
  /** Of the note that stands in the record. */
  standing = $state<"none" | "opening" | "open" | "locked">("none");
  /** The note was sealed by somebody else's device than the record names. */
  forged = $state(false);
  restored = $state(false);
  working = $state(false);
  trouble = $state<{ key: Key } | { reason: string } | null>(null);
  private read = "";
  private roomId: string | null = null;
  private sent: { text: string; event: string } | null = null;
  private txn = crypto.randomUUID();
  private coming = false;
  private gone = false;

  constructor(readonly caseId: string, private readonly around: RecordSurroundings) {}

  /** Fetches the record; its words follow when the room of the staff has opened. */
  async open(): Promise<void> {
    this.trouble = null;
    try {
      const facts = await this.around.desk.recordOf(this.caseId);
      this.facts = facts;
      this.codes = structuredClone(facts.record?.codes ?? facts.defaults);
      const draft = this.mayWrite ? this.around.drafts.get(this.caseId) : null;
      if (draft) {
        this.codes = draft.codes;
        this.note = draft.note;
        this.restored = true;
      }
      void this.openWords(facts.record);
    } catch (error) {
      this.trouble = { reason: reasonOf(error) };
    }
  }

  /** Whether this person may write it as it stands: until it has been looked through. */
  get mayWrite(): boolean {
    const { record } = this.facts ?? { record: null };
    return record === null || (record.written_by === this.around.me() && record.state !== "reviewed");
  }

  get mayReview(): boolean {
    const { record, closed_at } = this.facts ?? { record: null, closed_at: null };
    return record !== null && closed_at !== null && record.written_by !== this.around.me();
  }

  /** Keeps what is written so far. */
  changed(): void {
    const { codes } = this;
    if (codes && this.mayWrite) this.around.drafts.put(this.caseId, { codes: $state.snapshot(codes), note: this.note });
    this.wordsToCome(this.note);
  }

  /** Somebody writes words: the room that takes them opens meanwhile. */
  wordsToCome(text: string): void {
    if (text.trim() === "" || this.coming) return;
    this.coming = true;
    void this.enter().catch(() => (this.coming = false));
  }

  /** Saves it; false where something is missing or did not work, which `trouble` tells. */
  async save(): Promise<boolean> {
    const { codes, facts } = this;
    if (!codes || !facts || this.working) return false;
    const tidied = tidy($state.snapshot(codes));
    if (wrongIn(tidied)) {
      this.trouble = { key: "record.needs.topics" };
      return false;
    }
    return this.act(async () => {
      const event = await this.seal("record", this.note.trim(), this.read, facts.record?.note_event ?? null);
      const record = await this.around.desk.putRecord(this.caseId, tidied, event);
      this.facts = { ...facts, record };
      this.read = this.note.trim();
      this.around.drafts.put(this.caseId, null);
      this.around.saved(this.caseId);
    });
  }

  /** Looks it through. False where that did not work. */
  async look(verdict: "reviewed" | "sent_back"): Promise<boolean> {
    const { facts } = this;
    if (!facts) return false;
    return this.act(async () => {
      const said = verdict === "sent_back" ? this.review.trim() : "";
      const event = await this.seal("review", said, "", null);
      const record = await this.around.desk.reviewRecord(this.caseId, verdict, event);
      this.facts = { ...facts, record };
    });
  }

  /** Nobody looks at it any more. Whoever only came to read goes out of the room. */
  async close(): Promise<void> {
    this.gone = true;
    if (this.roomId !== null && this.facts?.closed_at !== null) {
      await this.around.chat()?.leave(this.roomId).catch(() => undefined);
    }
  }

  /** Tries once more to open the words that are locked. */
  async again(): Promise<void> {
    await this.openWords(this.facts?.record ?? null);
  }

  private async act(work: () => Promise<void>): Promise<boolean> {
    this.working = true;
    this.trouble = null;
    try {
      await work();
      return true;
    } catch (error) {
      this.trouble = error instanceof NoRoom ? { key: "record.sealing.failed" } : { reason: reasonOf(error) };
      return false;
    } finally {
      this.working = false;
    }
  }

  /** The event that holds the words: a new one where they have changed, none where there are none. */
  private async seal(kind: "record" | "review", text: string, before: string, stands: string | null): Promise<string | null> {
    // Words that could not be opened here were not changed either.
    if (text === before) return stands;
    if (text === "") return null;
    if (this.sent?.text === text) return this.sent.event;
    const roomId = await this.enter();
    const chat = this.around.chat();
    if (!chat) throw new NoRoom();
    const event = await chat.sendNote(roomId, kind, text, this.txn).catch(() => {
      throw new NoRoom();
    });
    this.sent = { text, event };
    this.txn = crypto.randomUUID();
    return event;
  }

  private async openWords(record: CaseRecord | null): Promise<void> {
    const sayings = [record?.note_event ?? null, record?.review_event ?? null];
    if (sayings.every((event) => event === null)) return;
    this.standing = "opening";
    try {
      const [note, review] = await this.openAll(sayings);
      if (note) {
        this.read = note.text;
        if (!this.restored) this.note = note.text;
        this.forged = note.sender !== record?.written_by;
      }
      if (review) this.review = review.text;
      this.standing = "open";
    } catch {
      this.standing = "locked";
    }
  }

  private async openAll(events: (string | null)[]): Promise<({ sender: string; text: string } | null)[]> {
    const within = Date.now() + KEY_WITHIN_MS;
    let asked = false;
    for (;;) {
      const roomId = await this.enter();
      const chat = this.around.chat();
      if (!chat || this.gone) throw new NoRoom();
      try {
        return await Promise.all(events.map((event) => (event === null ? null : chat.openNote(roomId, event))));
      } catch {
        if (Date.now() > within) {
          if (asked) throw new NoRoom();
          // On a new device the keys of before are missing: whoever goes out and comes in again is given them.
          asked = true;
          await chat.leave(roomId).catch(() => undefined);
          this.roomId = null;
        }
        await this.around.pause(LOOK_EVERY_MS);
      }
    }
  }

  /** Comes into the room of the staff. Raises NoRoom when it does not open in time, DeskError. */
  private async enter(): Promise<string> {
    const { room_id } = await this.around.desk.enterSideRoom(this.caseId);
    this.roomId = room_id;
    for (const within = Date.now() + ROOM_WITHIN_MS; Date.now() < within; await this.around.pause(LOOK_EVERY_MS)) {
      const room = this.around.chat()?.room(room_id);
      if (room?.membership === "join" && room.encrypted) return room_id;
      if (this.gone) break;
    }
    throw new NoRoom();
  }
}

class NoRoom extends Error {
  constructor() {
    super("The room of the staff did not open.");
  }
}
