import type { Holidays } from "../guidance/hours";

// The desk API, /_madoguchi/desk/v1, as this page uses it. Field names are the API's own.
import type { Fault } from "../matrix/chat";
import type { Answers, Codes } from "../screens/codes";
import { solve, type Challenge, type Proof } from "./proof";

export interface Guidance {
  id: string;
  name: string;
  name_easy: string;
  phone: string;
  url?: string;
  hours_text: string;
  /** Null where the hours cannot be known here. */
  open_now: boolean | null;
  checked_on: string | null;
  name_en?: string;
  /** From which a page tells what is open at its own moment. */
  hours?: Hours;
}

export interface Reader {
  who: string;
  kind: "counsellor" | "keeper" | "vault" | "server" | "push" | "app";
  reads: boolean;
}

export interface Minutes {
  low: number;
  high: number;
}

export interface DeskFacts {
  name: string;
  server_name: string;
  open: boolean;
  reason: "hours" | "channel" | "paused" | "full" | null;
  /** Milliseconds since 1970. */
  next_opening: number | null;
  /** When new cases are taken. */
  hours: Hours;
  waiting: number;
  staff_present: number;
  estimate_minutes: Minutes | null;
  guidance: Guidance[];
  holidays: Holidays;
  /** What the page calls itself where others may see it; empty: as it likes. */
  app_name: string;
  quick_exit_url: string;
  keeper_user_id: string;
  /** By which a browser subscribes to notices; null where the desk has none. */
  push_key: string | null;
  /** How long a voice message may be; 0: none are wanted. */
  voice_seconds: number;
  /** Whether those who wait are asked what it is about and which school they go to. */
  questions: boolean;
  /** Whether those who came before are asked whether the counsellor may see that. */
  previous_cases: boolean;
  readers: Reader[];
  /** What the page says in the desk's own words. */
  texts: OwnTexts;
}

/** A text of the young person's page that an administrator may word anew (core/desk/texts.py). */
export type TextKey =
  | "start.title" | "start.lead" | "start.consent" | `start.closed.${"hours" | "paused" | "channel" | "full"}`
  | `room.waiting.${"write" | "nobody"}` | `closed.${"title" | "text"}`;

export type OwnTexts = Partial<Record<ReplyLanguage, Partial<Record<TextKey, string>>>>;

/** `longest`: in characters; `own`: what stands in the place of the page's words. */
export interface ChangeableText {
  key: TextKey;
  longest: number;
  own: Partial<Record<ReplyLanguage, { text: string; changed_by: string; changed_at: number }>>;
}

/** Countries: two letters, `inside` or `unknown`. Null: few, or not known yet. */
export interface PublicLedger {
  readers: Reader[];
  made_at: number | null;
  places: { what: "database" | "files" | "backup"; country: string }[];
  companies: { name: string; company: string; country: string; reads: boolean }[];
  opened: { role: string; cases: number | null }[];
  vault_openings: number | null;
  content_days: number | null;
}

export interface LedgerFact {
  name: string;
  value: string;
}

export interface LedgerChange {
  kind: "added" | "changed" | "gone";
  kind_name: string;
  section: string;
  about: string;
  before: LedgerFact[];
  after: LedgerFact[];
  matters: boolean;
}

/** A viewing ledger in words; drift: what nobody has looked at yet. */
export interface LedgerSeen {
  seq: number;
  day: string;
  sections: {
    name: string;
    title: string;
    lines: { about: string; facts: LedgerFact[]; source: string; watched: boolean }[];
  }[];
  signature: string;
  public_key: string;
  drift: LedgerChange[];
  days: { seq: number; day: string; at: number; changes: number }[];
}

export interface LedgerDiff {
  first: string;
  last: string;
  changes: LedgerChange[];
}

/** The token of a link, or the code that was given with it. */
/** A channel to an app on which a case can go on. */
export interface AppWay {
  channel_id: string;
  kind: string;
  name: string;
  mode: "relay" | "contact_point";
}

/** What leads there, once. */
export interface AppTicket {
  url: string;
  code: string;
  kind: string;
  name: string;
}

export type MoveLink = { token: string } | { code: string };

export interface OpenedCase {
  case_id: string;
  room_id: string;
  user_id: string;
  device_id?: string;
  access_token?: string;
  password?: string;
  /** As whom the person came until they moved here. */
  before?: string[];
}

/** Opens a case, once, on the page. `expires_at` is in milliseconds. */
export interface MoveTicket {
  url: string;
  code: string;
  expires_at: number;
}

/** Opens a case, once, to an account in a Matrix client: who joins the alias says the code, and so does the link. */
export interface MatrixInvite {
  code: string;
  alias: string;
  link: string;
  expires_at: number;
}

/** What a link to a move leads to. `channel`: by what kind of channel the case comes now. */
export interface MoveLooked {
  channel: string;
  passphrase: boolean;
  expires_at: number;
}

export type CaseState = "arriving" | "waiting" | "talking" | "resting" | "closed" | "purged";

export type HoldCode = "court" | "prosecution" | "board" | "own_wish";

/** A wish that what somebody said is destroyed. kept: why it can't be now. Moments are milliseconds. */
export interface Deletion {
  state: "none" | "asked" | "done";
  asked_at: number | null;
  due_at: number | null;
  done_at: number | null;
  receipt: string | null;
  kept: HoldCode | null;
  /** How long it may be taken back. */
  days: number;
  running: boolean;
  destroyed: Record<string, number> | null;
}

/** A case that goes by its person's wish; by: `person`, or who of the staff entered it. */
export interface DeletionSeen {
  case_id: string;
  asked_at: number;
  due_at: number;
  by: string;
  reason: string | null;
  receipt: string;
  kept: HoldCode | null;
}

