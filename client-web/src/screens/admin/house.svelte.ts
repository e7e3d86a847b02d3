// Administration: the one-time link, staff, channels and how the house is.
import {
  Desk, DeskError, type AddedStaff, type AuditEntry, type ChangeableText, type Channels, type Deletions,
  type DeskSettings, type DeskStatus, type Drill, type GuidanceEntry, type LockReport, type Me, type OwnTexts,
  type Reply, type ReplyLanguage, type RiskWord, type RiskWords, type Role, type StaffMember,
  type Suspension, type SurveyMonth, type Team, type TextKey, type Wording,
} from "../../desk/api";
import { sealTo } from "../../desk/sealing";
import type { Key } from "../../i18n/staff";
import type { Session } from "../../matrix";
import { reasonOf, redeemTrouble, signInTrouble } from "../trouble";
import { Disclosures } from "../disclosures/disclosures.svelte";
import { type App, type GivenAccount, opening } from "./accounts";
import { LedgerModel } from "./ledger.svelte";
import { StatisticsModel } from "./statistics.svelte";

export interface HouseSurroundings {
  desk: Desk;
  load: () => Session | null;
  save: (session: Session | null) => void;
  signIn: (user: string, password: string, deviceName: string) => Promise<Session>;
  signOut: (session: Session) => Promise<void>;
}

export interface NewStaff {
  localpart: string;
  name: string;
  role: Role;
  capacity: number;
  /** By a link instead of a first password. */
  invite: boolean;
}

export class Administration {
  stage = $state<"opening" | "redeem" | "signed_out" | "ready">("opening");
  trouble = $state<Key | null>(null);
  redeemed = $state(false);
  working = $state(false);
  me = $state.raw<Me | null>(null);
  staff = $state.raw<readonly StaffMember[] | null>(null);
  connections = $state.raw<Channels | null>(null);
  readonly channels = $derived(this.connections?.channels ?? null);
  status = $state.raw<DeskStatus | null>(null);
  guidance = $state.raw<readonly GuidanceEntry[] | null>(null);
  settings = $state.raw<DeskSettings | null>(null);
  survey = $state.raw<readonly SurveyMonth[] | null>(null);
  audit = $state.raw<readonly AuditEntry[] | null>(null);
  replies = $state.raw<readonly Reply[] | null>(null);
  riskWords = $state.raw<RiskWords | null>(null);
  deletions = $state.raw<Deletions | null>(null);
  texts = $state.raw<readonly ChangeableText[] | null>(null);
  drills = $state.raw<readonly Drill[] | null>(null);
  added = $state.raw<AddedStaff | null>(null);
  /** A link to choose a password, once, right after it was made. */
  invited = $state.raw<{ link: string; link_ends: number } | null>(null);
  /** A password that was just given to somebody who had lost theirs. */
  replaced = $state.raw<{ user_id: string; password: string } | null>(null);
  /** The channel whose people are being looked at. */
  suspension = $state.raw<Suspension | null>(null);
  /** How many would be left with nowhere to go, where that was why a closing was refused. */
  left = $state<number | null>(null);
  /** What the desk said about the last refusal. */
  refusal = $state<string | null>(null);
  private token: string | null = null;
  private session: Session | null = null;

  readonly statistics: StatisticsModel;
  readonly ledger: LedgerModel;
  readonly disclosures: Disclosures;

  constructor(private readonly around: HouseSurroundings) {
    this.statistics = new StatisticsModel(around.desk);
    this.ledger = new LedgerModel(around.desk);
    this.disclosures = new Disclosures(around.desk);
  }

  /** `link`: the token of a one-time link, from the part of the address that is never sent to a server. */
  async arrive(link: string | null): Promise<void> {
    if (link !== null) {
      this.token = link;
      this.stage = "redeem";
      return;
    }
    const session = this.around.load();
    if (session) await this.enter(session);
    else this.stage = "signed_out";
  }

  async redeem(localpart: string, name: string, password: string): Promise<void> {
    if (this.token === null) return;
    this.working = true;
    this.trouble = null;
    try {
      await this.around.desk.redeem({ token: this.token, localpart, name, password });
      this.token = null;
      this.redeemed = true;
      await this.signIn(localpart, password);
    } catch (error) {
      this.trouble = redeemTrouble(error, "redeem.used");
    } finally {
      this.working = false;
    }
  }

