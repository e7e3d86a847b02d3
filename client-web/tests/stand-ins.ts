// Stand-ins for what models get from outside. No test here needs a browser or a server.
import { Desk, type DeskFacts, type MyCase, type Queue } from "../src/desk/api";
import type { Notices } from "../src/screens/youth/notices.svelte";
import type { Chat, Connection, IdentityState, Message, Note, NoteKind, Outgoing, Room, Session } from "../src/matrix/chat";

export const ROOM = "!room:desk";
export const ME = "@me:desk";
export const KEN = "@ken:desk";
export const KEEPER = "@keeper:desk";
const NOON = Date.UTC(2026, 3, 6, 3, 0);

let serial = 0;

export function said(body: string, by = KEN, more: Partial<Message> = {}): Message {
  serial += 1;
  return {
    id: `$${serial}`, txn: null, sender: by, mine: by === ME, kind: "text", body, at: NOON + serial * 1_000, delivery: null,
    picture: null, voice: null, file: null, answers: null, fromApp: false, corrected: false, reactions: [], ...more,
  };
}

export function roomWith(messages: readonly Message[], more: Partial<Room> = {}): Room {
  const member = (userId: string, name: string) => ({ userId, name, joined: true });
  return {
    id: ROOM, membership: "join", encrypted: true, writable: true, caseState: "talking", messages, changes: [],
    members: [member(ME, "me"), member(KEN, "健"), member(KEEPER, "記録係")],
    typing: [], readUpTo: { [KEN]: -1, [KEEPER]: -1 }, ownReadUpTo: -1, hasEarlier: false, evidence: null, ...more,
  };
}

/** A chat that keeps what it was asked to do. */
export class FakeChat implements Chat {
  userId = ME;
  connection: Connection = "online";
  fingerprint = "key one";
  remembers = true;
  rooms = new Map<string, Room>();
  sent: { what: Outgoing; txn: string }[] = [];
  read: string[] = [];
  typing: boolean[] = [];
  forgotten = false;
  stopped = false;
  signedBy: (string | null)[] = [];
  host: string | null = null;
  loads: string[] = [];
  keptUnder: number[] | null = null;
  opensWith: number[] | null = null;
  opened = false;
  takenBack: string[] = [];
  account = new Map<string, Record<string, unknown>>();
  sending: (what: Outgoing, txn: string) => Promise<string> = async (_what, txn) => "$of-" + txn;
  private listeners = new Set<(roomId: string | null) => void>();

  start = async (): Promise<void> => undefined;
  crossSign = async (password: string | null): Promise<void> => void this.signedBy.push(password);
  identity: IdentityState = "kept";
  identitySecret: string | null = null;
  identityState = async (): Promise<IdentityState> => this.identity;
  openIdentity = async (secret: string): Promise<boolean> => {
    const opened = secret === this.identitySecret;
    if (opened) this.identity = "kept";
    return opened;
  };
  keepIdentity = async (secret: string): Promise<void> => {
    this.identitySecret = secret;
    this.identity = "kept";
  };
  renewals: (string | null)[] = [];
  renewIdentity = async (secret: string, password: string | null): Promise<void> => {
    this.renewals.push(password);
    await this.keepIdentity(secret);
  };
  keepUnder = async (key: Uint8Array): Promise<void> => void (this.keptUnder = [...key]);
  openWith = async (key: Uint8Array): Promise<void> => {
    if (this.opensWith !== null && this.opensWith.join() !== [...key].join()) throw new Error("not the key");
    this.opened = true;
  };
  stop = (): void => void (this.stopped = true);
  forget = async (): Promise<void> => void (this.forgotten = true);
  room = (roomId: string): Room | null => this.rooms.get(roomId) ?? null;
  loadHistory = async (roomId: string): Promise<void> => void this.loads.push(roomId);
  setTyping = (_roomId: string, typing: boolean): void => void this.typing.push(typing);
  markRead = (_roomId: string, messageId: string): void => void this.read.push(messageId);
  acceptInvitationsFrom = (userId: string): void => void (this.host = userId);
  tryNow = (): void => undefined;
  guarded = false;
  expected: [string, string][] = [];
  expect = (roomId: string, userId: string): void => void this.expected.push([roomId, userId]);
  lookAtRoster = async (): Promise<void> => undefined;

  kept = (name: string): Record<string, unknown> | null => this.account.get(name) ?? null;
  keep = async (name: string, content: Record<string, unknown>): Promise<void> => void this.account.set(name, content);