/** kinds: of each, what went in the last 30 days and what goes in the next; days: null for good. */
export interface Deletions {
  wishes: DeletionSeen[];
  kinds: {
    kind: "media" | "keys" | "content" | "record" | "metadata";
    days: number | null;
    gone_cases: number;
    gone_items: number;
    due: number;
    held: number;
  }[];
}

export interface MyCase {
  case_id: string;
  room_id: string;
  state: CaseState;
  place: number | null;
  ahead: number | null;
  staff_present: number;
  estimate_minutes: Minutes | null;
  counsellor: { user_id: string; name: string } | null;
  /** What they said while they waited; null while the questions have been neither answered nor put away. */
  answers: Answers | null;
  /** Nobody has accepted the case yet. */
  may_answer: boolean;
  /** They have had a case before. */
  repeat: boolean;
  /** Whether they let the counsellor see that; null while they have not been asked. */
  previous_shown: boolean | null;
  /** They can't begin another case before. */
  blocked_until: number | null;
  pos: number;
}

/** What a young person may report of their case. */
export type ReportKind = "hurtful" | "sexual" | "contact" | "doubt" | "other";

/** That something was reported; never words. `kind`: null from a Matrix client; `about_name`: of whom at the desk. */
export interface Report {
  id: number;
  at: number;
  case_id: string | null;
  event_id: string | null;
  kind: ReportKind | null;
  about_name: string | null;
}

/** Why somebody may not begin a new case for a while. */
export type BlockReason = "abuse" | "threats" | "sexual" | "flooding";

/** `by`, `reviewer`: what staff are called; `may_review`: this one is not who made it. */
export interface BlockSeen {
  case_id: string;
  channel: string;
  reason: BlockReason;
  by: string;
  at: number;
  ends_at: number;
  over: boolean;
  reviewer: string | null;
  reviewed_at: number | null;
  may_review: boolean;
}

/** How soon somebody has to look; set by a human. */
export type Risk = "none" | "watch" | "high" | "urgent";

/** A word or phrase that suggests a risk where it stands in what a young person writes. */
export interface RiskWord {
  level: Exclude<Risk, "none">;
  language: "ja" | "en";
  text: string;
}

/** `revision` names this state of the list; a change says which it was made from. */
export interface RiskWords {
  revision: string;
  words: RiskWord[];
}

export type ReplyLanguage = "ja" | "ja-x-easy" | "en";

/** What a counsellor says often. `text` may have blanks, as {name}. */
export interface Reply {
  id: string;
  language: ReplyLanguage;
  title: string;
  text: string;
}

export interface WaitingCase {
  case_id: string;
  channel: string;
  mode: string;
  waiting_since: number;
  place: number;
  repeat: boolean;
  locked: boolean;
  risk: Risk;
  /** The name of the team that it was handed to. */
  team: string | null;
  /** What the person said while they waited. */
  answers: Answers | null;
}

export type Standing = "asked" | "notified" | "opened" | "moved" | "declined" | "unreachable";

export interface OwnCase {
  case_id: string;
  room_id: string;
  /** The young person, or the ghost that stands for them. */
  user_id: string;
  channel: string;
  mode: string;
  state: CaseState;
  accepted_at: number;
  /** The young person is on an app. */
  ghost: boolean;
  /** Given to a colleague who has not come in yet. */
  handing_over: boolean;
  risk: Risk;
  /** Called in, or joined; a colleague looks after it. */
  helping: boolean;
  /** Where its staff talk among themselves, once somebody has needed that. */
  side_room_id: string | null;
  /** The name of the team that it waits for, if it was handed to one. */
  team: string | null;
  /** Where the person stands on the way from their app to the page. */
  move: Standing | null;
  /** The app that they have moved from. */
  came_by: string | null;
  /** Of the page on which the person arrived, if known. */
  language: string | null;
  /** What they said on it while they waited. */
  answers: Answers | null;
  /** Earlier cases of theirs may be looked at. */
  previous: boolean;
}

/** An earlier case of the same person. `day`: YYYY-MM-DD; `minutes`: null if nobody came; topics, risk, outcome: null
 * without a record; `transcript`: what was said still exists. */
export interface Earlier {
  day: string;
  channel: string;
  minutes: number | null;
  topics: Codes["topics"] | null;
  risk: Risk | null;
  outcome: Codes["outcome"] | null;
  transcript: boolean;
}

export interface Queue {
  pos: number;
  waiting: WaitingCase[];
  mine: OwnCase[];
  staff_present: number;
}

/** A page that refused to send, as it told the desk. */
export interface LockReport {
  id: number;
  at: number;
  case_id: string;
  kind: Fault["kind"];
  /** A user id; null where it is the roster itself. */
  about: string | null;
  by: "young_person" | "staff";
}

export type Role = "counsellor" | "supervisor" | "administrator" | "auditor";

export interface Me {
  user_id: string;
  name: string;
  role: Role;
  capacity: number;
  /** On a break. */
  away: boolean;
  /** Would like to talk about a hard case. */
  debrief: boolean;
}

export interface BoardCase {
  case_id: string;
  channel: string;
  mode: string;
  state: CaseState;
  risk: Risk;
  repeat: boolean;
  waiting_since: number;
  accepted_at: number | null;
  /** Of the first message of the young person's that nobody has answered. */
  unanswered_since: number | null;
  team: string | null;
  staff: { user_id: string; name: string; part: "counsellor" | "helper" }[];
}