  async signIn(user: string, password: string): Promise<void> {
    this.working = true;
    this.trouble = null;
    try {
      await this.enter(await this.around.signIn(user, password, "窓口の管理"));
    } catch (error) {
      this.trouble = signInTrouble(error);
      this.stage = "signed_out";
    } finally {
      this.working = false;
    }
  }

  async signOut(): Promise<void> {
    const { session } = this;
    this.letGo(null);
    if (session) await this.around.signOut(session);
  }

  /** Auditors look, and change nothing. */
  get looksOnly(): boolean {
    return this.me?.role === "auditor";
  }

  /** Reads the newest part of the audit log, or what comes before the part that is there. */
  async readAudit(older = false): Promise<void> {
    const known = older ? (this.audit ?? []) : [];
    await this.act(async () => {
      this.audit = [...known, ...(await this.around.desk.auditLog(known.at(-1)?.seq))];
    }, false);
  }

  /** Fetches everything that the page shows. */
  async look(): Promise<void> {
    const { desk } = this.around;
    if (this.looksOnly) return;
    void this.disclosures.read();
    try {
      [this.staff, this.connections, this.status, this.guidance, this.settings, this.survey] = await Promise.all([
        desk.staff(), desk.channels(), desk.status(), desk.guidance(), desk.settings(), desk.survey(),
      ]);
      this.refusal = null;
    } catch (error) {
      if (error instanceof DeskError && error.status === 401) this.letGo("session.ended");
      else this.refusal = reasonOf(error);
    }
  }

  async add(entry: NewStaff): Promise<boolean> {
    this.added = null;
    return this.act(async () => {
      this.added = await this.around.desk.addStaff(entry);
    });
  }

  async change(userId: string, change: { name?: string; role?: Role; capacity?: number }): Promise<boolean> {
    return this.act(() => this.around.desk.changeStaff(userId, change));
  }

  /** Raises DeskError. */
  lockReports(): Promise<LockReport[]> {
    return this.around.desk.lockReports();
  }

  async resetPassword(userId: string): Promise<boolean> {
    this.replaced = null;
    return this.act(async () => {
      this.replaced = await this.around.desk.resetPassword(userId);
    });
  }

  async invite(userId: string): Promise<boolean> {
    this.invited = null;
    return this.act(async () => {
      this.invited = await this.around.desk.invite(userId);
    });
  }

  async disable(userId: string): Promise<boolean> {
    return this.act(() => this.around.desk.disableStaff(userId));
  }

  async saveTeams(teams: readonly Team[]): Promise<boolean> {
    return this.act(() => this.around.desk.putSetting("teams", [...teams]));
  }

  async confirmGuidance(id: string): Promise<boolean> {
    return this.act(() => this.around.desk.confirmGuidance(id));
  }

  /** What the desk says in its own words, as the young person's page is told. */
  get ownTexts(): OwnTexts {
    const own: OwnTexts = {};
    for (const text of this.texts ?? [])
      for (const [language, { text: words }] of Object.entries(text.own) as [ReplyLanguage, { text: string }][])
        (own[language] ??= {})[text.key] = words;
    return own;
  }

  async readTexts(): Promise<boolean> {
    return this.act(async () => {
      this.texts = await this.around.desk.texts();
    }, false);
  }

  /** `text`: null for the page's own words. */
  async putText(key: TextKey, language: ReplyLanguage, text: string | null): Promise<boolean> {
    return this.act(async () => {
      this.texts = await this.around.desk.putText(key, language, text);
    }, false);
  }

  async readReplies(): Promise<boolean> {
    return this.act(() => this.fetchReplies(), false);
  }

  async putReply(reply: Reply): Promise<boolean> {
    return this.changeReplies(() => this.around.desk.putReply(reply));
  }

  async deleteReply(id: string): Promise<boolean> {
    return this.changeReplies(() => this.around.desk.deleteReply(id));
  }

