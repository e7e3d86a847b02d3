// The young person's visit: from the start screen through waiting and talking to the end.
import {
  Desk, DeskError, type AppTicket, type AppWay, type DeskFacts, type MatrixInvite, type MyCase, type MoveLink,
  type OpenedCase, type PublicLedger,
} from "../../desk/api";
import type { GuidanceList } from "../../guidance/list";
import { wording } from "../../i18n/youth/wording.svelte";
import type { Chat, ChatOptions, Connection, Session } from "../../matrix";
import { Conversation } from "../conversation/conversation.svelte";
import type { Background } from "./background.svelte";
import type { Notices } from "./notices.svelte";
import type { Answers } from "../codes";
import { STORE_PREFIX, type Traces, type Visit } from "./traces";

export type Stage = "start" | "moving" | "returning" | "beginning" | "room" | "elsewhere" | "gone" | "lost";
export type Trouble = "unreachable" | "refused" | "busy" | "today" | null;

/** Why a link or code to a move did not work. */
export type MoveTrouble =
  "unknown" | "used" | "expired" | "ended" | "locked" | "passphrase" | "busy" | "unreachable" | "own";

/** What the visit needs from outside; tests bring their own. */
export interface Surroundings {
  desk: Desk;
  traces: Traces;
  openChat: (options: ChatOptions) => Promise<Chat>;
  signIn: (user: string, password: string, deviceName: string) => Promise<Session>;
  signOut: (session: Session) => Promise<void>;
  newStorageKey: () => string;
  removeStore: (store: string) => void;
  removeStores: (prefix: string, keep: string | null) => Promise<void>;
  /** Only one tab may use a device. Gives false while another one holds it (unless `steal`). */
  hold: (name: string, steal: boolean, lost: () => void) => Promise<boolean>;
  pause: (ms: number) => Promise<void>;
  background: Pick<Background, "leave" | "install" | "installable">;
  notices: Notices;
  /** The guidance without the desk's API: as the server or this browser still has it. */
  guidance: () => Promise<GuidanceList | null>;
  /** The return phrase with its list of words: loaded when somebody asks for it. */
  phrase: () => Promise<Pick<typeof import("./phrase"), "newPhrase" | "keysOf" | "wordsOf" | "unknownIn">>;
}

const POLL_MS = 25_000;
const FIRST_WORDS_MS = 15_000;

export class Youth {
  stage = $state<Stage>("start");
  facts = $state.raw<DeskFacts | null>(null);
  factsFailed = $state(false);
  guidance = $state.raw<GuidanceList | null>(null);
  trouble = $state<Trouble>(null);
  mine = $state.raw<MyCase | null>(null);
  conversation = $state.raw<Conversation | null>(null);
  connection = $state<Connection>("starting");
  keys = $state<"opening" | "open" | "failed">("opening");
  /** The words of the return phrase, once, right after they were made. */
  words = $state.raw<readonly string[] | null>(null);
  keeping = $state(false);
  surveying = $state(false);
  surveyed = $state(false);
  surveyFailed = $state(false);
  /** Whoever opens the page in this browser is in the conversation at once. */
  remembered = $state(false);
  /** Why somebody could not come back. */
  refused = $state<"unknown" | "destroyed" | "moved" | "busy" | "unreachable" | null>(null);
  /** The link or code by which somebody comes from an app, and what is known of it. */
  move = $state.raw<{
    link: MoveLink;
    /** Null until it has been looked at. */
    channel: string | null;
    passphrase: boolean | null;
    triesLeft: number | null;
  } | null>(null);
  moveTrouble = $state<MoveTrouble | null>(null);
  confirming = $state(false);
  /** Whether the app that somebody came from may say that there is news. */
  news = $state(true);
  newsTrouble = $state(false);
  /** The case is open again, its earlier messages could not be. */
  withoutPast = $state(false);
  renewed = $state(false);
  /** The receipt of the wish by which everything was destroyed, where that is why nothing opens. */
  destroyed = $state<string | null>(null);
  ending = $state(false);
  private visit: Visit | null = null;
  private chat: Chat | null = null;
  private polling: AbortController | null = null;
  private pastLoaded = false;

