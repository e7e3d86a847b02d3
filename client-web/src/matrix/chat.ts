// What the screens know of Matrix. No import here may reach matrix-js-sdk: models are tested with a stand-in for Chat.

/** An access to one account on one device. Tokens and keys are opaque; `storageKey` is 32 bytes, base64. */
export interface Session {
  userId: string;
  deviceId: string;
  accessToken: string;
  storageKey: string;
}

/** A picture as it is sent: JPEG, base64; size in bytes; width and height in pixels. */
export interface Picture {
  data: string;
  width: number;
  height: number;
  size: number;
}

/** A voice message as it is sent: the recorder's file, base64, and its type; size in bytes; how long it lasts; how loud
 * it was along the way, each from 0 to 1. */
export interface Voice {
  data: string;
  type: string;
  size: number;
  ms: number;
  levels: readonly number[];
}

/** What one can say with a tap; nothing that hurts. The names are those of the catalogues' texts. */
export const REACTIONS = { "👍": "yes", "❤️": "heart", "🙏": "thanks", "😢": "sad", "🤗": "hug" } as const;
export type ReactionKey = keyof typeof REACTIONS;

/** What somebody does in a conversation. `answers`, `about`: a message's id. */
export type Outgoing =
  | { kind: "text"; body: string; answers?: string }
  | { kind: "picture"; picture: Picture; answers?: string }
  | { kind: "voice"; voice: Voice; answers?: string }
  | { kind: "correction"; about: string; body: string }
  | { kind: "reaction"; about: string; key: ReactionKey }
  /** Takes an own reaction back; `id` is the reaction's own. */
  | { kind: "withdrawal"; about: string; key: ReactionKey; id: string };

export type MessageKind = "text" | "picture" | "voice" | "file" | "unreadable" | "removed" | "other" | "joined" | "left";

/** What a bridge says about a message's way to an app: the app has it, it waits, it may be blocked, it failed. */
export type Delivery = "accepted" | "delayed" | "maybe_blocked" | "on_page" | "failed";

/** All those who reacted to a message in the same way. `own`: the id of this account's reaction, null without one. */
export interface Reaction {
  key: ReactionKey;
  by: readonly string[];
  own: string | null;
}

/** `name` may be empty; `size` is null where it is not told; `plays`: what can be played where it stands. */
export interface SentFile {
  plays: "film" | "sound" | null;
  name: string;
  size: number | null;
}

/** Files are opened up to this size, in bytes: they are unsealed whole, in the memory of a phone. */
export const MOST_BYTES = 50 * 1024 * 1024;

/** One line of a conversation in the order of the server. `at` is in milliseconds since 1970. */
export interface Message {
  id: string;
  /** The transaction id this device gave the message, null for everybody else's. */
  txn: string | null;
  sender: string;
  mine: boolean;
  kind: MessageKind;
  /** Of a picture, so that its place can be kept while it comes. Null otherwise. */
  picture: { width: number; height: number } | null;
  /** Of a voice message, to be shown before it is fetched. Null otherwise. */
  voice: Pick<Voice, "ms" | "levels"> | null;
  /** Of a film, a sound or another file, as its sender tells it; `size` in bytes. Null otherwise. */
  file: SentFile | null;
  /** Text for "text"; the person's name for "joined" and "left"; empty otherwise. */
  body: string;
  at: number;
  /** It came by an app's bridge. */
  fromApp: boolean;
  /** The message that this one answers, null for none. */
  answers: string | null;
  /** Its sender has corrected it since; `body` is as it reads now. */
  corrected: boolean;
  reactions: readonly Reaction[];
  /** Null where no app is in between, and until the bridge has spoken. */
  delivery: Delivery | null;
}

/** Words of a record, or of whoever looked it through. */
export type NoteKind = "record" | "review";

/** `sender`: by whose device they were sealed. */
export interface Note {
  sender: string;
  text: string;
}

