// The counsellor's console: who waits, the own cases, and the conversations that are open side by side.
import {
  Desk, DeskError, type AppWay, type BlockReason, type BlockSeen, type Board, type Colleague, type DeskFacts,
  type Earlier, type Heirs, type LockReport, type Me, type MoveTicket, type OwnCase, type Queue, type Reply,
  type Report, type Risk, type RiskWord, type TeamShown,
} from "../../desk/api";
import type { Key } from "../../i18n/staff";
import type { Chat, ChatOptions, Connection, Session } from "../../matrix";
import { Conversation } from "../conversation/conversation.svelte";
import { Disclosures } from "../disclosures/disclosures.svelte";
import { type Draft } from "../conversation/outbox.svelte";
import { Drafts } from "../drafts.svelte";
import { Records } from "../records/records.svelte";
import { redeemTrouble, signInTrouble } from "../trouble";
import { Arrivals } from "./arrivals";
import { filled } from "./blanks";
import { type Hint, Hints } from "./hints.svelte";
import { type IdentitySurroundings, StaffIdentity } from "./identity.svelte";
import { type NoticeSurroundings, Notices } from "./notices.svelte";
import { OWN_REPLIES, OwnReplies } from "./ownreplies.svelte";
import { type Offer, Picker } from "./picker.svelte";
import { canSeal, seal, unseal } from "../sealed";

export const STORE_PREFIX = "madoguchi-staff-";
const POLL_MS = 30_000;
const COLUMNS = 3;
/** How long the keeper may take to let somebody into a room. */
const ENTER_MS = 30_000;
// What the desk keeps for its staff changes seldom; a change is here within so many milliseconds.
const LOOK_UP_MS = 300_000;
const HINTS = "hints";
const WRITTEN = "written";
const NOTICES = "notices";
const ROSTER = "roster";

/** What stays in this browser between visits. */
export interface KeptStaff {
  session: Session;
  fingerprint: string;
  /** Opens the counsellor's own replies: made of the password, which stays nowhere. */
  ownKey?: string;
  /** Words of the identity that nobody has written down yet. */
  unwritten?: readonly string[];
}

/** What the console needs from outside; tests bring their own. */
export interface ConsoleSurroundings {
  desk: Desk;
  load: () => KeptStaff | null;
  save: (kept: KeptStaff | null) => void;
  /** Small things that stay in this browser, by name. */
  local: { load: (name: string) => string | null; save: (name: string, text: string | null) => void };
  notices: Omit<NoticeSurroundings, "load" | "save">;
  openChat: (options: ChatOptions) => Promise<Chat>;
  signIn: (user: string, password: string, deviceName: string) => Promise<Session>;
  signOut: (session: Session) => Promise<void>;
  removeStores: (prefix: string, keep: string | null) => Promise<void>;
  /** 32 bytes, base64, of a password of this account, for one use. */
  keyOfPassword: IdentitySurroundings["keyOfPassword"];
  phrase: IdentitySurroundings["phrase"];
  language: IdentitySurroundings["language"];
  hold: (name: string, steal: boolean, lost: () => void) => Promise<boolean>;
  pause: (ms: number) => Promise<void>;
}

export interface Notice {
  key: Key;
  parameters?: Record<string, string | number>;
}

/** A case of one's own with its conversation. */
export interface Seat {
  case: OwnCase;
  conversation: Conversation;
  picker: Picker;
  /** It is no longer among the running ones. */
  ended: boolean;
  /** That it was handed over from here, and to whom. */
  heir: Notice | null;
  /** Where its staff talk among themselves; null while nobody has needed that. */
  side: Conversation | null;
}

/** What was being written in a room, and what was on its way. */
interface Written {
  text: string;
  unsent: readonly Draft[];
}

/** A case that one advises on without being in it. */
export interface Advice {
  caseId: string;
  conversation: Conversation;
}