export interface BoardStaff {
  user_id: string;
  name: string;
  role: Role;
  present: boolean;
  away: boolean;
  load: number;
  capacity: number;
  /** Cases of high risk that came into their hands within seven days. */
  dangerous: number;
  /** Since when they would like to talk about one. */
  debrief_asked_at: number | null;
}

export interface Board {
  at: number;
  open: boolean;
  intake: "open" | "paused";
  cases: BoardCase[];
  staff: BoardStaff[];
  hours: { begins: number; arrived: number; accepted: number; left: number; closed: number }[];
  staff_present: number;
  fewest_present: number;
  /** Whoever waits longer for an answer is shown. */
  unanswered_minutes: number;
}

export interface Colleague {
  user_id: string;
  name: string;
  role: Role;
  present: boolean;
  free: number;
}

/** A group of staff to which a case can be handed over. */
export interface TeamShown {
  id: string;
  name: string;
  /** How many of it take cases. */
  size: number;
  present: number;
}

/** To whom a case can be handed. */
export interface Heirs {
  colleagues: Colleague[];
  teams: TeamShown[];
}

export interface Team {
  id: string;
  name: string;
  members: string[];
}

export interface StaffMember {
  user_id: string;
  name: string;
  role: Role;
  capacity: number;
  present: boolean;
  added_at: number;
  last_seen_at: number | null;
  disabled_at: number | null;
}

export interface AddedStaff {
  user_id: string;
  name: string;
  role: Role;
  capacity: number;
  /** Either a first password or a link to choose one, good once, until `link_ends`. */
  password: string | null;
  link: string | null;
  link_ends: number | null;
}

/** One step of the set-up of an app's account. `look`: the app does not tell, a human has to look. */
export interface CheckFinding {
  step: "secrets" | "token" | "address" | "active" | "test" | "console" | "quota" | "groups";
  state: "good" | "wrong" | "look";
  why: string;
  value: string;
}

export interface ChannelCheck {
  asked_at: number;
  /** null until the bridges have answered. */
  checked_at: number | null;
  findings: CheckFinding[];
}

export interface Channel {
  id: string;
  kind: string;
  name: string;
  mode: string;
  reason: string | null;
  has_secrets: boolean;
  /** Cases that came by it and have not ended. */
  running: number;
  /** Those that it may be in. */
  modes: string[];
  /** What the last check of the connection found. */
  check: ChannelCheck | null;
  changes: { at: number; by: string; mode_before: string | null; mode_after: string; reason: string | null }[];
}

/** `bridges_key`: to which a page seals what opens an account, null where the server has it not; `telegram_polls`: a
 * Telegram bot has to ask for news, because it could not call. */
export interface Channels {
  channels: Channel[];
  bridges_key: string | null;
  telegram_polls: boolean;
}

export interface SuspensionPerson {
  case_id: string;
  risk: Risk;
  state: string;
  standing: Standing | null;
  /** Where the case stays on the app: until when, and whether two people have signed. */
  kept_until: number | null;
  kept_signed: boolean;
  counsellor: string | null;
}

/** A drill: how many people it played, how many moved, within how many minutes 95 % had (null: never). */
export interface Drill {
  id: number;
  at: number;
  by: string;
  people: number;
  moved: number;
  moved_95: number | null;
}

/** A channel, its people, and how many of them would be left with nowhere to go if it closed now. */
export interface Suspension {
  channel_id: string;
  kind: string;
  name: string;
  mode: string;
  reason: string | null;
  people: SuspensionPerson[];
  counts: Record<string, number>;
  nowhere: number;
  closing: { by: string; at: number; reason: string; nowhere: number } | null;
  planned: { mode: string; reason: string; at: number; by: string; refused: string | null } | null;
}

export interface DeskStatus {
  open: boolean;
  staff_present: number;
  counts: { waiting: number; talking: number; closed: number; staff: number; jobs: number; failed_jobs: number };
  processes: { name: string; connections: number | null; last_seen: number | null }[];
  schema: string;
  database: string;
  unchecked_guidance: string[];
  /** Daily examinations; `found`: how much is wrong. */
  checks: { name: "audit" | "bridges" | "events" | "ledger" | "switches" | "vault" | "vault_key"; at: number; found: number }[];
  /** What came in by the channels to apps, and what became of it. */
  ledgers: Ledger[];
  /** What may still be sent to the apps in this month. */
  quotas: Quota[];
}

export interface Quota {
  channel_id: string;
  name: string;
  /** Null: as much as one wants. */
  most: number | null;
  used: number;
  /** Kept for danger and moves. */
  reserve: number;
  read_at: number;
  down_to_reserve: boolean;
}

export interface Ledger {
  channel_id: string;
  name: string;
  received: number;
  repeated: number;
  shown: number;
  placeholders: number;
  answered: number;
  noted: number;
  apart: number;
  waiting: number;
  waiting_since: number | null;
  destroyed: number;
  /** Came in, and is nowhere: anything but 0 is a fault. */
  missing: number;
}

export interface Times {
  from: string;
  to: string;
}

/** When something is open, in Japan's time. Left out: `days` every day; `holidays` null: like any other day. */
export interface Hours {
  weekly: (Times & { days?: ("mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun")[] })[];
  holidays?: Times[] | null;
  exceptions?: (Times & { times?: Times[] })[];
}

export interface DeskSettings {
  name: string;
  hours: Hours;
  last_acceptance_minutes: number;
  most_waiting: number;
  cases_a_day: number;
  session_days: number;
  capacity: number;
  content_days: number;
  media_days: number;
  record_days: number;
  metadata_days: number;
  audit_days: number;
  wish_days: number;
  voice_seconds: number;
  rest_after_minutes: number;
  rest_days: number;
  proof_of_work: number;
  late_minutes: number;
  unanswered_minutes: number;
  staff_room: boolean;
  questions: boolean;
  previous_cases: "off" | "with_consent";
  teams: Team[];
}