  readonly closed = $derived(this.mine?.state === "closed" || this.mine?.state === "purged");

  constructor(private readonly around: Surroundings) {}

  /** Came from elsewhere; what was said there opens as soon as the keeper has let this account in. */
  get moved(): boolean {
    return this.visit?.moved ?? false;
  }

  /** Came from an app that can be told that there is news. */
  get fromApp(): boolean {
    return this.moved && !isOwn(this.visit?.cameBy ?? null);
  }

  /** A code by which this conversation goes on in a Matrix client. Raises DeskError. */
  inviteToMatrix(): Promise<MatrixInvite> {
    return this.around.desk.inviteToMatrix();
  }

  get notices(): Notices {
    return this.around.notices;
  }

  get background(): Surroundings["background"] {
    return this.around.background;
  }

  /** For sheets with a model of their own. */
  get desk(): Desk {
    return this.around.desk;
  }

  get ownUserId(): string | null {
    return this.visit?.session.userId ?? null;
  }

  /** Called once, when the page is there. `token`: of a link from an app, which goes before any earlier visit. */
  async arrive(token: string | null = null): Promise<void> {
    const { traces } = this.around;
    this.visit = traces.visit;
    this.remembered = traces.remembered;
    const looked = this.look();
    void this.around.removeStores(STORE_PREFIX, this.visit?.store ?? null);
    if (token !== null) return this.lookAtMove({ token });
    if (this.visit) await this.goOn(false);
    await looked;
    // Only a desk that was reached can say that it has no notices.
    if (this.facts) await this.notices.recall(this.facts.push_key, this.remembered && this.visit !== null);
  }

  /** Shows what a link or code leads to; nothing is spent by it. */
  async lookAtMove(link: MoveLink): Promise<void> {
    this.stage = "moving";
    this.move = { link, channel: null, passphrase: null, triesLeft: null };
    this.moveTrouble = null;
    try {
      const { channel, passphrase } = await this.around.desk.lookAtMove(link);
      this.move = { link, channel, passphrase, triesLeft: null };
    } catch (error) {
      this.moveTrouble = asMoveTrouble(error);
    }
  }

  /** The person's own word: the case goes on here. */
  async confirmMove(passphrase: string | null): Promise<void> {
    const { move } = this;
    if (!move || this.confirming) return;
    this.confirming = true;
    this.moveTrouble = null;
    try {
      const opened = await this.around.desk.confirmMove(move.link, passphrase);
      this.around.traces.clear();
      void this.notices.end();
      this.visit = { ...this.visitOf(opened), moved: true, cameBy: move.channel, before: opened.before ?? [] };
      this.around.traces.visit = this.visit;
      this.move = null;
      await this.goOn(false);
    } catch (error) {
      this.moveTrouble = asMoveTrouble(error);
      if (this.moveTrouble === "passphrase" && error instanceof DeskError) {
        const left = error.fields["tries_left"];
        this.move = { ...move, passphrase: true, triesLeft: typeof left === "number" ? left : null };
      }
    } finally {
      this.confirming = false;
    }
  }

  /** The person would rather stay on their app; the link goes on working. */
  async stayOnApp(): Promise<void> {
    const { move } = this;
    if (move && this.moveTrouble === null) await this.around.desk.declineMove(move.link).catch(() => undefined);
    await this.leaveMove();
  }

  /** Away from the page of the move: to the conversation that there was, or to the start. */
  async leaveMove(): Promise<void> {
    this.move = null;
    this.moveTrouble = null;
    this.stage = "start";
    if (this.visit) await this.goOn(false);
  }

  /** Whether the app may say that there is news. */
  async wantNews(wanted: boolean): Promise<void> {
    const before = this.news;
    this.news = wanted;
    this.newsTrouble = false;
    try {
      await this.around.desk.wantNews(wanted);
    } catch {
      this.news = before;
      this.newsTrouble = true;
    }
  }

  /** The apps to which somebody who came from one may go back. Raises DeskError. */
  apps(): Promise<AppWay[]> {
    return this.around.desk.myApps();
  }