/** What became of a case that is no longer one's own; null while the room has not told yet. */
export function endOf({ case: own, conversation, heir }: Omit<Seat, "picker">): Notice | null {
  const { caseState, membership } = conversation.room ?? { caseState: null, membership: "leave" };
  if (caseState === "closed" || caseState === "purged") return { key: "case.closed" };
  if (own.handing_over) return heir ?? { key: "case.passed" };
  if (caseState === "waiting") return { key: "case.returned" };
  return membership === "leave" ? { key: "case.left" } : null;
}

export class Console {
  stage = $state<"signed_out" | "invited" | "opening" | "elsewhere" | "ready">("opening");
  trouble = $state<Key | null>(null);
  working = $state(false);
  me = $state.raw<Me | null>(null);
  facts = $state.raw<DeskFacts | null>(null);
  /** The desk's saved replies. */
  replies = $state.raw<readonly Reply[]>([]);
  /** A case of high risk has just gone out of one's hands. */
  hard = $state(false);
  /** What young people reported and nobody has looked into, for whoever leads the shift. */
  reports = $state.raw<readonly Report[]>([]);
  queue = $state.raw<Queue | null>(null);
  seats = $state.raw<readonly Seat[]>([]);
  advice = $state.raw<readonly Advice[]>([]);
  /** Rooms of the open columns, left to right. */
  columns = $state.raw<readonly string[]>([]);
  active = $state<string | null>(null);
  notice = $state.raw<Notice | null>(null);
  accepting = $state<string | null>(null);
  connection = $state<Connection>("starting");
  private invitation: string | null = null;
  private chat: Chat | null = null;
  private session: Session | null = null;
  private polling: AbortController | null = null;
  private readonly loaded = new Set<string>();
  private kept: KeptStaff | null = null;
  private lookedUp = -Infinity;
  private keeping = Promise.resolve();
  private arrivals = new Arrivals();
  private readonly hints = new Hints((aside) => this.keepAside(aside));

  readonly unread = $derived(
    this.seats.filter(({ ended }) => !ended)
      .reduce((sum, { conversation, side }) => sum + conversation.unread + (side?.unread ?? 0), 0),
  );

  /** The counsellor's own replies. */
  readonly own = new OwnReplies({
    load: () => {
      const box = this.chat?.kept(OWN_REPLIES)?.["box"];
      return typeof box === "string" ? box : null;
    },
    save: async (box) => {
      if (!this.chat) throw new Error("The keys are not open.");
      await this.chat.keep(OWN_REPLIES, { box });
    },
    keyOf: (password) => this.around.keyOfPassword(password, this.session?.userId ?? "", OWN_REPLIES),
    adopt: (ownKey) => this.keepHere({ ownKey }),
  });

  readonly identity: StaffIdentity;

  /** Notifications and sound, as chosen in this browser. */
  readonly notices: Notices;

  readonly records: Records;
  private readonly written: Drafts<Written>;

  /** Who asks who somebody is, and has asked. */
  readonly disclosures: Disclosures;

  constructor(private readonly around: ConsoleSurroundings) {
    const { desk, local, pause } = around;
    this.records = new Records({ desk, local, pause, chat: () => this.chat, me: () => this.me });
    this.disclosures = new Disclosures(desk);
    this.written = new Drafts(local, WRITTEN);
    this.identity = new StaffIdentity({
      ...around,
      keepUnwritten: (words) => this.keepHere(words ? { unwritten: words } : { unwritten: undefined }),
    });
    this.notices = new Notices({
      ...around.notices,
      load: () => around.local.load(NOTICES),
      save: (text) => around.local.save(NOTICES, text),
    });
  }

  /** The keeper's user id. */
  get keeper(): string | null {
    return this.facts?.keeper_user_id ?? null;
  }

  /** Called once, when the page is there: goes on with what this browser kept, or asks to sign in. */
  async arrive(steal = false): Promise<void> {
    const kept = this.around.load();
    if (!kept) {
      this.stage = "signed_out";
      void this.around.removeStores(STORE_PREFIX, null);
      return;
    }
    await this.enter(kept.session, null, kept, steal);
  }