export interface Wording {
  name: string;
  name_easy: string;
  name_en: string;
  phone: string;
  url: string | null;
  hours: Hours | null;
  hours_text: string;
  /** Number and hours have just been confirmed. */
  checked: boolean;
}

export interface GuidanceEntry {
  id: string;
  wording: Wording;
  open_now: boolean | null;
  checked_on: string | null;
  /** Nobody has confirmed it for 90 days. */
  due: boolean;
}

/** How often good, in between and bad were answered; null where few would be told. */
export interface SurveyMonth {
  month: string;
  given: Record<"heard" | "mood" | "again", (number | null)[] | null>;
}

/** A record 相談記録 as it stands. Its words are events of the case's side room. */
export interface CaseRecord {
  state: "written" | "sent_back" | "reviewed";
  codes: Codes;
  note_event: string | null;
  written_by: string;
  written_at: number;
  changed_at: number;
  reviewed_by: string | null;
  reviewed_at: number | null;
  review_event: string | null;
  followed_up_at: number | null;
}

export interface RecordOfCase {
  case_id: string;
  channel: string;
  arrived_at: number;
  accepted_at: number | null;
  closed_at: number | null;
  /** Null while none is written. */
  record: CaseRecord | null;
  /** What a new one begins with. */
  defaults: Codes;
  /** What of it the person said themselves while they waited. */
  answers: Answers | null;
}

export type RecordList = "to_write" | "sent_back" | "follow_up" | "to_review" | "reviewed";

export interface RecordEntry {
  case_id: string;
  channel: string;
  arrived_at: number;
  closed_at: number | null;
  risk: Risk;
  state: CaseRecord["state"] | null;
  by: string | null;
  by_name: string | null;
  /** YYYY-MM-DD. */
  follow_up: string | null;
  /** When the case is destroyed, where its person wishes it (milliseconds). */
  goes_at: number | null;
}

/** A part of a list, and how long the lists are that ask for something. */
export interface RecordsPage {
  records: RecordEntry[];
  counts: Record<Exclude<RecordList, "reviewed">, number>;
}

/** Null: left out, because it is small or because a small one would follow from it. */
export type Count = number | null;

export interface StatisticsTable {
  name: string;
  /** Which group of cases it divides, and how many these are. */
  of: "accesses" | "answered" | "recorded";
  total: Count;
  cells: { name: string; count: Count }[];
  /** A case may count in more than one cell. */
  several: boolean;
  within: string | null;
}

/** Seconds. */
export interface Lasted {
  of: StatisticsTable["of"];
  mean: number;
  median: number;
  longest: number;
}

export type TotalName = "accesses" | "not_answered" | "answered" | "recorded" | "unrecorded" | "not_formed" | "held" | "people" |
  "held_people";

/** Days are YYYY-MM-DD, both included. */
export interface Figures {
  first: string;
  last: string;
  totals: Record<TotalName, Count>;
  tables: StatisticsTable[];
  waiting: Lasted | null;
  duration: Lasted | null;
  /** On average: cases looked after at once, and staff who had one. */
  hours: { hour: number; lines: number | null; staff: number | null }[];
  survey: SurveyMonth[];
}

export interface Statistics {
  fewest: number;
  current: Figures;
  /** Of the span of the same length before. */
  previous: Figures;
}

export interface AuditEntry {
  seq: number;
  at: number;
  actor: string;
  act: string;
  subject: string;
  /** JSON text, or empty. */
  detail: string;
}

export type Handover = "in_person" | "in_conversation";
export type Refusal = "not_the_person" | "rights_of_others" | "no_grounds" | "not_kept" | "withdrawn";
type DisclosureState = "asked" | "approved" | "opened" | "done" | "refused" | "expired";

/** What a young person asked for of their own. */
export interface OwnDisclosure {
  state: DisclosureState;
  asked_at: number;
  ends_at: number;
  handover: Handover | null;
  refusal: Refusal | null;
}

/** A request to see what is kept of a case. Names are null for the person and for the system's operator. */
export interface Disclosure {
  id: string;
  case_id: string;
  kind: "own" | "court" | "life_at_risk";
  state: DisclosureState;
  reason: string;
  reference: string;
  side_room: boolean;
  asked_by: { id: string; name: string | null };
  asked_at: number;
  ends_at: number;
  decided_by: { id: string; name: string | null } | null;
  decided_at: number | null;
  handover: Handover | null;
  refusal: Refusal | null;
  opened_at: number | null;
  done_at: number | null;
  may_decide: boolean;
  may_withdraw: boolean;
  may_look: boolean;
  may_finish: boolean;
}

/** All that the desk's server knows of who somebody is. */
export interface Identity {
  desk: string;
  case_id: string;
  channel: string;
  state: CaseState;
  user_id: string;
  since: number;
  arrived_at: number;
  seen_at: number | null;
  said_at: number | null;
  names: string[];
  known: Pick<Codes, "age" | "school" | "grade" | "gender" | "prefecture"> | null;
  addresses: { address: string; first_at: number; last_at: number }[];
  /** Kinds of the apps on which bridges know them. */
  apps: string[];
  ends_at: number;
}

/** The desk said no, or could not be reached (`status` 0). `fields` is the answer's JSON. */
export class DeskError extends Error {
  constructor(readonly status: number, readonly errcode: string, readonly fields: Record<string, unknown> = {}) {
    super(errcode);
  }
}

type Query = Record<string, string | number | undefined>;