  /** A link and a code with which the case goes on in an app. Raises DeskError. */
  takeToApp(channelId: string): Promise<AppTicket> {
    return this.around.desk.takeToApp(channelId);
  }

  /** Where it lies and who has opened how much, as the desk has signed it last. */
  ledger(): Promise<PublicLedger> {
    return this.around.desk.publicLedger();
  }

  /** Asks how the desk stands; again and again while the start screen is shown. */
  async look(): Promise<void> {
    try {
      const facts = await this.around.desk.facts();
      this.facts = facts;
      wording.take(facts);
      this.guidance = { made_at: Date.now(), holidays: facts.holidays, guidance: facts.guidance };
      this.factsFailed = false;
      if (facts.open && this.stage === "start" && !this.visit) void this.around.desk.prepare();
      if (this.conversation) this.conversation.silent = [this.facts.keeper_user_id];
    } catch {
      this.factsFailed = true;
      this.guidance ??= await this.around.guidance();
    }
  }

  /** Whether they may begin again by now, where they could not. */
  async lookAtBlock(): Promise<void> {
    if (this.mine?.blocked_until) this.mine = await this.around.desk.myCase().catch(() => this.mine);
  }

  /** One tap: a case, a room, a random account. Writing is possible at once, the keys come behind. */
  async begin(language: string): Promise<void> {
    if (this.stage === "beginning") return;
    this.stage = "beginning";
    this.trouble = null;
    try {
      const opened = await this.around.desk.openCase(language);
      this.visit = this.visitOf(opened);
      this.around.traces.visit = this.visit;
      await this.goOn(false);
    } catch (error) {
      this.stage = "start";
      this.trouble = asTrouble(error);
      void this.look();
    }
  }

  /** A new case of the same person: their words open it, too, and staff see that they came before. */
  async beginAgain(language: string): Promise<void> {
    const { visit } = this;
    if (!visit || this.ending) return;
    this.ending = true;
    this.trouble = null;
    try {
      const opened = await this.around.desk.openCase(language);
      this.conversation?.detach();
      this.keepVisit({ ...visit, caseId: opened.case_id, roomId: opened.room_id, moved: false });
      this.mine = null;
      this.forgetAfterwards();
      await this.converse();
      void this.follow();
      if (this.chat && this.keys === "open") this.conversation?.attach(this.chat);
      this.loadPastOnce();
    } catch (error) {
      this.trouble = asTrouble(error);
    } finally {
      this.ending = false;
    }
  }

  /** Answers what is asked while one waits; nothing in it takes that back. False if it did not get through. */
  async tell(answers: Answers): Promise<boolean> {
    try {
      const kept = await this.around.desk.putAnswers(answers);
      if (this.mine) this.mine = { ...this.mine, answers: kept };
      return true;
    } catch (error) {
      // Somebody has come meanwhile: they can be told.
      const late = error instanceof DeskError && error.status === 409;
      if (late && this.mine) this.mine = { ...this.mine, may_answer: false };
      return false;
    }
  }

  /** Lets the counsellor see when they came before, or takes that back. False if it did not get through. */
  async showPrevious(wanted: boolean): Promise<boolean> {
    try {
      const { shown } = await this.around.desk.showPrevious(wanted);
      if (this.mine) this.mine = { ...this.mine, previous_shown: shown };
      return true;
    } catch {
      return false;
    }
  }

  /** Says how it was. */
  async answer(answers: Parameters<Desk["answerSurvey"]>[0]): Promise<void> {
    this.surveying = true;
    this.surveyFailed = false;
    try {
      await this.around.desk.answerSurvey(answers);
      this.surveyed = true;
    } catch (error) {
      // Answered already, from another phone: thanked all the same.
      if (error instanceof DeskError && error.status === 409) this.surveyed = true;
      else this.surveyFailed = true;
    } finally {
      this.surveying = false;
    }
  }

  /** Stays in this browser when the tab is closed, or does so no more. */
  remember(wanted: boolean): void {
    this.remembered = this.around.traces.remember(wanted);
    // A notice would lead to a page that knows nobody.
    if (!this.remembered && this.notices.on) void this.notices.stop();
  }

