// What this account says: sealed whole, sent once under its transaction id, and taken back.
import { EventType, type MatrixClient, type MatrixError, MatrixEvent, Method, MsgType } from "matrix-js-sdk/lib/matrix.js";
import type { Room as SdkRoom } from "matrix-js-sdk/lib/matrix.js";
import type { CryptoBackend } from "matrix-js-sdk/lib/common-crypto/CryptoBackend.js";
import { download, type EncryptedFile, FileError, upload } from "./attachment";
import { NotSent, type Outgoing } from "./chat";
import { QUIET, relationOf, type Sealed, sealedOf } from "./sealed";

const PICTURE = "image/jpeg";
const PICTURES = [PICTURE, "image/png", "image/gif", "image/webp"];
const SOUND = "audio/webm";
const SOUNDS = [SOUND, "audio/ogg", "audio/mp4", "audio/mpeg", "audio/aac", "audio/wav"];
const FILM = "video/mp4";
const FILMS = [FILM, "video/webm", "video/quicktime"];
/** What no browser opens by itself: it is saved. */
const SAVED = "application/octet-stream";
const KINDS: Record<string, [usual: string, kinds: readonly string[]]> = {
  [MsgType.Image]: [PICTURE, PICTURES], [MsgType.Audio]: [SOUND, SOUNDS], [MsgType.Video]: [FILM, FILMS],
};

/** What of the library's own parts is needed to see what `prepareToEncrypt` lets fail unheard. */
interface Engine {
  roomEncryptors: Record<string, { prepareForEncryption: (blacklist: boolean, mode: unknown) => Promise<void> }>;
  globalBlacklistUnverifiedDevices: boolean;
  deviceIsolationMode: unknown;
}

export class Speech {
  /** Files of messages that are under way, by transaction id. */
  private readonly files = new Map<string, EncryptedFile>();

  constructor(private readonly client: MatrixClient) {}

  async send(roomId: string, what: Outgoing, txn: string): Promise<string> {
    const room = this.client.getRoom(roomId);
    if (room?.getMyMembership() !== "join" || !room.hasEncryptionStateEvent()) throw new NotSent(false);
    try {
      if (what.kind === "withdrawal") return await this.redact(roomId, what.id, txn);
      const data = what.kind === "picture" ? what.picture.data : what.kind === "voice" ? what.voice.data : null;
      const file = data === null ? null : await this.uploaded(roomId, data, txn);
      const id = await this.seal(room, sealedOf(what, file), txn);
      this.files.delete(txn);
      return id;
    } catch (error) {
      if (error instanceof NotSent) throw error;
      if (error instanceof FileError) throw asNotSent({ httpStatus: error.status }, error.retryAfterMs);
      throw asNotSent(error as Partial<MatrixError>);
    }
  }

  /** Gives the room's key out while the words are still being written; what fails is tried again when they are sent. */
  prepare(roomId: string): void {
    const engine = this.client.getCrypto() as unknown as Engine;
    const { globalBlacklistUnverifiedDevices: blacklist, deviceIsolationMode: mode } = engine;
    engine.roomEncryptors[roomId]?.prepareForEncryption(blacklist, mode).catch(() => undefined);
  }

  // Not by the library's own sending: it leaves relations beside the ciphertext and reactions in clear, and one event
  // that failed would hold back all others. What is under way is shown by the outbox.
  private async seal(room: SdkRoom, { type, content, quiet }: Sealed, txn: string): Promise<string> {
    const event = new MatrixEvent({ type, content, room_id: room.roomId, sender: this.client.getSafeUserId() });
    await (this.client.getCrypto() as CryptoBackend).encryptEvent(event, room);
    const wire: Record<string, unknown> = { ...event.getWireContent(), ...(quiet ? { [QUIET]: true } : {}) };
    delete wire["m.relates_to"];
    return this.put(`/rooms/${part(room.roomId)}/send/${EventType.RoomMessageEncrypted}/${part(txn)}`, wire);
  }

  private redact(roomId: string, eventId: string, txn: string): Promise<string> {
    return this.put(`/rooms/${part(roomId)}/redact/${part(eventId)}/${part(txn)}`, {});
  }

  private async put(path: string, body: object): Promise<string> {
    return (await this.client.http.authedRequest<{ event_id: string }>(Method.Put, path, undefined, body)).event_id;
  }

  // Tried again after the upload, a message does not carry its file a second time.
  private async uploaded(roomId: string, data: string, txn: string): Promise<EncryptedFile> {
    const known = this.files.get(txn);
    if (known) return known;
    const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
    const file = await upload(bytes, roomId, this.client.getAccessToken() ?? "");
    this.files.set(txn, file);
    return file;
  }

  async openFile(roomId: string, messageId: string): Promise<Blob> {
    const content = this.client.getRoom(roomId)?.findEventById(messageId)?.getOriginalContent();
    const file = content?.["file"] as EncryptedFile | undefined;
    if (!file) throw new Error("There is no such file.");
    const bytes = await download(file, this.client.getAccessToken() ?? "");
    // Never as what could run: whatever the sender says, it is opened as a picture, sound or film of one of these
    // kinds, and everything else is only saved.
    const said = String((content?.["info"] as { mimetype?: unknown } | undefined)?.mimetype).split(";")[0] ?? "";
    const [usual, kinds] = KINDS[String(content?.msgtype)] ?? [SAVED, []];
    return new Blob([bytes], { type: kinds.includes(said) ? said : usual });
  }

  async takeBack(roomId: string, messageId: string): Promise<void> {
    const events = this.client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    const corrections = events.filter((event) => {
      const relation = event.getSender() === this.client.getSafeUserId() ? relationOf(event) : null;
      return relation?.kind === "correction" && relation.of === messageId;
    });
    // The message first: without it nobody is shown its corrections.
    for (const id of [messageId, ...corrections.map((event) => event.getId() ?? "")]) {
      await this.redact(roomId, id, "back" + id);
    }
  }
}

function part(text: string): string {
  return encodeURIComponent(text);
}

/** Why something was not sent, in our words. */
export function asNotSent(error: Partial<MatrixError>, afterMs: number | null = null): NotSent {
  const status = error.httpStatus ?? 0;
  if (status === 429) return new NotSent(false, afterMs ?? error.getRetryAfterMs?.() ?? 2_000);
  return new NotSent(status >= 400 && status < 500 && status !== 401 && status !== 408);
}
