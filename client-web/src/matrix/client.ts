// The one file that imports matrix-js-sdk. It is loaded behind the first paint.
import { initAsync } from "@matrix-org/matrix-sdk-crypto-wasm";
import {
  ClientEvent, EventStatus, HttpApiEvent, MatrixClient, MatrixEventEvent, MemoryStore, PendingEventOrdering,
  ReceiptType, RoomEvent, RoomMemberEvent, RoomStateEvent, SyncState,
} from "matrix-js-sdk/lib/matrix.js";
import { RustBackupManager } from "matrix-js-sdk/lib/rust-crypto/backup.js";
import type {
  AccountDataEvents, MatrixError, MatrixEvent, Room as SdkRoom, TimelineEvents,
} from "matrix-js-sdk/lib/matrix.js";
import { CryptoEvent } from "matrix-js-sdk/lib/crypto-api/CryptoEvent.js";
import { type Logger, logger } from "matrix-js-sdk/lib/logger.js";
import { FIRST_LINES, HeadStart } from "./ahead";
import {
  type Chat, type ChatOptions, type Connection, type IdentityState, type Note, type NoteKind, NotSent, type Outgoing,
  type Room,
} from "./chat";
import { Guard } from "./guard";
import { Identity, OwnKey } from "./identity";
import { fetchRoster, pinnedKey, RosterBook } from "./roster";
import { snapshot } from "./snapshot";
import { asNotSent, Speech } from "./speech";

const TYPING_MS = 20_000;
const REQUEST_MS = 45_000;
const KEPT_WITHIN_MS = 60_000;
const NOTES: Record<NoteKind, string> = { record: "jp.madoguchi.record", review: "jp.madoguchi.record.review" };

const nothing = (): void => undefined;
const SILENT: Logger = {
  trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, getChild: () => SILENT,
};

export async function warmUp(): Promise<void> {
  await Promise.all([initAsync(), import("matrix-js-sdk/lib/rust-crypto/index.js")]);
}

export async function openChat({ session, store, rosters, first }: ChatOptions): Promise<Chat> {
  // The library's log would name rooms and people on a shared computer.
  silence();
  // The library waits up to ten seconds before it puts a key into the backup; a tab is closed sooner than that.
  Object.assign(RustBackupManager, { maxBackupLoopStartDelayMillis: 0 });
  const own = new OwnKey();
  const ahead = first === undefined ? null : new HeadStart(session, first);
  // No scheduler: sending again is the outbox's decision, with the same transaction id.
  const client = new MatrixClient({
    baseUrl: location.origin,
    userId: session.userId,
    deviceId: session.deviceId,
    accessToken: session.accessToken,
    store: new MemoryStore({}),
    disableVoip: true,
    localTimeoutMs: REQUEST_MS,
    logger: SILENT,
    cryptoCallbacks: {
      getSecretStorageKey: own.find,
    },
    ...(ahead ? { fetchFn: ahead.fetch } : {}),
  });
  // Round trips fewer before the first message on a slow line: the filter goes along with each sync instead of being
  // stored first, the push rules arrive with the first sync, and what the server speaks (the library keeps the answer)
  // and the roster are asked for while the encryption is still on its way.
  void client.getVersions().catch(() => undefined);
  client.getOrCreateFilter = async (_name, filter) => JSON.stringify(filter.getDefinition());
  client.getPushRules = async () => ({ global: {} });
  const desk = session.userId.slice(session.userId.indexOf(":") + 1);
  const book = new RosterBook({ pinned: pinnedKey, desk, memory: rosters, fetch: fetchRoster });
  const looked = book.look();
  const remembers = await openKeys(client, store, session.storageKey);
  const keys = await client.getCrypto()?.getOwnDeviceKeys();
  return new MatrixChat(client, store, keys?.ed25519 ?? "", remembers, own, book, looked);
}

// Children of the library's own logger take over its method factory, but not its level.
function silence(): void {
  const own = logger as unknown as { methodFactory: () => () => void; rebuild: () => void };
  own.methodFactory = () => nothing;
  own.rebuild();
}