  /** The list of words and what is made of them, fetched when somebody needs it. */
  phraseOf(): ReturnType<Surroundings["phrase"]> {
    return this.around.phrase();
  }

  /** Makes a return phrase: from now on its words open this case on any phone. False if that did not work. */
  async makeWords(language: "ja" | "en"): Promise<boolean> {
    const { visit, chat } = this;
    if (!visit || !chat || this.keeping) return false;
    this.keeping = true;
    try {
      const phrase = await this.around.phrase();
      const words = phrase.newPhrase(language);
      const keys = await phrase.keysOf(words, serverOf(visit.session.userId));
      // The messages first: words that open a case without its messages would be half a promise.
      await chat.keepUnder(keys.key, visit.password);
      await this.around.desk.keepReturnKey(keys.id, keys.secret);
      this.words = words;
      return true;
    } catch (error) {
      this.trouble = asTrouble(error);
      return false;
    } finally {
      this.keeping = false;
    }
  }

  /** Opens the case that belongs to these words, with everything said so far. */
  async comeBack(words: readonly string[]): Promise<void> {
    if (this.stage === "returning" || !this.facts) return;
    this.stage = "returning";
    this.refused = null;
    try {
      const keys = await (await this.around.phrase()).keysOf(words, this.facts.server_name);
      const opened = await this.around.desk.comeBack(keys.id, keys.secret);
      this.visit = this.visitOf(opened);
      this.around.traces.visit = this.visit;
      await this.goOn(false, keys.key);
    } catch (error) {
      this.stage = "start";
      this.refused = asRefusal(error);
    }
  }

  /** Takes the visit over from another tab. */
  async takeOver(): Promise<void> {
    await this.goOn(true);
  }

  /** Opens the keys (again) and connects. `kept`: opens what another device has kept. */
  async connect(kept: Uint8Array<ArrayBuffer> | null = null): Promise<void> {
    const { visit } = this;
    if (!visit) return;
    this.keys = "opening";
    try {
      const chat = await this.open(visit);
      this.chat = chat;
      chat.watch((roomId) => {
        if (roomId === null) this.connection = chat.connection;
        else this.loadPastOnce();
        if (chat.connection === "signed_out") this.lose();
      });
      await chat.start();
      this.connection = chat.connection;
      // Signed before it writes: the same identity goes on, and nobody takes this phone for a stranger's.
      if (kept) this.withoutPast = !(await chat.openWith(kept).then(() => true, () => false));
      // By the roster only signed devices are given keys, and only signed ones give them.
      if (chat.guarded) await chat.crossSign(visit.password);
      this.conversation?.attach(chat);
      if (visit.moved) {
        // Only a cross-signed device is given the history of what it enters.
        await chat.crossSign(visit.password);
        chat.acceptInvitationsFrom(await this.keeperId());
      }
      this.keys = "open";
      this.loadPastOnce();
      // Messages go first: this only lets other clients tell this device from a planted one.
      await this.conversation?.outbox.idle(FIRST_WORDS_MS);
      await chat.crossSign(visit.password).catch(() => undefined);
    } catch (error) {
      if (isRefusedToken(error)) this.lose();
      else this.keys = "failed";
    }
  }

  tryNow(): void {
    this.chat?.tryNow();
    this.conversation?.outbox.wake();
  }

  /** The young person goes and may return. */
  async rest(): Promise<void> {
    this.ending = true;
    try {
      const { state } = await this.around.desk.leaveForNow();
      if (this.mine) this.mine = { ...this.mine, state };
    } catch (error) {
      this.trouble = asTrouble(error);
    } finally {
      this.ending = false;
    }
  }

  /** The young person ends the case. */
  async end(): Promise<void> {
    this.ending = true;
    try {
      await this.around.desk.leaveMyCase();
      if (this.mine) this.mine = { ...this.mine, state: "closed" };
    } catch (error) {
      this.trouble = asTrouble(error);
    } finally {
      this.ending = false;
    }
  }