  openFile = async (): Promise<Blob> => new Blob(["picture"]);
  notes = new Map<string, Note>();
  left: string[] = [];
  sendNote = async (_roomId: string, _kind: NoteKind, text: string, txn: string): Promise<string> => {
    const id = await this.sending({ kind: "text", body: text }, txn);
    this.notes.set(id, { sender: ME, text });
    return id;
  };
  openNote = async (_roomId: string, eventId: string): Promise<Note> => {
    const note = this.notes.get(eventId);
    if (!note) throw new Error("not yet");
    return note;
  };
  leave = async (roomId: string): Promise<void> => {
    this.left.push(roomId);
    this.rooms.delete(roomId);
  };

  takeBack = async (_roomId: string, messageId: string): Promise<void> => void this.takenBack.push(messageId);

  send = async (_roomId: string, what: Outgoing, txn: string): Promise<string> => {
    const id = await this.sending(what, txn);
    this.sent.push({ what, txn });
    return id;
  };

  /** The texts that were sent. */
  get words(): string[] {
    return this.sent.flatMap(({ what }) => (what.kind === "text" ? [what.body] : []));
  }

  watch = (listener: (roomId: string | null) => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** The server brought a new state of the room. */
  shows(room: Room): void {
    this.rooms.set(room.id, room);
    for (const listener of this.listeners) listener(room.id);
  }
}

export const FACTS: DeskFacts = {
  name: "相談窓口", server_name: "desk", open: true, reason: null, next_opening: null, hours: { weekly: [] }, waiting: 0, staff_present: 1,
  estimate_minutes: null, guidance: [], holidays: { from: "2026-04-05", to: "2027-04-06", days: [] },
  app_name: "", quick_exit_url: "https://example.org/", keeper_user_id: KEEPER, voice_seconds: 120, push_key: null, questions: true, previous_cases: false, readers: [], texts: {},
};

export const MINE: MyCase = {
  case_id: "c1", room_id: ROOM, state: "waiting", place: 1, ahead: 0, staff_present: 1, estimate_minutes: null,
  counsellor: null, answers: null, may_answer: true, repeat: false, previous_shown: null, blocked_until: null,
  pos: 1,
};

export const QUEUE: Queue = { pos: 1, waiting: [], mine: [], staff_present: 1 };

type Answer = { status?: number; body: unknown } | "offline" | "never";

/** A desk over a table of answers: "POST /cases" and the like. What is not in the table never answers. */
export function fakeDesk(answers: Record<string, Answer | ((body: unknown) => Answer)>): Desk & { asked: string[] } {
  const asked: string[] = [];
  const fetchNow = async (address: RequestInfo | URL, request?: RequestInit): Promise<Response> => {
    const path = String(address).replace("/_madoguchi/desk/v1", "").split("?")[0] ?? "";
    const key = `${request?.method ?? "GET"} ${path}`;
    asked.push(key);
    // A long poll: nothing new ever comes.
    const entry = String(address).includes("after=") ? "never" : (answers[key] ?? "never");
    const answer = typeof entry === "function" ? entry(JSON.parse(String(request?.body ?? "null"))) : entry;
    if (answer === "offline") throw new TypeError("offline");
    if (answer === "never") {
      return new Promise((_, reject) => request?.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
    }
    return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200 });
  };
  return Object.assign(new Desk(fetchNow as typeof fetch), { asked });
}

export const SESSION: Session = { userId: ME, deviceId: "ONE", accessToken: "t1", storageKey: btoa("k".repeat(32)) };

/** Lets everything that is ready run. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** A browser that tells nothing. */
export function silent(): ConstructorParameters<typeof Notices>[1] {
  return {
    canTell: false,
    mayTell: async () => false,
    isTold: async () => false,
    subscribe: async () => {
      throw new TypeError("There is no worker.");
    },
    unsubscribe: async () => undefined,
  };
}

/** Web Storage in memory. */
export function memory(): Pick<Storage, "getItem" | "setItem" | "removeItem"> & { data: Map<string, string> } {
  const data = new Map<string, string>();
  return {
    data,
    getItem: (name) => data.get(name) ?? null,
    setItem: (name, value) => void data.set(name, value),
    removeItem: (name) => void data.delete(name),
  };
}

/** One answer after the other, then none. */
export function once(...answers: unknown[]): () => { body: unknown } | "never" {
  return () => {
    const body = answers.shift();
    return body === undefined ? "never" : { body };
  };
}