  async orderReplies(order: readonly string[]): Promise<boolean> {
    return this.changeReplies(() => this.around.desk.orderReplies(order));
  }

  private async changeReplies(work: () => Promise<unknown>): Promise<boolean> {
    return this.act(async () => {
      await work();
      await this.fetchReplies();
    }, false);
  }

  private async fetchReplies(): Promise<void> {
    this.replies = await this.around.desk.replies();
  }

  async readDeletions(): Promise<boolean> {
    return this.act(async () => void (this.deletions = await this.around.desk.deletions()), false);
  }

  /** Gives the receipt, null where it was refused. */
  async enterDeletion(caseId: string, reason: string): Promise<string | null> {
    let receipt: string | null = null;
    await this.act(async () => {
      receipt = (await this.around.desk.enterDeletion(caseId, reason)).receipt;
      this.deletions = await this.around.desk.deletions();
    }, false);
    return receipt;
  }

  async takeBackDeletion(caseId: string): Promise<boolean> {
    return this.act(async () => {
      await this.around.desk.dropDeletion(caseId);
      this.deletions = await this.around.desk.deletions();
    }, false);
  }

  /** Fetches the risk words anew: what somebody changes is made from these. */
  async readRiskWords(): Promise<boolean> {
    return this.act(async () => {
      this.riskWords = await this.around.desk.riskWords();
    }, false);
  }

  /** Puts these words in the place of those that were read last. */
  async saveRiskWords(words: readonly RiskWord[]): Promise<boolean> {
    const { riskWords } = this;
    if (!riskWords) return false;
    return this.act(async () => {
      this.riskWords = await this.around.desk.putRiskWords({ revision: riskWords.revision, words: [...words] });
    }, false);
  }

  /** `sign`: the closing is wanted although somebody would be left; a second administrator has to say so, too. */
  async switchChannel(id: string, mode: string, reason: string, sign: boolean): Promise<boolean> {
    this.left = null;
    return this.act(async () => {
      try {
        await this.around.desk.switchChannel(id, mode, reason, sign);
      } catch (error) {
        if (error instanceof DeskError && error.errcode === "JP_MADOGUCHI_PEOPLE_LEFT") {
          this.left = Number(error.fields["nowhere"]);
        }
        throw error;
      }
    });
  }

  /** Connects an account of an app; gives the channel's id, or null where it was refused. */
  async addChannel(app: App, name: string, given: GivenAccount): Promise<string | null> {
    let id: string | null = null;
    await this.act(async () => (id = await this.around.desk.addChannel(app, name, await this.sealed(app, given))));
    return id;
  }

  async renewAccount(id: string, app: App, given: GivenAccount): Promise<boolean> {
    return this.act(async () => {
      this.connections = await this.around.desk.renewAccount(id, await this.sealed(app, given));
    }, false);
  }

  private async sealed(app: App, given: GivenAccount): Promise<string> {
    const found = this.connections;
    if (!found?.bridges_key) throw new Error("There is no key to seal to.");
    return sealTo(found.bridges_key, JSON.stringify(opening(app, given, found.telegram_polls)));
  }

  async checkChannel(id: string): Promise<boolean> {
    return this.act(async () => void (this.connections = await this.around.desk.checkChannel(id)), false);
  }

  async lookAtChannels(): Promise<void> {
    try {
      this.connections = await this.around.desk.channels();
    } catch (error) {
      this.refusal = reasonOf(error);
    }
  }

  async lookAtDrills(): Promise<void> {
    try {
      this.drills = await this.around.desk.drills();
    } catch (error) {
      this.refusal = reasonOf(error);
    }
  }

  /** The report of a drill, as a file. */
  async drillReport(id: number): Promise<{ name: string; blob: Blob } | null> {
    this.refusal = null;
    try {
      const { file_name, text } = await this.around.desk.exportDrill(id);
      // A page that no browser shows from here: it would be of this page's origin.
      return { name: file_name, blob: new Blob([text], { type: "application/octet-stream" }) };
    } catch (error) {
      this.refusal = reasonOf(error);
      return null;
    }
  }

  modesOf(id: string): readonly string[] {
    return this.channels?.find((channel) => channel.id === id)?.modes ?? [];
  }