  /** Back to the start screen with nothing left of this visit. */
  async startAfresh(): Promise<void> {
    await this.letGo();
    this.stage = "start";
    await this.look();
  }

  /** For leaving fast: what must be undone, without waiting for any of it. Gives the session that was in use. */
  vanish(): Session | null {
    const session = this.visit?.session ?? null;
    this.around.background.leave();
    void this.letGo();
    return session;
  }

  private visitOf(opened: OpenedCase): Visit {
    if (opened.access_token === undefined || opened.device_id === undefined) throw new DeskError(500, "NO_SESSION");
    return {
      caseId: opened.case_id,
      roomId: opened.room_id,
      session: {
        userId: opened.user_id,
        deviceId: opened.device_id,
        accessToken: opened.access_token,
        storageKey: this.around.newStorageKey(),
      },
      password: opened.password ?? null,
      store: STORE_PREFIX + opened.device_id.toLowerCase(),
      fingerprint: null,
    };
  }

  private async goOn(steal: boolean, kept: Uint8Array<ArrayBuffer> | null = null): Promise<void> {
    const { visit } = this;
    if (!visit) return;
    const held = await this.around.hold("madoguchi " + visit.store, steal, () => this.giveWay());
    if (!held) {
      this.stage = "elsewhere";
      return;
    }
    this.around.desk.token = visit.session.accessToken;
    await this.converse();
    this.stage = "room";
    void this.follow();
    await this.connect(kept);
  }

  // The conversation of the case that the visit leads to, not live yet.
  private async converse(): Promise<void> {
    const { desk, traces } = this.around;
    const kept = await traces.unsent();
    const { visit } = this;
    if (!visit) return;
    this.pastLoaded = false;
    this.conversation = new Conversation({
      roomId: visit.roomId,
      keep: (drafts) => traces.keepUnsent(drafts),
      kept,
      silent: this.facts ? [this.facts.keeper_user_id] : [],
      moved: visit.moved ?? false,
      before: visit.before ?? [],
      onfault: (fault) => void desk.reportLock(visit.roomId, fault).catch(() => undefined),
    });
  }

  private forgetAfterwards(): void {
    this.renewed = false;
    this.words = null;
    this.surveyed = this.surveyFailed = false;
    this.withoutPast = false;
  }

  private async open(visit: Visit): Promise<Chat> {
    const isNew = visit.fingerprint === null;
    const chat = await this.around.openChat({
      session: visit.session, store: visit.store, rosters: this.rosters, ...(isNew ? { first: visit.roomId } : {}),
    });
    if (isNew || visit.fingerprint === chat.fingerprint) {
      this.keepVisit({ ...visit, fingerprint: chat.remembers ? chat.fingerprint : "gone after this page" });
      return chat;
    }
    // The keys of this device are gone. Its id must never be used again: what others send to it would be unreadable.
    await chat.forget();
    if (visit.password === null) throw new DeskError(401, "M_UNKNOWN_TOKEN");
    const session = await this.around.signIn(visit.session.userId, visit.password, "web");
    const store = STORE_PREFIX + session.deviceId.toLowerCase();
    void this.around.signOut(visit.session);
    const fresh = await this.around.openChat({ session, store, rosters: this.rosters });
    const fingerprint = fresh.remembers ? fresh.fingerprint : "gone after this page";
    this.keepVisit({ ...visit, session, store, fingerprint });
    this.around.desk.token = session.accessToken;
    this.renewed = true;
    return fresh;
  }

  private get rosters(): ChatOptions["rosters"] {
    const { traces } = this.around;
    return { load: () => traces.roster, save: (seen) => (traces.roster = seen) };
  }

  private keepVisit(visit: Visit): void {
    this.visit = visit;
    this.around.traces.visit = visit;
  }