async function openKeys(client: MatrixClient, store: string, storageKey: string): Promise<boolean> {
  const bytes = Uint8Array.from(atob(storageKey), (char) => char.charCodeAt(0));
  try {
    await client.initRustCrypto({ cryptoDatabasePrefix: store, storageKey: bytes });
    return true;
  } catch {
    // Some private windows refuse storage: the conversation works until the page is left.
    await client.initRustCrypto({ useIndexedDB: false });
    return false;
  }
}

class MatrixChat implements Chat {
  connection: Connection = "starting";
  readonly userId: string;
  private readonly listeners = new Set<(roomId: string | null) => void>();
  private readonly snapshots = new Map<string, Room>();
  /** The message of each room up to which reading was told last. */
  private readonly marked = new Map<string, string>();
  private readonly stale = new Set<string>();
  private host: string | null = null;
  private readonly joining = new Set<string>();
  private announced = false;
  private readonly speech: Speech;
  private readonly identity: Identity;
  private readonly guard: Guard;

  constructor(
    private readonly client: MatrixClient,
    private readonly store: string,
    readonly fingerprint: string,
    readonly remembers: boolean,
    private readonly own: OwnKey,
    book: RosterBook,
    private readonly looked: Promise<unknown>,
  ) {
    this.userId = client.getSafeUserId();
    this.speech = new Speech(client);
    this.identity = new Identity(client, own);
    this.guard = new Guard(client, book, (roomId) => this.changed(roomId));
  }

  async start(): Promise<void> {
    this.listen();
    const first = new Promise<void>((resolve, reject) => {
      const settle = (state: SyncState): void => {
        if (state === SyncState.Prepared || state === SyncState.Syncing) resolve();
        else if (state === SyncState.Stopped) reject(new Error("The connection was ended."));
        else return;
        this.client.off(ClientEvent.Sync, settle);
      };
      this.client.on(ClientEvent.Sync, settle);
    });
    await this.client.startClient({
      initialSyncLimit: FIRST_LINES,
      pendingEventOrdering: PendingEventOrdering.Detached,
      disablePresence: true,
      pollTimeout: 30_000,
    });
    await Promise.all([first, this.looked]);
    await this.guard.lookAtAll();
  }

  get guarded(): boolean {
    return this.guard.book.state.kind !== "none";
  }

  async lookAtRoster(): Promise<void> {
    await this.guard.book.look();
    await this.guard.lookAtAll();
  }

  expect(roomId: string, userId: string): void {
    this.guard.expect(roomId, userId);
  }

  crossSign(password: string | null): Promise<void> {
    return this.identity.sign(password);
  }

  identityState(): Promise<IdentityState> {
    return this.identity.state();
  }

  openIdentity(secret: string): Promise<boolean> {
    return this.identity.open(secret);
  }

  keepIdentity(secret: string): Promise<void> {
    return this.identity.keep(secret);
  }

  renewIdentity(secret: string, password: string | null): Promise<void> {
    return this.identity.renew(secret, password);
  }

  async keepUnder(key: Uint8Array<ArrayBuffer>, password: string | null): Promise<void> {
    const crypto = this.client.getCrypto();
    if (!crypto) throw new Error("The keys are not open.");
    await this.crossSign(password);
    this.own.key = key;
    const kept = this.allKept();
    await crypto.bootstrapSecretStorage({
      createSecretStorageKey: async () => ({ privateKey: key }),
      setupNewSecretStorage: true,
      setupNewKeyBackup: true,
    });
    // What is written while nobody is signed in goes to a device that waits on the server (MSC3814).
    if (await crypto.isDehydrationSupported()) await crypto.startDehydration({ createNewKey: true });
    await kept;
  }