  /** Came by an administrator's link, whose token this is. */
  comesInvited(token: string): void {
    this.invitation = token;
    this.stage = "invited";
  }

  /** Has a password already: signs in as always. */
  async forgetInvitation(): Promise<void> {
    this.invitation = null;
    this.trouble = null;
    this.stage = "opening";
    await this.arrive();
  }

  /** Chooses the password, and comes in with it. */
  async redeem(password: string): Promise<void> {
    if (this.invitation === null) return;
    this.working = true;
    this.trouble = null;
    try {
      const { user_id, role } = await this.around.desk.redeemInvitation(this.invitation, password);
      this.invitation = null;
      if (role !== "auditor") await this.signIn(user_id, password);
      else [this.trouble, this.stage] = ["invited.auditor", "signed_out"];
    } catch (error) {
      this.trouble = redeemTrouble(error, "invited.used");
    } finally {
      this.working = false;
    }
  }

  async signIn(user: string, password: string): Promise<void> {
    this.working = true;
    this.trouble = null;
    try {
      const session = await this.around.signIn(user, password, "相談員の画面");
      await this.enter(session, password, null, false);
    } catch (error) {
      this.trouble = signInTrouble(error);
      this.stage = "signed_out";
    } finally {
      this.working = false;
    }
  }

  /** Removes the keys from this browser. */
  async signOut(): Promise<void> {
    const { session } = this;
    await this.letGo(null);
    if (session) await this.around.signOut(session);
  }

  async accept(caseId: string): Promise<void> {
    this.accepting = caseId;
    this.notice = null;
    this.arrivals.expect(caseId);
    try {
      const taken = await this.around.desk.accept(caseId);
      await this.lookAgain();
      this.open(taken.room_id);
    } catch (error) {
      this.notice = acceptNotice(error);
      await this.lookAgain();
    } finally {
      this.accepting = null;
    }
  }

  /** Opens a conversation: in the active column, or beside the others. */
  open(roomId: string, beside = false): void {
    if (!this.columns.includes(roomId)) {
      if (beside || this.columns.length === 0) this.columns = [...this.columns, roomId].slice(-COLUMNS);
      else this.columns = this.columns.map((column) => (column === (this.active ?? this.columns[0]) ? roomId : column));
    }
    this.active = roomId;
  }

  /** Closes a column, not the case. */
  put(roomId: string): void {
    this.columns = this.columns.filter((column) => column !== roomId);
    if (this.active === roomId) this.active = this.columns[0] ?? null;
    const seat = this.seats.find(({ case: own }) => own.room_id === roomId);
    if (seat?.ended) this.leaveSeat(seat);
    this.advice = this.advice.filter(({ conversation }) => {
      if (conversation.roomId === roomId) conversation.detach();
      return conversation.roomId !== roomId;
    });
  }

  /** Comes into the room where the staff of an own case talk among themselves. Raises DeskError. */
  async enterSide(caseId: string): Promise<void> {
    await this.around.desk.enterSideRoom(caseId);
    await this.lookAgain();
  }

  /** Comes into that room of a colleague's case, to advise, and opens its column. Raises DeskError. */
  async advise(caseId: string): Promise<void> {
    const { room_id } = await this.around.desk.enterSideRoom(caseId);
    if (!this.chat || this.seats.some(({ side }) => side?.roomId === room_id)) return;
    if (!this.advice.some(({ conversation }) => conversation.roomId === room_id)) {
      const conversation = this.conversationIn(room_id);
      this.advice = [...this.advice, { caseId, conversation }];
      this.loadOnce(conversation);
    }
    this.open(room_id, true);
  }

  heirs(): Promise<Heirs> {
    return this.around.desk.heirs();
  }

  /** Says something in the room where the staff of a case talk among themselves, before it is handed over. Raises
   * DeskError, NotSent, or Error when the room did not open; the same `txn` again says nothing twice. */
  async tellStaff(caseId: string, text: string, txn: string): Promise<void> {
    const { room_id } = await this.around.desk.enterSideRoom(caseId);
    await this.whenIn(room_id);
    await this.chat?.send(room_id, { kind: "text", body: text }, txn);
  }