export interface Member {
  userId: string;
  name: string;
  joined: boolean;
}

export interface RosterEntry {
  userId: string;
  name: string;
  role: "counsellor" | "supervisor" | "administrator" | "auditor" | "keeper";
  /** Public part of the master cross-signing key, base64. */
  masterKey: string;
}

/** What is amiss with a roster: withheld, not the operator's, older than one seen before, of another key, not there
 * now. */
export type RosterFault = "roster_missing" | "roster_unverified" | "roster_back" | "roster_key" | "roster_unreachable";

/** none: the desk has no roster. */
export type RosterState =
  | { kind: "none" }
  | { kind: "good"; number: number; issuedAt: string; staff: readonly RosterEntry[] }
  | { kind: "bad"; fault: RosterFault };

/** Why nothing is sent. stranger: somebody whom nothing vouches for. identity: staff with other keys than the roster's.
 * own: this account's keys are not its own any more. device: staff with a device that they have not signed. */
export interface Fault {
  kind: RosterFault | "stranger" | "identity" | "own" | "device";
  /** A user id. */
  about: string | null;
}

/** Somebody in a room, and how this page knows them. person: whom the case is for; unknown: without a
 * roster; checking: their keys have not come yet. */
export interface Presence {
  userId: string;
  standing: "self" | "person" | "roster" | "unknown" | "checking" | "stranger" | "identity" | "own";
  role: RosterEntry["role"] | null;
}

/** Who could open what is sent into a room now. `fault`: why nothing is. leftOut: who of the staff, or as this page's
 * account, has a device that they have not signed; it is given no key. */
export interface Evidence {
  roster: RosterState;
  people: readonly Presence[];
  leftOut: readonly string[];
  fault: Fault | null;
}

/** A room as it stands now. A new object for every change, never altered afterwards. */
export interface Room {
  id: string;
  membership: "join" | "invite" | "leave";
  encrypted: boolean;
  /** False once the case is closed and only reading is left. */
  writable: boolean;
  /** How the desk says in the room that its case stands; null where it says nothing. */
  caseState: string | null;
  messages: readonly Message[];
  /** Ids and transaction ids of what this account has said that changes a message instead of being one. */
  changes: readonly string[];
  members: readonly Member[];
  /** Others who are typing, by user id. */
  typing: readonly string[];
  /** How far each other person has read, as a place in `messages` (-1: nothing). */
  readUpTo: Readonly<Record<string, number>>;
  /** Place in `messages` of the last one this account has read (-1: nothing). */
  ownReadUpTo: number;
  /** True while earlier messages can still be fetched. */
  hasEarlier: boolean;
  /** Null until it has been looked at. */
  evidence: Evidence | null;
}

/** Where the keys of an account's identity are. here: on this device alone. kept: on this device, and sealed in the
 * account. sealed: in the account alone. lost: on no device that is at hand. none: it has no identity yet. */
export type IdentityState = "here" | "kept" | "sealed" | "lost" | "none";

export type Connection = "starting" | "online" | "offline" | "signed_out";

/** A message was not accepted. `final`: trying again cannot help. `afterMs`: the server asked for this pause. */
export class NotSent extends Error {
  constructor(readonly final: boolean, readonly afterMs: number | null = null) {
    super(final ? "The message was refused." : "The message could not be sent now.");
  }
}

/** Held back: not everybody who could open it is who they should be. Tried again, as that may be mended. */
export class NotSafe extends NotSent {
  constructor(readonly fault: Fault) {
    super(false);
  }
}