  /** Until every key lies in the backup. Raises if that takes too long. */
  private allKept(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (remaining: number): void => {
        if (remaining > 0) return;
        clearTimeout(timer);
        this.client.off(CryptoEvent.KeyBackupSessionsRemaining, settle);
        resolve();
      };
      const timer = setTimeout(() => reject(new Error("The keys could not be kept in time.")), KEPT_WITHIN_MS);
      this.client.on(CryptoEvent.KeyBackupSessionsRemaining, settle);
    });
  }

  async openWith(key: Uint8Array<ArrayBuffer>): Promise<void> {
    const crypto = this.client.getCrypto();
    const id = await this.client.secretStorage.getDefaultKeyId();
    const found = id === null ? null : await this.client.secretStorage.getKey(id);
    if (!crypto || !found || !(await this.client.secretStorage.checkKey(key, found[1]))) {
      throw new Error("Nothing is kept under this key.");
    }
    this.own.key = key;
    // Without having asked the server first, the library takes the account for one without an identity.
    await crypto.userHasCrossSigningKeys(this.userId, true);
    await crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: this.identity.confirming(null) });
    await crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    await crypto.restoreKeyBackup();
    if (await crypto.isDehydrationSupported()) await crypto.startDehydration({ rehydrate: true });
    for (const room of this.client.getRooms()) {
      await Promise.all(room.getLiveTimeline().getEvents().map((event) => this.client.decryptEventIfNeeded(event)));
      this.changed(room.roomId);
    }
  }

  stop(): void {
    this.client.stopClient();
    this.client.removeAllListeners();
    this.listeners.clear();
  }

  async forget(): Promise<void> {
    this.stop();
    await this.client.clearStores({ cryptoDatabasePrefix: this.store });
  }

  room(roomId: string): Room | null {
    const known = this.snapshots.get(roomId);
    if (known && !this.stale.has(roomId)) return known;
    const room = this.client.getRoom(roomId);
    if (!room) return null;
    const fresh = snapshot(room, this.userId, this.guard.of(roomId));
    this.snapshots.set(roomId, fresh);
    this.stale.delete(roomId);
    return fresh;
  }

  async loadHistory(roomId: string, limit: number): Promise<void> {
    const room = this.client.getRoom(roomId);
    if (!room) return;
    const timeline = (): MatrixEvent[] => room.getLiveTimeline().getEvents();
    while (room.oldState.paginationToken !== null && timeline().length < limit) {
      const before = timeline().length;
      await this.client.scrollback(room, 100);
      if (timeline().length === before && room.oldState.paginationToken !== null) break;
    }
    this.changed(roomId);
  }

  send(roomId: string, what: Outgoing, txn: string): Promise<string> {
    return this.speech.send(roomId, what, txn);
  }

  openFile(roomId: string, messageId: string): Promise<Blob> {
    return this.speech.openFile(roomId, messageId);
  }

  takeBack(roomId: string, messageId: string): Promise<void> {
    return this.speech.takeBack(roomId, messageId);
  }

  async sendNote(roomId: string, kind: NoteKind, text: string, txn: string): Promise<string> {
    const room = this.client.getRoom(roomId);
    if (room?.getMyMembership() !== "join" || !room.hasEncryptionStateEvent()) throw new NotSent(false);
    try {
      const tried = room.getPendingEvents().find((event) => event.getTxnId() === txn);
      if (tried?.status === EventStatus.NOT_SENT) return (await this.client.resendEvent(tried, room)).event_id;
      // A type and content of our own, of which the library knows nothing.
      const type = NOTES[kind] as keyof TimelineEvents;
      return (await this.client.sendEvent(roomId, null, type, { note: text } as never, txn)).event_id;
    } catch (error) {
      if (error instanceof NotSent) throw error;
      throw asNotSent(error as Partial<MatrixError>);
    }
  }

  async openNote(roomId: string, eventId: string): Promise<Note> {
    const event = this.client.getEventMapper()(await this.client.fetchRoomEvent(roomId, eventId));
    await this.client.decryptEventIfNeeded(event);
    const note: unknown = event.getContent()["note"];
    const opened = event.isEncrypted() && !event.isDecryptionFailure();
    if (!opened || !Object.values(NOTES).includes(event.getType()) || typeof note !== "string") throw new Error("This note can't be opened.");
    return { sender: event.getSender() ?? "", text: note };
  }

  async leave(roomId: string): Promise<void> {
    await this.client.leave(roomId);
  }

  setTyping(roomId: string, typing: boolean): void {
    if (typing) this.speech.prepare(roomId);
    void this.client.sendTyping(roomId, typing, TYPING_MS).catch(() => undefined);
  }

  markRead(roomId: string, messageId: string): void {
    const event = this.client.getRoom(roomId)?.findEventById(messageId);
    // Asking sets off a change of the room, upon which whoever watches asks again.
    if (!event || this.marked.get(roomId) === messageId) return;
    this.marked.set(roomId, messageId);
    void this.client.sendReadReceipt(event, ReceiptType.Read, true).catch(() => this.marked.delete(roomId));
  }

  kept(name: string): Record<string, unknown> | null {
    return this.client.getAccountData(name as keyof AccountDataEvents)?.getContent() ?? null;
  }

  async keep(name: string, content: Record<string, unknown>): Promise<void> {
    await this.client.setAccountData(name as keyof AccountDataEvents, content as never);
  }

  acceptInvitationsFrom(userId: string): void {
    this.host = userId;
    for (const room of this.client.getRooms()) this.acceptInvitation(room);
  }

  tryNow(): void {
    this.client.retryImmediately();
  }

  watch(listener: (roomId: string | null) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private listen(): void {
    const { client } = this;
    client.on(ClientEvent.Sync, (state) => {
      this.connected(state);
      // Only now the library knows who invited: before, it would join without taking the history along.
      for (const room of client.getRooms()) this.acceptInvitation(room);
    });
    client.on(HttpApiEvent.SessionLoggedOut, () => {
      this.connection = "signed_out";
      this.announce(null);
    });
    client.on(ClientEvent.Room, (room) => this.changed(room.roomId));
    client.on(RoomEvent.MyMembership, (room) => this.changed(room.roomId));
    client.on(RoomEvent.Timeline, (_event, room) => this.changed(room?.roomId));
    client.on(RoomEvent.TimelineReset, (room) => {
      this.changed(room?.roomId);
      if (room) void this.loadHistory(room.roomId, 500).catch(() => undefined);
    });
    client.on(RoomEvent.Redaction, (_event, room) => this.changed(room.roomId));
    client.on(RoomEvent.Receipt, (_event, room) => this.changed(room.roomId));
    client.on(MatrixEventEvent.Decrypted, (event) => this.changed(event.getRoomId()));
    client.on(RoomStateEvent.Events, (event) => this.changed(event.getRoomId()));
    // Who is there, and by which keys: what the lock says follows; what is sent is looked at once more by itself.
    client.on(RoomStateEvent.Members, (event) => this.examine(event.getRoomId()));
    client.on(CryptoEvent.UserTrustStatusChanged, () => void this.guard.lookAtAll());
    client.on(CryptoEvent.DevicesUpdated, () => void this.guard.lookAtAll());
    client.on(RoomMemberEvent.Typing, (_event, member) => this.changed(member.roomId));
  }

  private examine(roomId: string | undefined): void {
    if (roomId !== undefined) void this.guard.look(roomId).catch(() => undefined);
  }

  private connected(state: SyncState): void {
    const before = this.connection;
    if (this.connection === "signed_out") return;
    if (state === SyncState.Prepared || state === SyncState.Syncing || state === SyncState.Catchup) {
      this.connection = "online";
    } else if (state === SyncState.Error || state === SyncState.Reconnecting) this.connection = "offline";
    if (this.connection !== before) this.announce(null);
  }

  private acceptInvitation(room: SdkRoom): void {
    if (this.host === null || room.getMyMembership() !== "invite" || this.joining.has(room.roomId)) return;
    const invitation = room.getMember(this.userId)?.events.member;
    if (invitation?.getSender() !== this.host) return;
    this.joining.add(room.roomId);
    // Joining accepts the inviter's key bundle by itself (MSC4268), also when it arrives after the join.
    void this.client.joinRoom(room.roomId)
      .catch(() => setTimeout(() => this.acceptInvitation(room), 2_000))
      .finally(() => this.joining.delete(room.roomId));
  }

  private changed(roomId: string | undefined): void {
    if (roomId === undefined) return;
    this.stale.add(roomId);
    if (this.announced) return;
    // A sync brings many events at once: the screens hear of them together.
    this.announced = true;
    queueMicrotask(() => {
      this.announced = false;
      for (const id of [...this.stale]) this.announce(id);
    });
  }

  private announce(roomId: string | null): void {
    for (const listener of this.listeners) listener(roomId);
  }
}