  /** Raises DeskError. */
  async handOver(caseId: string, to: Colleague | TeamShown, reason: string): Promise<void> {
    const person = "user_id" in to;
    await this.around.desk.handOver(caseId, person ? { to: to.user_id } : { team: to.id }, reason);
    const heir: Notice = { key: person ? "case.passed.to" : "case.passed.team", parameters: { name: to.name } };
    this.seats = this.seats.map((seat) => (seat.case.case_id === caseId ? { ...seat, heir } : seat));
    await this.lookAgain();
  }

  /** Takes back what was handed to a team of which nobody has come yet. Raises DeskError. */
  async takeBack(caseId: string): Promise<void> {
    await this.around.desk.accept(caseId);
    await this.lookAgain();
  }

  /** Raises DeskError. */
  async callIn(caseId: string, to: string): Promise<void> {
    await this.around.desk.callIn(caseId, to);
    await this.lookAgain();
  }

  /** Comes into a case openly, and opens its column. Raises DeskError. */
  async join(caseId: string): Promise<void> {
    this.arrivals.expect(caseId);
    const { room_id } = await this.around.desk.join(caseId);
    await this.lookAgain();
    this.open(room_id, true);
  }

  /** Takes a case out of one's hands and its column away. Raises DeskError. */
  async giveBack(own: OwnCase): Promise<void> {
    await this.around.desk.giveBack(own.case_id);
    await this.lookAgain();
    this.put(own.room_id);
  }

  /** The person has left and may return: the case takes no place until they do. Raises DeskError. */
  async rest(caseId: string): Promise<void> {
    await this.around.desk.rest(caseId);
    await this.lookAgain();
  }

  /** Raises DeskError. */
  async setRisk(caseId: string, risk: Risk): Promise<void> {
    await this.around.desk.setRisk(caseId, risk);
    await this.lookAgain();
  }

  /** What the desk's risk words suggest for a case: nothing once it is no longer one's own. */
  hintsFor({ case: own, conversation, ended }: Seat): readonly Hint[] {
    return ended || own.handing_over ? [] : this.hints.of(own, conversation.room?.messages ?? []);
  }

  putAside(caseId: string, word: RiskWord): void {
    this.hints.putAside(caseId, word);
  }

  takeUp(caseId: string, word: RiskWord): void {
    this.hints.takeUp(caseId, word);
  }

  /** To which other apps the person can be offered to move. Raises DeskError. */
  appsFor(caseId: string): Promise<AppWay[]> {
    return this.around.desk.appsFor(caseId);
  }

  /** Offers the person to go on in the sealed room, or at another app (`to`). Raises DeskError. */
  async offerMove(caseId: string, way: { passphrase?: string; to?: string }): Promise<void> {
    await this.around.desk.offerMove(caseId, way);
    await this.lookAgain();
  }

  /** Brings somebody in a Matrix client a link and a code to the page, sealed like all that is said. `words`: in which
   * words. Raises DeskError. */
  async bringMove(
    { case: own, conversation }: Seat, passphrase: string | null, words: (ticket: MoveTicket) => string,
  ): Promise<void> {
    const ticket = await this.around.desk.bringMove(own.case_id, passphrase);
    conversation.outbox.add({ kind: "text", body: words(ticket) });
    await this.lookAgain();
  }

  /** Takes a break, or comes back. Raises DeskError. */
  async setAway(away: boolean): Promise<void> {
    this.me = await this.around.desk.setAway(away);
    await this.lookAgain();
  }

  /** Says that one would like to talk about a hard case, or would not any more. Raises DeskError. */
  async askDebrief(wanted: boolean): Promise<void> {
    this.me = await this.around.desk.askDebrief(wanted);
  }

  /** Says that one has talked with a colleague who asked. Raises DeskError. */
  async debriefed(userId: string): Promise<void> {
    await this.around.desk.debriefed(userId);
  }

