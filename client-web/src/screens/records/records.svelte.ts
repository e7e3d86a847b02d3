// The lists of records: what one has to write, correct, follow up and look through.
import type { Desk, RecordEntry, RecordList, RecordsPage } from "../../desk/api";
import type { Chat, Session } from "../../matrix";
import { reasonOf } from "../trouble";
import { Drafts, type Shelf } from "../drafts.svelte";
import { OpenRecord, type RecordDraft } from "./record.svelte";

const PAGE = 50;

export interface RecordsSurroundings {
  desk: Desk;
  chat: () => Chat | null;
  me: () => { user_id: string; role: string } | null;
  local: Shelf;
  pause: (ms: number) => Promise<void>;
}

export class Records {
  list = $state<RecordList>("to_write");
  mine = $state(true);
  entries = $state.raw<readonly RecordEntry[] | null>(null);
  /** How long the lists are that are shown. */
  counts = $state.raw<RecordsPage["counts"] | null>(null);
  /** There may be more than is shown. */
  more = $state(false);
  trouble = $state<string | null>(null);
  open = $state.raw<OpenRecord | null>(null);
  /** Cases whose records have been written here. */
  written = $state.raw<ReadonlySet<string>>(new Set());
  readonly drafts: Drafts<RecordDraft>;
  private own = $state.raw<RecordsPage["counts"] | null>(null);
  private everybodys = $state.raw<RecordsPage["counts"] | null>(null);

  constructor(private readonly around: RecordsSurroundings) {
    this.drafts = new Drafts(around.local, "records");
  }

  /** Whether this person sees everybody's. */
  get leads(): boolean {
    const role = this.around.me()?.role;
    return role === "supervisor" || role === "administrator";
  }

  /** How many records ask this person for something. */
  get todo(): number {
    const { own, everybodys } = this;
    return (own ? own.to_write + own.sent_back + own.follow_up : 0) + (everybodys?.to_review ?? 0);
  }

  async begin(session: Session): Promise<void> {
    await this.drafts.restore(session);
  }

  /** Asks how much there is to do. Never raises: the next time tells. */
  async count(): Promise<void> {
    const { desk } = this.around;
    try {
      [this.own, this.everybodys] = await Promise.all([
        desk.records("to_write", true).then(({ counts }) => counts),
        this.leads ? desk.records("to_review", false).then(({ counts }) => counts) : null,
      ]);
    } catch {
      // Asked again soon.
    }
  }

  async turn(list: RecordList, mine = this.mine): Promise<void> {
    if (list !== this.list || mine !== this.mine) this.entries = null;
    this.list = list;
    this.mine = mine || !this.leads;
    await this.look();
  }

  async look(further = false): Promise<void> {
    const { list, mine } = this;
    const known = further ? (this.entries ?? []) : [];
    try {
      const page = await this.around.desk.records(list, mine, known.length);
      // Somebody has turned to another list meanwhile.
      if (list !== this.list || mine !== this.mine) return;
      this.entries = [...known, ...page.records];
      this.more = page.records.length === PAGE;
      this.counts = page.counts;
      this.trouble = null;
    } catch (error) {
      this.trouble = reasonOf(error);
    }
  }

  /** Opens a record, to be written, read or looked through. */
  async show(caseId: string): Promise<void> {
    const { desk, chat, me, pause } = this.around;
    await this.shut();
    const record = new OpenRecord(caseId, {
      desk, chat, pause, drafts: this.drafts, me: () => me()?.user_id ?? "",
      saved: (id) => (this.written = new Set([...this.written, id])),
    });
    this.open = record;
    await record.open();
  }

  /** Puts the open record away; what was written stays as a draft. */
  async shut(): Promise<void> {
    const { open } = this;
    this.open = null;
    await open?.close();
    if (open) await Promise.all([this.count(), this.entries ? this.look() : undefined]);
  }

  async followUp(caseId: string): Promise<void> {
    try {
      await this.around.desk.followUp(caseId);
      await Promise.all([this.look(), this.count()]);
    } catch (error) {
      this.trouble = reasonOf(error);
    }
  }

  forget(): void {
    this.drafts.forget();
    this.open = null;
    this.written = new Set();
    this.entries = this.counts = this.own = this.everybodys = null;
    this.list = "to_write";
    this.mine = true;
  }
}