/** One account's conversations, encrypted on this device. */
export interface Chat {
  readonly userId: string;
  readonly connection: Connection;
  /** The device's own public key; another one than before means that the old keys are gone. */
  readonly fingerprint: string;
  /** True when keys stay in this browser; false where it offers no storage. */
  readonly remembers: boolean;
  /** Connects and gives back once the first state of all rooms is there. */
  start(): Promise<void>;
  /** Makes sure that this device is cross-signed. The password is only asked for to replace an identity. */
  crossSign(password: string | null): Promise<void>;
  identityState(): Promise<IdentityState>;
  /** Opens the sealed identity and signs this device by it. Says whether that was its secret. */
  openIdentity(secret: string): Promise<boolean>;
  /** Seals the identity in the account, under a secret that the server is never told. */
  keepIdentity(secret: string): Promise<void>;
  /** A new identity, sealed likewise. Everybody has to learn anew whose it is. */
  renewIdentity(secret: string, password: string | null): Promise<void>;
  /** Keeps this account's keys on the server, sealed under a key of the person's own (32 bytes), from now on: whoever
   * has that key opens everything on another device. An earlier key opens nothing any more. */
  keepUnder(key: Uint8Array<ArrayBuffer>, password: string | null): Promise<void>;
  /** Opens what another device has kept under this key. Call after `start`. Raises when it is not the key. */
  openWith(key: Uint8Array<ArrayBuffer>): Promise<void>;
  stop(): void;
  /** Stops and removes every key of this device from the browser. */
  forget(): Promise<void>;
  room(roomId: string): Room | null;
  /** Fetches earlier messages until the beginning (or `limit` of them). */
  loadHistory(roomId: string, limit: number): Promise<void>;
  /** Gives the event id once the server has accepted it. The same `txn` is never delivered twice. Raises NotSent. */
  send(roomId: string, what: Outgoing, txn: string): Promise<string>;
  /** Fetches and opens a file of the conversation, whatever its kind. Raises when it can't, with `status` 413 when it
   * is too large. */
  openFile(roomId: string, messageId: string): Promise<Blob>;
  /** Takes back one of this account's own messages with its corrections, for everybody. Raises when not all of that
   * worked; it may be asked again. */
  takeBack(roomId: string, messageId: string): Promise<void>;
  /** Sends words of a record, sealed; no conversation shows them. Gives the event id. Raises NotSent. */
  sendNote(roomId: string, kind: NoteKind, text: string, txn: string): Promise<string>;
  /** Fetches and opens words of a record. Raises when it can't (yet). */
  openNote(roomId: string, eventId: string): Promise<Note>;
  /** Leaves a room. Raises when that did not work. */
  leave(roomId: string): Promise<void>;
  /** Whoever types is about to speak: what is needed for that is made ready meanwhile. */
  setTyping(roomId: string, typing: boolean): void;
  markRead(roomId: string, messageId: string): void;
  /** What this account keeps with the server under a name, as this device last heard; null for nothing. */
  kept(name: string): Record<string, unknown> | null;
  /** Keeps that for every device of the account. Raises when it did not work. */
  keep(name: string, content: Record<string, unknown>): Promise<void>;
  /** Says who is in a room without being of the staff: whom its case is for. */
  expect(roomId: string, userId: string): void;
  /** Whether the desk has a roster, by which everybody has to be known before anything is sent. */
  readonly guarded: boolean;
  /** Asks the desk for its roster again. */
  lookAtRoster(): Promise<void>;
  /** Accepts invitations from this user as they arrive, with the history that they bring. */
  acceptInvitationsFrom(userId: string): void;
  tryNow(): void;
  /** Calls back after every change, with the room's id or null when the connection changed. */
  watch(listener: (roomId: string | null) => void): () => void;
}

export interface ChatOptions {
  session: Session;
  /** Names the key store in the browser; one per account. */
  store: string;
  /** What stays in this browser of the rosters it has seen. */
  rosters: { load: () => string | null; save: (text: string) => void };
  /** Of a device that has just been made: the room into which it writes first. */
  first?: string;
}

/** Opens the keys of a device. Meanwhile the server is asked what can be asked without them. */
export type OpenChat = (options: ChatOptions) => Promise<Chat>;