  /** Gives every case back that does not rest, then signs out: nobody is left hanging. Raises DeskError; then nothing
   * is signed out. */
  async endShift(): Promise<void> {
    for (const seat of this.seats.filter(({ ended }) => !ended))
      if (!seat.case.handing_over && seat.case.state !== "resting") await this.around.desk.giveBack(seat.case.case_id);
    await this.signOut();
  }

  /** Raises DeskError. */
  board(): Promise<Board> {
    return this.around.desk.board();
  }

  /** When the person of a case came before, if they let that be seen. Raises DeskError. */
  previous(caseId: string): Promise<Earlier[]> {
    return this.around.desk.previous(caseId);
  }

  /** Reads what was reported anew; what fails is tried again by whoever asks next. */
  async readReports(): Promise<void> {
    this.reports = await this.around.desk.reports().catch(() => this.reports);
  }

  /** Says that a report has been looked into. Raises DeskError. */
  async seeReport(id: number): Promise<void> {
    await this.around.desk.reportSeen(id);
    this.reports = this.reports.filter((each) => each.id !== id);
  }

  /** Raises DeskError. */
  lockReports(): Promise<LockReport[]> {
    return this.around.desk.lockReports();
  }

  /** Raises DeskError. */
  async setIntake(intake: Board["intake"]): Promise<void> {
    await this.around.desk.setIntake(intake);
  }

  /** Raises DeskError. */
  async close(caseId: string): Promise<void> {
    await this.around.desk.close(caseId);
    await this.lookAgain();
  }

  /** Ends a case and keeps its person from beginning another one. Raises DeskError. */
  async block(caseId: string, reason: BlockReason, hours: number): Promise<void> {
    await this.around.desk.block(caseId, reason, hours);
    await this.lookAgain();
  }

  /** Raises DeskError. */
  blocks(): Promise<BlockSeen[]> {
    return this.around.desk.blocks();
  }

  /** Raises DeskError. */
  async reviewBlock(caseId: string, days: number): Promise<void> {
    await this.around.desk.reviewBlock(caseId, days);
  }

  tryNow(): void {
    this.chat?.tryNow();
    for (const conversation of this.conversations()) conversation.outbox.wake();
  }

  private async enter(
    session: Session, password: string | null, before: KeptStaff | null, steal: boolean,
  ): Promise<void> {
    const { around } = this;
    this.stage = "opening";
    this.session = session;
    around.desk.token = session.accessToken;
    const store = STORE_PREFIX + session.deviceId.toLowerCase();
    if (!(await around.hold("madoguchi " + store, steal, () => this.giveWay()))) {
      this.stage = "elsewhere";
      return;
    }
    try {
      this.me = await around.desk.me();
      const facts = await around.desk.facts();
      this.facts = facts;
      const chat = await around.openChat({
        session, store,
        rosters: { load: () => around.local.load(ROSTER), save: (seen) => around.local.save(ROSTER, seen) },
      });
      this.chat = chat;
      if (before !== null && before.fingerprint !== chat.fingerprint) {
        // Never go on with a device whose keys are gone: what is sent to it could not be read.
        await this.dismiss("keys.replaced");
        return;
      }
      this.kept = { ...before, session, fingerprint: chat.fingerprint };
      around.save(this.kept);
      chat.watch((roomId) => this.heard(roomId));
      await chat.start();
      // Only a cross-signed device is given the history of the cases it enters.
      await this.identity.settle(chat, password, this.kept.unwritten ?? null);
      chat.acceptInvitationsFrom(facts.keeper_user_id);
      this.connection = chat.connection;
      await this.restoreAside(session);
      await this.records.begin(session);
      await this.written.restore(session);
      this.stage = "ready";
      void this.openOwn(password);
      void this.follow();
      void this.records.count();
    } catch (error) {
      await this.failed(error, password !== null);
    }
  }