/** Every call raises DeskError. Long polls take a position and wait up to `timeout` milliseconds. */
export class Desk {
  token: string | null = null;
  private arrivalKey: string | null = null;
  private preparing = false;
  // Begun once the challenge is there: what is waited for is this phone, never the line.
  private proof: Promise<Proof | null> | null = null;

  constructor(private readonly fetchNow: typeof fetch = (...request) => fetch(...request)) {}

  publicLedger(): Promise<PublicLedger> {
    return this.call("GET", "/ledger");
  }

  facts(): Promise<DeskFacts> {
    return this.call("GET", "/desk");
  }

  /** Does the work of an arrival beforehand, while the start page is read. Never raises. */
  async prepare(): Promise<void> {
    if (this.preparing) return;
    this.preparing = true;
    const challenge = await this.call<Challenge>("GET", "/challenge").catch(() => null);
    if (challenge) this.proof ??= solve(challenge);
    else this.preparing = false;
  }

  async openCase(language: string): Promise<OpenedCase> {
    // Under the same key an arrival whose answer was lost is repeated, and opens no second case.
    this.arrivalKey ??= newArrivalKey();
    const body = { channel: "web", language, with_password: true, arrival_key: this.arrivalKey };
    for (let triesLeft = 3; ; triesLeft--) {
      const proof = (await this.proof) ?? undefined;
      try {
        const opened = await this.call<OpenedCase>("POST", "/cases", { body: { ...body, proof } });
        this.arrivalKey = this.proof = null;
        this.preparing = false;
        return opened;
      } catch (error) {
        // None yet, or the page was read for longer than a challenge is good: a fresh one came with the answer.
        if (!(error instanceof DeskError) || error.errcode !== "JP_MADOGUCHI_PROOF" || triesLeft === 0) throw error;
        this.proof = solve(error.fields["challenge"] as Challenge);
        if ((await this.proof) === null) throw error;
      }
    }
  }

  myCase(after?: number, timeout?: number, signal?: AbortSignal): Promise<MyCase> {
    return this.call("GET", "/cases/mine", { query: { after, timeout }, signal });
  }

  leaveMyCase(): Promise<unknown> {
    return this.call("POST", "/cases/mine/leave", { body: {} });
  }

  myDeletion(): Promise<Deletion> {
    return this.call("GET", "/cases/mine/deletion");
  }

  /** `end`: a case that runs is ended by it. */
  askDeletion(end: boolean): Promise<Deletion> {
    return this.call("POST", "/cases/mine/deletion", { body: { end } });
  }

  takeBackDeletion(): Promise<Deletion> {
    return this.call("DELETE", "/cases/mine/deletion");
  }

  leaveForNow(): Promise<{ state: CaseState }> {
    return this.call("POST", "/cases/mine/rest", { body: {} });
  }

  /** Nothing in them takes back what was said, or puts the questions away. */
  putAnswers(answers: Answers): Promise<Answers> {
    return this.call("PUT", "/cases/mine/answers", { body: answers });
  }

  /** Whether the counsellor may see when they came before. */
  showPrevious(shown: boolean): Promise<{ shown: boolean }> {
    return this.call("PUT", "/cases/mine/previous", { body: { shown } });
  }

  /** Each look stands in the audit log. */
  async previous(caseId: string): Promise<Earlier[]> {
    return (await this.call<{ cases: Earlier[] }>("GET", `/cases/${caseId}/previous`)).cases;
  }

  answerSurvey(answers: Partial<Record<"heard" | "mood" | "again", number>>): Promise<unknown> {
    return this.call("POST", "/cases/mine/survey", { body: answers });
  }

  async ownDisclosure(): Promise<OwnDisclosure | null> {
    return (await this.call<{ disclosure: OwnDisclosure | null }>("GET", "/cases/mine/disclosure")).disclosure;
  }

  async askForOwn(): Promise<OwnDisclosure | null> {
    const path = "/cases/mine/disclosure";
    return (await this.call<{ disclosure: OwnDisclosure | null }>("POST", path, { body: {} })).disclosure;
  }

  async survey(): Promise<SurveyMonth[]> {
    return (await this.call<{ months: SurveyMonth[] }>("GET", "/survey")).months;
  }

  keepReturnKey(id: string, secret: string): Promise<unknown> {
    return this.call("PUT", "/return_key", { body: { id, secret } });
  }

  /** What a link to a move leads to. Looking spends nothing. */
  lookAtMove(link: MoveLink): Promise<MoveLooked> {
    return this.call("POST", "/move/look", { body: link });
  }

  async confirmMove(link: MoveLink, passphrase: string | null): Promise<OpenedCase> {
    // As with an arrival: when the answer is lost, the same key is given the same case again.
    this.arrivalKey ??= newArrivalKey();
    const words = passphrase === null ? {} : { passphrase };
    const body = { ...link, ...words, with_password: true, arrival_key: this.arrivalKey };
    const opened = await this.call<OpenedCase>("POST", "/move", { body });
    this.arrivalKey = null;
    return opened;
  }

  /** A code by which one's own case goes on in a Matrix client. */
  inviteToMatrix(): Promise<MatrixInvite> {
    return this.call("POST", "/cases/mine/move/matrix", { body: {} });
  }

  declineMove(link: MoveLink): Promise<unknown> {
    return this.call("POST", "/move/decline", { body: link });
  }

  wantNews(wanted: boolean): Promise<unknown> {
    return this.call("PUT", "/cases/mine/news", { body: { wanted } });
  }

  /** Where somebody who came from an app may go back to. */
  async myApps(): Promise<AppWay[]> {
    return (await this.call<{ apps: AppWay[] }>("GET", "/cases/mine/apps")).apps;
  }