  async lookAtChannel(id: string): Promise<void> {
    try {
      this.suspension = await this.around.desk.suspension(id);
    } catch (error) {
      this.refusal = reasonOf(error);
    }
  }

  async withdrawSignature(id: string): Promise<boolean> {
    return this.act(async () => void (this.suspension = await this.around.desk.withdrawSignature(id)));
  }

  async planSwitch(id: string, mode: string, reason: string, at: number): Promise<boolean> {
    return this.act(async () => void (this.suspension = await this.around.desk.planSwitch(id, mode, reason, at)));
  }

  async cancelPlan(id: string): Promise<boolean> {
    return this.act(async () => void (this.suspension = await this.around.desk.cancelPlan(id)));
  }

  async keepCase(id: string, caseId: string, reason: string, until: number): Promise<boolean> {
    return this.act(() => this.around.desk.keepCase(caseId, reason, until).then(() => this.lookAtChannel(id)));
  }

  async signKeeping(id: string, caseId: string): Promise<boolean> {
    return this.act(() => this.around.desk.signKeeping(caseId).then(() => this.lookAtChannel(id)));
  }

  async endKeeping(id: string, caseId: string): Promise<boolean> {
    return this.act(() => this.around.desk.endKeeping(caseId).then(() => this.lookAtChannel(id)));
  }

  async putGuidance(id: string, wording: Wording): Promise<boolean> {
    return this.act(() => this.around.desk.putGuidance(id, wording));
  }

  async deleteGuidance(id: string): Promise<boolean> {
    return this.act(() => this.around.desk.deleteGuidance(id));
  }

  async orderGuidance(order: readonly string[]): Promise<boolean> {
    return this.act(() => this.around.desk.orderGuidance(order));
  }

  /** Sets what differs from what stands. Periods that only fit together are tried again once others are set. */
  async saveSettings(wanted: Partial<DeskSettings>): Promise<boolean> {
    return this.act(async () => {
      const stands = await this.around.desk.settings();
      let left = (Object.keys(wanted) as (keyof DeskSettings)[]).filter(
        (name) => wanted[name] !== undefined && JSON.stringify(wanted[name]) !== JSON.stringify(stands[name]),
      );
      while (left.length > 0) {
        const refused: [keyof DeskSettings, unknown][] = [];
        for (const name of left) {
          await this.around.desk.putSetting(name, wanted[name] as DeskSettings[typeof name]).catch((error: unknown) => {
            if (!(error instanceof DeskError) || error.status !== 400) throw error;
            refused.push([name, error]);
          });
        }
        if (refused.length === left.length) throw refused[0]?.[1];
        left = refused.map(([name]) => name);
      }
    });
  }

  private async act(work: () => Promise<unknown>, lookAgain = true): Promise<boolean> {
    this.working = true;
    this.refusal = null;
    try {
      await work();
      if (lookAgain) await this.look();
      return true;
    } catch (error) {
      this.refusal = reasonOf(error);
      return false;
    } finally {
      this.working = false;
    }
  }

  private async enter(session: Session): Promise<void> {
    this.session = session;
    this.around.desk.token = session.accessToken;
    try {
      this.me = await this.around.desk.me();
    } catch (error) {
      const refused = error instanceof DeskError && error.status === 403;
      this.letGo(refused ? "signin.notAdministrator" : "session.ended");
      return;
    }
    if (this.me.role !== "administrator" && this.me.role !== "auditor") {
      this.letGo("signin.notAdministrator");
      void this.around.signOut(session);
      return;
    }
    this.around.save(session);
    this.stage = "ready";
    await this.look();
  }

  private letGo(trouble: Key | null): void {
    this.around.save(null);
    this.around.desk.token = null;
    this.session = null;
    this.me = null;
    this.staff = this.connections = this.status = this.guidance = this.settings = this.survey = this.audit = null;
    this.deletions = null;
    this.riskWords = this.replies = this.texts = this.drills = null;
    this.added = this.replaced = this.invited = null;
    this.statistics.forget();
    this.ledger.forget();
    this.disclosures.forget();
    this.trouble = trouble;
    this.stage = "signed_out";
  }
}