  private async failed(error: unknown, fresh: boolean): Promise<void> {
    // Signed out meanwhile.
    if (!this.session) return;
    const status = error instanceof DeskError ? error.status : ((error as { httpStatus?: number }).httpStatus ?? 0);
    if (status === 403) await this.dismiss("signin.notStaff");
    else if (status === 401) await this.dismiss("session.ended");
    else if (fresh) await this.dismiss("signin.offline");
    else {
      // The keys stay: it is the connection.
      this.chat?.stop();
      this.trouble = "keys.failed";
    }
  }

  private async dismiss(trouble: Key): Promise<void> {
    const { session } = this;
    await this.letGo(trouble);
    if (session) void this.around.signOut(session);
  }

  private async letGo(trouble: Key | null): Promise<void> {
    const { chat } = this;
    this.stop();
    this.around.save(null);
    this.around.desk.token = null;
    this.session = null;
    this.kept = null;
    this.replies = [];
    void this.own.use(null);
    this.seats = [];
    this.advice = [];
    this.columns = [];
    this.active = null;
    this.queue = null;
    this.me = null;
    this.loaded.clear();
    this.lookedUp = -Infinity;
    this.arrivals = new Arrivals();
    this.hints.keepOnly([]);
    this.around.local.save(HINTS, null);
    this.records.forget();
    this.written.forget();
    this.disclosures.forget();
    this.reports = [];
    this.hard = false;
    this.identity.forget();
    this.trouble = trouble;
    this.stage = "signed_out";
    await chat?.forget().catch(() => undefined);
  }

  private giveWay(): void {
    this.stop();
    this.stage = "elsewhere";
  }

  private stop(): void {
    this.polling?.abort();
    for (const conversation of this.conversations()) conversation.detach();
    this.chat?.stop();
    this.chat = null;
  }

  private heard(roomId: string | null): void {
    if (!this.chat) return;
    if (roomId === null) {
      this.connection = this.chat.connection;
      if (this.connection === "signed_out") void this.letGo("session.ended");
      return;
    }
    const heard = this.conversations().find((conversation) => conversation.roomId === roomId);
    if (heard) this.loadOnce(heard);
    const seat = this.seats.find(({ case: own }) => own.room_id === roomId);
    if (!seat) return;
    if (this.loaded.has(roomId) && !seat.conversation.loading) this.noteReply(roomId);
    // Handed over and taken out of the room: the queue's news would come only with the end of its long poll.
    if (!seat.ended && this.loaded.has(roomId) && this.chat.room(roomId)?.membership === "leave") void this.lookAgain();
  }

  // The history is fetched when the room has been joined, once.
  private loadOnce(conversation: Conversation): void {
    if (this.loaded.has(conversation.roomId)) return;
    if (this.chat?.room(conversation.roomId)?.membership !== "join") return;
    this.loaded.add(conversation.roomId);
    void conversation.loadHistory().then(() => this.noteReply(conversation.roomId));
  }

  private noteReply(roomId: string): void {
    const seat = this.seats.find(({ case: own }) => own.room_id === roomId);
    const room = this.chat?.room(roomId);
    if (!seat || seat.ended || !room || !this.arrivals.newReply(seat.case, room.messages)) return;
    if (!(this.columns.includes(roomId) && this.notices.watched)) this.notices.tell("reply");
  }

  private conversations(): Conversation[] {
    const own = this.seats.flatMap(({ conversation, side }) => (side ? [conversation, side] : [conversation]));
    return [...own, ...this.advice.map(({ conversation }) => conversation)];
  }

  /** A live conversation. person: whom it is for, where it is for somebody. */
  private conversationIn(roomId: string, person?: string): Conversation {
    const silent = this.keeper === null ? [] : [this.keeper];
    const { text = "", unsent = [] } = this.written.get(roomId) ?? {};
    const conversation: Conversation = new Conversation({
      roomId, silent, text, kept: unsent, ...(person === undefined ? {} : { person }),
      keep: (drafts) => this.keepWritten(roomId, { unsent: drafts.filter(isSmall) }),
      ontext: (now) => this.keepWritten(roomId, { text: now }),
      onfault: (fault) => void this.around.desk.reportLock(roomId, fault).catch(() => undefined),
    });
    if (this.chat) conversation.attach(this.chat);
    return conversation;
  }