  // Follows the case: place, who is there, its end.
  private async follow(): Promise<void> {
    this.polling?.abort();
    const polling = new AbortController();
    this.polling = polling;
    let failures = 0;
    while (!polling.signal.aborted && !this.closed) {
      try {
        const known = this.mine;
        this.mine = await this.around.desk.myCase(known?.pos, known ? POLL_MS : undefined, polling.signal);
        failures = 0;
      } catch (error) {
        if (polling.signal.aborted) return;
        if (error instanceof DeskError && error.status === 404) {
          if (this.mine) this.mine = { ...this.mine, state: "closed" };
          else await this.loseDestroyed();
          return;
        }
        if (hasMoved(error)) {
          this.stop();
          this.stage = "gone";
          return;
        }
        if (isRefusedToken(error) && this.keys !== "opening") return;
        failures += 1;
        await this.around.pause(Math.min(20_000, 1_000 * 2 ** failures));
      }
    }
    if (this.closed) await this.notices.end();
  }

  // What was said before is fetched when the room has been entered, once.
  private loadPastOnce(): void {
    const { visit, conversation } = this;
    if (this.pastLoaded || !visit || !conversation || this.keys !== "open") return;
    if (visit.moved && this.chat?.room(visit.roomId)?.membership !== "join") return;
    this.pastLoaded = true;
    void conversation.loadHistory();
  }

  private async keeperId(): Promise<string> {
    if (!this.facts) await this.look();
    return this.facts?.keeper_user_id ?? `@keeper:${serverOf(this.visit?.session.userId ?? "")}`;
  }

  private giveWay(): void {
    this.stop();
    this.stage = "elsewhere";
  }

  // Nothing is there to go on with: because the person wished it so, or for another reason.
  private async loseDestroyed(): Promise<void> {
    this.lose();
    const found = await this.around.desk.myDeletion().catch(() => null);
    if (this.stage === "lost" && found?.state === "done") this.destroyed = found.receipt;
  }

  private lose(): void {
    this.stop();
    this.stage = "lost";
  }

  private stop(): void {
    this.polling?.abort();
    this.conversation?.detach();
    this.chat?.stop();
    this.chat = null;
  }

  private async letGo(): Promise<void> {
    const { chat, visit } = this;
    if (visit) this.around.removeStore(visit.store);
    this.around.traces.clear();
    this.around.desk.token = null;
    this.stop();
    this.visit = null;
    this.mine = null;
    this.destroyed = null;
    this.conversation = null;
    this.forgetAfterwards();
    this.remembered = false;
    void this.notices.end();
    await chat?.forget().catch(() => undefined);
    void this.around.removeStores(STORE_PREFIX, null);
  }
}

function isRefusedToken(error: unknown): boolean {
  if (error instanceof DeskError) return error.status === 401;
  const { errcode, httpStatus } = error as { errcode?: string; httpStatus?: number };
  return errcode === "M_UNKNOWN_TOKEN" || httpStatus === 401;
}

function asRefusal(error: unknown): NonNullable<Youth["refused"]> {
  if (!(error instanceof DeskError)) return "unreachable";
  if (error.status === 403) return "unknown";
  if (error.status === 404) return "destroyed";
  if (hasMoved(error)) return "moved";
  return error.status === 429 ? "busy" : "unreachable";
}

function hasMoved(error: unknown): boolean {
  return error instanceof DeskError && error.errcode === "JP_MADOGUCHI_MOVED";
}

function asMoveTrouble(error: unknown): MoveTrouble {
  if (!(error instanceof DeskError) || error.status === 0 || error.status >= 500) return "unreachable";
  if (error.status === 429) return "busy";
  if (error.errcode === "JP_MADOGUCHI_PASSPHRASE") return "passphrase";
  const reason = error.fields["reason"];
  if (error.status === 410 && (reason === "used" || reason === "expired" || reason === "ended" || reason === "locked")) {
    return reason;
  }
  return error.status === 409 ? "own" : "unknown";
}

/** A channel of the desk's own, with no app in between. */
export function isOwn(channel: string | null): boolean {
  return channel === "web" || channel === "matrix";
}

function serverOf(userId: string): string {
  return userId.slice(userId.indexOf(":") + 1);
}

function asTrouble(error: unknown): Trouble {
  if (!(error instanceof DeskError) || error.status === 0 || error.status >= 500) return "unreachable";
  if (error.fields["reason"] === "today") return "today";
  return error.status === 429 ? "busy" : "refused";
}