  takeToApp(channelId: string): Promise<AppTicket> {
    return this.call("POST", "/cases/mine/app_ticket", { body: { channel_id: channelId } });
  }

  keepSubscription(subscription: object): Promise<unknown> {
    return this.call("PUT", "/push_subscription", { body: subscription });
  }

  dropSubscription(): Promise<unknown> {
    return this.call("DELETE", "/push_subscription");
  }

  comeBack(id: string, secret: string): Promise<OpenedCase> {
    return this.call("POST", "/return", { body: { id, secret } });
  }

  me(): Promise<Me> {
    return this.call("GET", "/me");
  }

  queue(after?: number, timeout?: number, signal?: AbortSignal): Promise<Queue> {
    return this.call("GET", "/queue", { query: { after, timeout }, signal });
  }

  accept(caseId: string): Promise<{ case_id: string; room_id: string }> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/accept`, { body: {} });
  }

  handOver(caseId: string, to: { to: string } | { team: string }, reason: string): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/hand_over`, { body: { ...to, reason } });
  }

  callIn(caseId: string, to: string): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/call_in`, { body: { to } });
  }

  /** Comes into the staff's own room of a case; the keeper then invites. */
  enterSideRoom(caseId: string): Promise<{ room_id: string }> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/side_room`, { body: {} });
  }

  join(caseId: string): Promise<{ room_id: string }> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/join`, { body: {} });
  }

  giveBack(caseId: string): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/give_back`, { body: {} });
  }

  rest(caseId: string): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/rest`, { body: {} });
  }

  setRisk(caseId: string, risk: Risk): Promise<unknown> {
    return this.call("PUT", `/cases/${encodeURIComponent(caseId)}/risk`, { body: { risk } });
  }

  async texts(): Promise<ChangeableText[]> {
    return (await this.call<{ texts: ChangeableText[] }>("GET", "/texts")).texts;
  }

  /** `text`: null for the page's own words. Gives the whole list. */
  async putText(key: TextKey, language: ReplyLanguage, text: string | null): Promise<ChangeableText[]> {
    const path = `/texts/${key}/${language}`;
    const asked = text === null ? this.call("DELETE", path) : this.call("PUT", path, { body: { text } });
    return ((await asked) as { texts: ChangeableText[] }).texts;
  }

  async replies(): Promise<Reply[]> {
    return (await this.call<{ replies: Reply[] }>("GET", "/replies")).replies;
  }

  orderReplies(order: readonly string[]): Promise<unknown> {
    return this.call("PUT", "/replies", { body: { order } });
  }

  putReply({ id, ...wording }: Reply): Promise<unknown> {
    return this.call("PUT", `/replies/${encodeURIComponent(id)}`, { body: wording });
  }

  deleteReply(id: string): Promise<unknown> {
    return this.call("DELETE", `/replies/${encodeURIComponent(id)}`);
  }

  riskWords(): Promise<RiskWords> {
    return this.call("GET", "/risk_words");
  }

  putRiskWords(list: RiskWords): Promise<RiskWords> {
    return this.call("PUT", "/risk_words", { body: list });
  }

  setAway(away: boolean): Promise<Me> {
    return this.call("PUT", "/me/away", { body: { away } });
  }

  /** Whether one would like to talk about a hard case. */
  askDebrief(wanted: boolean): Promise<Me> {
    return this.call("PUT", "/me/debrief", { body: { wanted } });
  }

  debriefed(userId: string): Promise<unknown> {
    return this.call("POST", `/staff/${encodeURIComponent(userId)}/debriefed`, { body: {} });
  }

  board(): Promise<Board> {
    return this.call("GET", "/board");
  }

  setIntake(intake: Board["intake"]): Promise<unknown> {
    return this.call("PUT", "/intake", { body: { intake } });
  }

  close(caseId: string): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/close`, { body: {} });
  }

  block(caseId: string, reason: BlockReason, hours: number): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/block`, { body: { reason, hours } });
  }

  async blocks(): Promise<BlockSeen[]> {
    return (await this.call<{ blocks: BlockSeen[] }>("GET", "/blocks")).blocks;
  }

  /** Lets a block stand for so many days; 0 lifts it. */
  reviewBlock(caseId: string, days: number): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/block/review`, { body: { days } });
  }

  recordOf(caseId: string): Promise<RecordOfCase> {
    return this.call("GET", `/cases/${encodeURIComponent(caseId)}/record`);
  }

  putRecord(caseId: string, codes: Codes, noteEvent: string | null): Promise<CaseRecord> {
    const body = { ...codes, note_event: noteEvent };
    return this.call("PUT", `/cases/${encodeURIComponent(caseId)}/record`, { body });
  }

  reviewRecord(caseId: string, verdict: "reviewed" | "sent_back", noteEvent: string | null): Promise<CaseRecord> {
    const body = { verdict, note_event: noteEvent };
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/record/review`, { body });
  }

  followUp(caseId: string): Promise<CaseRecord> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/record/followed_up`, { body: {} });
  }

  records(list: RecordList, mine: boolean, skip = 0): Promise<RecordsPage> {
    return this.call("GET", "/records", { query: { list, mine: String(mine), skip } });
  }

  /** Tells the desk that nothing is sent into a room, and why. Nothing of what was written goes along. */
  reportLock(roomId: string, fault: Fault): Promise<unknown> {
    const { kind, about } = fault;
    return this.call("POST", "/lock_reports", { body: about === null ? { room_id: roomId, kind } : { room_id: roomId, kind, about } });
  }

  /** Tells those who lead the desk that something is not right; `eventId`: of the message that it is about. */
  report(kind: ReportKind, eventId: string | null): Promise<unknown> {
    return this.call("POST", "/cases/mine/report", { body: eventId === null ? { kind } : { kind, event_id: eventId } });
  }

  /** What nobody has looked into yet. */
  async reports(): Promise<Report[]> {
    return (await this.call<{ reports: Report[] }>("GET", "/reports", { query: { unseen: "true" } })).reports;
  }

  reportSeen(id: number): Promise<unknown> {
    return this.call("POST", `/reports/${id}/seen`, { body: {} });
  }

  async lockReports(): Promise<LockReport[]> {
    return (await this.call<{ reports: LockReport[] }>("GET", "/lock_reports")).reports;
  }

  heirs(): Promise<Heirs> {
    return this.call("GET", "/colleagues");
  }

  async staff(): Promise<StaffMember[]> {
    return (await this.call<{ staff: StaffMember[] }>("GET", "/staff")).staff;
  }

  addStaff(
    entry: { localpart: string; name: string; role: Role; capacity: number; invite: boolean },
  ): Promise<AddedStaff> {
    return this.call("POST", "/staff", { body: entry });
  }

  changeStaff(userId: string, change: { name?: string; role?: Role; capacity?: number }): Promise<unknown> {
    return this.call("PUT", `/staff/${encodeURIComponent(userId)}`, { body: change });
  }

  resetPassword(userId: string): Promise<{ user_id: string; password: string }> {
    return this.call("POST", `/staff/${encodeURIComponent(userId)}/password`, { body: {} });
  }

  disableStaff(userId: string): Promise<unknown> {
    return this.call("POST", `/staff/${encodeURIComponent(userId)}/disable`, { body: {} });
  }

  /** Connects an account of an app; gives the new channel's id. `sealed`: what opens it, for the bridges alone;
   * `name`: "" for the app's own. */
  async addChannel(kind: string, name: string, sealed: string): Promise<string> {
    const body = { kind, sealed, ...(name === "" ? {} : { name }) };
    return (await this.call<{ channel_id: string }>("POST", "/channels", { body })).channel_id;
  }

  renewAccount(id: string, sealed: string): Promise<Channels> {
    return this.call("PUT", `/channels/${encodeURIComponent(id)}/account`, { body: { sealed } });
  }

  /** Has the bridges check how an app's account is set up. */
  checkChannel(id: string): Promise<Channels> {
    return this.call("POST", `/channels/${encodeURIComponent(id)}/check`, { body: {} });
  }

  channels(): Promise<Channels> {
    return this.call("GET", "/channels");
  }

  async drills(): Promise<Drill[]> {
    return (await this.call<{ drills: Drill[] }>("GET", "/drills")).drills;
  }

  exportDrill(id: number): Promise<{ file_name: string; media_type: string; text: string }> {
    return this.call("GET", `/drills/${id}/export`);
  }

  async auditLog(before?: number): Promise<AuditEntry[]> {
    return (await this.call<{ entries: AuditEntry[] }>("GET", "/audit", { query: { before } })).entries;
  }

  ledger(language: "ja" | "en", day?: string): Promise<LedgerSeen> {
    return this.call("GET", `/ledger/${encodeURIComponent(day ?? "full")}`, { query: { language } });
  }

  ledgerDiff(language: "ja" | "en", first: string, last: string): Promise<LedgerDiff> {
    return this.call("GET", "/ledger/diff", { query: { language, from: first, to: last } });
  }

  exportLedger(
    format: "html" | "pdf" | "json", language: "ja" | "en", day?: string,
  ): Promise<{ file_name: string; media_type: string; text: string }> {
    return this.call("GET", "/ledger/export", { query: { format, language, day } });
  }

  acknowledgeLedger(seq: number): Promise<unknown> {
    return this.call("POST", "/ledger/acknowledge", { body: { seq } });
  }

  statistics(first: string, last: string): Promise<Statistics> {
    return this.call("GET", "/statistics", { query: { from: first, to: last } });
  }

  exportStatistics(
    first: string, last: string, format: "csv" | "json", language: "ja" | "en",
  ): Promise<{ file_name: string; media_type: string; text: string }> {
    return this.call("GET", "/statistics/export", { query: { from: first, to: last, format, language } });
  }

  switchChannel(id: string, mode: string, reason: string, sign = false): Promise<unknown> {
    return this.call("PUT", `/channels/${encodeURIComponent(id)}/mode`, { body: { mode, reason, sign } });
  }

  suspension(id: string): Promise<Suspension> {
    return this.call("GET", `/channels/${encodeURIComponent(id)}/suspension`);
  }

  withdrawSignature(id: string): Promise<Suspension> {
    return this.call("DELETE", `/channels/${encodeURIComponent(id)}/closing`);
  }

  planSwitch(id: string, mode: string, reason: string, at: number): Promise<Suspension> {
    return this.call("PUT", `/channels/${encodeURIComponent(id)}/plan`, { body: { mode, reason, at } });
  }

  cancelPlan(id: string): Promise<Suspension> {
    return this.call("DELETE", `/channels/${encodeURIComponent(id)}/plan`);
  }

  keepCase(caseId: string, reason: string, until: number): Promise<unknown> {
    return this.call("PUT", `/cases/${encodeURIComponent(caseId)}/keeping`, { body: { reason, until } });
  }

  signKeeping(caseId: string): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/keeping/sign`, { body: {} });
  }

  endKeeping(caseId: string): Promise<unknown> {
    return this.call("DELETE", `/cases/${encodeURIComponent(caseId)}/keeping`);
  }

  async disclosures(): Promise<Disclosure[]> {
    return (await this.call<{ disclosures: Disclosure[] }>("GET", "/disclosures")).disclosures;
  }

  askForCourt(caseId: string, body: { reference: string; reason: string; side_room: boolean }): Promise<Disclosure[]> {
    return this.disclose(`/cases/${encodeURIComponent(caseId)}/court_request`, body);
  }

  askWho(caseId: string, body: { reason: string; hours: number }): Promise<Disclosure[]> {
    return this.disclose(`/cases/${encodeURIComponent(caseId)}/identity_request`, body);
  }

  approveDisclosure(id: string, handover: Handover | null): Promise<Disclosure[]> {
    return this.disclose(`/disclosures/${encodeURIComponent(id)}/approve`, { handover });
  }

  refuseDisclosure(id: string, refusal: Refusal): Promise<Disclosure[]> {
    return this.disclose(`/disclosures/${encodeURIComponent(id)}/refuse`, { refusal });
  }

  finishDisclosure(id: string): Promise<Disclosure[]> {
    return this.disclose(`/disclosures/${encodeURIComponent(id)}/done`, {});
  }

  lookAtIdentity(id: string): Promise<Identity> {
    return this.call("POST", `/disclosures/${encodeURIComponent(id)}/look`, { body: {} });
  }

  private async disclose(path: string, body: object): Promise<Disclosure[]> {
    return (await this.call<{ disclosures: Disclosure[] }>("POST", path, { body })).disclosures;
  }

  /** Where else than to the page the person of a case on an app can be offered to move. */
  async appsFor(caseId: string): Promise<AppWay[]> {
    return (await this.call<{ apps: AppWay[] }>("GET", `/cases/${encodeURIComponent(caseId)}/move/apps`)).apps;
  }

  offerMove(caseId: string, body: { passphrase?: string; to?: string }): Promise<unknown> {
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/move`, { body });
  }

  /** A link and a code to the page, for this client to bring to somebody in a Matrix client. */
  bringMove(caseId: string, passphrase: string | null): Promise<MoveTicket> {
    const body = passphrase === null ? {} : { passphrase };
    return this.call("POST", `/cases/${encodeURIComponent(caseId)}/move/bring`, { body });
  }

  deletions(): Promise<Deletions> {
    return this.call("GET", "/deletions");
  }

  /** Of a case that has ended, for its person. */
  enterDeletion(caseId: string, reason: string): Promise<Deletion> {
    return this.call("PUT", `/cases/${encodeURIComponent(caseId)}/deletion`, { body: { reason } });
  }

  dropDeletion(caseId: string): Promise<Deletion> {
    return this.call("DELETE", `/cases/${encodeURIComponent(caseId)}/deletion`);
  }

  settings(): Promise<DeskSettings> {
    return this.call("GET", "/settings");
  }

  putSetting<Name extends keyof DeskSettings>(name: Name, value: DeskSettings[Name]): Promise<DeskSettings> {
    return this.call("PUT", `/settings/${name}`, { body: { value } });
  }

  async guidance(): Promise<GuidanceEntry[]> {
    return (await this.call<{ guidance: GuidanceEntry[] }>("GET", "/guidance")).guidance;
  }

  orderGuidance(order: readonly string[]): Promise<unknown> {
    return this.call("PUT", "/guidance", { body: { order } });
  }

  putGuidance(id: string, wording: Wording): Promise<unknown> {
    return this.call("PUT", `/guidance/${encodeURIComponent(id)}`, { body: wording });
  }

  deleteGuidance(id: string): Promise<unknown> {
    return this.call("DELETE", `/guidance/${encodeURIComponent(id)}`);
  }

  confirmGuidance(id: string): Promise<unknown> {
    return this.call("POST", `/guidance/${encodeURIComponent(id)}/confirm`, { body: {} });
  }

  status(): Promise<DeskStatus> {
    return this.call("GET", "/status");
  }

  /** A link by which a member of staff chooses their password. */
  invite(userId: string): Promise<{ link: string; link_ends: number }> {
    return this.call("POST", `/staff/${encodeURIComponent(userId)}/invitation`, { body: {} });
  }

  redeemInvitation(token: string, password: string): Promise<{ user_id: string; role: Role }> {
    return this.call("POST", "/staff/redeem", { body: { token, password } });
  }

  redeem(entry: { token: string; localpart: string; name: string; password: string }): Promise<{ user_id: string }> {
    return this.call("POST", "/admin/redeem", { body: entry });
  }

  private async call<T>(
    method: string,
    path: string,
    { query = {}, body, signal }: { query?: Query; body?: object; signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    const headers: Record<string, string> = {};
    if (this.token !== null) headers["Authorization"] = `Bearer ${this.token}`;
    if (body) headers["Content-Type"] = "application/json";
    const request: RequestInit = { method, headers };
    if (body) request.body = JSON.stringify(body);
    if (signal) request.signal = signal;
    let response: Response;
    try {
      response = await this.fetchNow("/_madoguchi/desk/v1" + path + asQuery(query), request);
    } catch {
      throw new DeskError(0, signal?.aborted ? "ABORTED" : "OFFLINE");
    }
    const answer: unknown = await response.json().catch(() => ({}));
    if (!response.ok) {
      const fields = answer as Record<string, unknown>;
      throw new DeskError(response.status, String(fields["errcode"] ?? "M_UNKNOWN"), fields);
    }
    return answer as T;
  }
}

function asQuery(query: Query): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key, String(value)]);
  return pairs.length > 0 ? "?" + new URLSearchParams(pairs).toString() : "";
}

function newArrivalKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(24)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