  private keepWritten(roomId: string, change: Partial<Written>): void {
    const written = { text: "", unsent: [], ...this.written.get(roomId), ...change };
    this.written.put(roomId, written.text === "" && written.unsent.length === 0 ? null : written);
  }

  private whenIn(roomId: string): Promise<void> {
    const { chat } = this;
    const isIn = (): boolean => chat?.room(roomId)?.membership === "join" && chat.room(roomId)?.encrypted === true;
    if (!chat || isIn()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        unwatch();
        reject(new Error("The room did not open."));
      }, ENTER_MS);
      const unwatch = chat.watch(() => {
        if (!isIn()) return;
        clearTimeout(timer);
        unwatch();
        resolve();
      });
    });
  }

  private sideOf(own: OwnCase, before: Conversation | null): Conversation | null {
    if (own.side_room_id === null || before?.roomId === own.side_room_id) return before;
    return this.conversationIn(own.side_room_id);
  }

  private async follow(): Promise<void> {
    this.polling?.abort();
    const polling = new AbortController();
    this.polling = polling;
    let failures = 0;
    while (!polling.signal.aborted) {
      try {
        const pos = this.queue?.pos;
        const queue = await this.around.desk.queue(pos, pos === undefined ? undefined : POLL_MS, polling.signal);
        this.take(queue);
        void this.lookUp();
        failures = 0;
      } catch (error) {
        if (polling.signal.aborted) return;
        if (error instanceof DeskError && (error.status === 401 || error.status === 403)) {
          await this.letGo("session.ended");
          return;
        }
        failures += 1;
        await this.around.pause(Math.min(15_000, 1_000 * 2 ** failures));
      }
    }
  }

  /** What can be put into a message: the desk's replies, then the counsellor's own. */
  private offers(): readonly Offer[] {
    const own = this.own.list.map((reply): Offer => ({ ...reply, own: true }));
    return [...this.replies.map((reply): Offer => ({ ...reply, own: false })), ...own];
  }

  private fill({ text, language }: Offer): string {
    return filled(text, language, this.me?.name ?? "", this.facts, Date.now());
  }

  private async openOwn(password: string | null): Promise<void> {
    const { kept } = this;
    if (password !== null && kept && canSeal()) {
      const key = await this.around.keyOfPassword(password, kept.session.userId, OWN_REPLIES).catch(() => null);
      if (this.kept === kept && key !== null) this.keepHere({ ownKey: key });
    }
    await this.own.use(this.kept?.ownKey ?? null);
  }

  private keepHere(change: { ownKey?: string; unwritten?: readonly string[] | undefined }): void {
    if (!this.kept) return;
    const { unwritten, ...kept } = { ...this.kept, ...change };
    this.kept = unwritten ? { ...kept, unwritten } : kept;
    this.around.save(this.kept);
  }

  // Without the words nothing is suggested; the next turn of the queue tries again.
  private async lookUp(): Promise<void> {
    const before = this.lookedUp;
    if (Date.now() - before < LOOK_UP_MS) return;
    this.lookedUp = Date.now();
    const { desk } = this.around;
    try {
      const [{ words }, replies, facts] = await Promise.all([desk.riskWords(), desk.replies(), desk.facts()]);
      this.hints.use(words);
      this.replies = replies;
      this.facts = facts;
      await this.chat?.lookAtRoster();
    } catch {
      this.lookedUp = before;
    }
  }

  // Sealed with what the session seals its keys with, and gone with it: whoever has a case next looks for themselves.
  private keepAside(aside: readonly [string, readonly string[]][]): void {
    const { session } = this;
    if (!session || !canSeal()) return;
    this.keeping = this.keeping
      .then(() => seal(session.storageKey, HINTS, aside))
      .then((box) => (this.session === session ? this.around.local.save(HINTS, box) : undefined))
      .catch(() => undefined);
  }

  private async restoreAside({ storageKey }: Session): Promise<void> {
    const box = this.around.local.load(HINTS);
    if (box === null || !canSeal()) return;
    // A box of an earlier session opens no more.
    this.hints.restore(await unseal(storageKey, HINTS, box).catch(() => null));
  }

  /** Whoever leads the shift hears at once that somebody needs their word, and who asked that it was given. */
  private async lookAtRequests(): Promise<void> {
    const { disclosures, me } = this;
    const leads = me?.role !== "counsellor";
    if (!leads && disclosures.urgent.length === 0) return;
    const before = disclosures.urgentToDecide + this.reports.length;
    await Promise.all([disclosures.read(), leads ? this.readReports() : null]);
    if (disclosures.urgentToDecide + this.reports.length > before) this.notices.tell("decision");
  }

  private async lookAgain(): Promise<void> {
    try {
      this.take(await this.around.desk.queue());
    } catch {
      // The long poll goes on and will tell.
    }
  }

  private take(queue: Queue): void {
    if (!this.chat || (this.queue && queue.pos < this.queue.pos)) return;
    this.queue = queue;
    if (this.arrivals.newCase(queue) && !this.me?.away) this.notices.tell("case");
    void this.lookAtRequests();
    this.hints.keepOnly(queue.mine.map((own) => own.case_id));
    this.written.keepOnly([
      ...queue.mine.flatMap((own) => [own.room_id, own.side_room_id ?? ""]),
      ...this.advice.map(({ conversation }) => conversation.roomId),
    ]);
    const running = new Map(queue.mine.map((own) => [own.room_id, own]));
    const seats = this.seats.map((seat): Seat => {
      const own = running.get(seat.case.room_id);
      running.delete(seat.case.room_id);
      if (!own) {
        if (!seat.ended && (seat.case.risk === "high" || seat.case.risk === "urgent")) this.hard = true;
        return { ...seat, ended: true };
      }
      this.chat?.expect(own.room_id, own.user_id);
      seat.conversation.goesOnWith(own.user_id);
      const side = this.sideOf(own, seat.side);
      return { ...seat, case: own, ended: false, heir: seat.ended ? null : seat.heir, side };
    });
    for (const own of running.values()) {
      this.chat.expect(own.room_id, own.user_id);
      const conversation = this.conversationIn(own.room_id, own.user_id);
      const picker = new Picker(conversation, () => this.offers(), (offer) => this.fill(offer), () => own.language);
      seats.push({ case: own, conversation, picker, ended: false, heir: null, side: this.sideOf(own, null) });
    }
    for (const { case: own, ended, conversation, side } of seats) {
      for (const each of side ? [conversation, side] : [conversation]) {
        if (ended && !this.columns.includes(own.room_id)) each.detach();
        else this.loadOnce(each);
      }
    }
    this.seats = seats.filter((seat) => !seat.ended || this.columns.includes(seat.case.room_id));
  }

  private leaveSeat(seat: Seat): void {
    seat.conversation.detach();
    seat.side?.detach();
    this.seats = this.seats.filter((other) => other !== seat);
  }
}

/** Pictures and voices are more than a browser keeps. */
function isSmall({ what }: Draft): boolean {
  return what.kind !== "picture" && what.kind !== "voice";
}

function acceptNotice(error: unknown): Notice {
  if (!(error instanceof DeskError)) return { key: "queue.failed" };
  if (error.errcode === "JP_MADOGUCHI_ALREADY_TAKEN") {
    const by = error.fields["by"] as { name?: string } | undefined;
    return { key: "queue.taken", parameters: { name: by?.name ?? "?" } };
  }
  if (error.errcode === "JP_MADOGUCHI_FULL") {
    return { key: "queue.full", parameters: { capacity: Number(error.fields["capacity"] ?? 0) } };
  }
  return { key: error.status === 409 || error.status === 404 ? "queue.gone" : "queue.failed" };
}
