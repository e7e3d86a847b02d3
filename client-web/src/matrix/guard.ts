// Nothing is encrypted to anybody of whom the page can't know who they are. The check stands where the library gives a
// room's key out, whatever asks for it, and once more before what it made leaves: so nothing comes between.
import { CollectStrategy, type EncryptionSettings, type OlmMachine, RoomId, UserId } from "@matrix-org/matrix-sdk-crypto-wasm";
import type { MatrixClient } from "matrix-js-sdk/lib/matrix.js";
import { type Evidence, type Fault, NotSafe, NotSent, type Presence, type RosterState } from "./chat";
import type { RosterBook } from "./roster";

type Share = OlmMachine["shareRoomKey"];
type Sharing = Pick<OlmMachine, "getIdentity" | "getUserDevices" | "queryKeysForUsers" | "invalidateGroupSession">;
/** What of the library's own parts is needed here. */
interface Engine {
  getOlmMachineOrThrow(): OlmMachine;
  outgoingRequestProcessor: { makeOutgoingRequest: (request: unknown) => Promise<void> };
}

export class Guard {
  private readonly persons = new Map<string, Set<string>>();
  private readonly found = new Map<string, Evidence>();

  constructor(
    private readonly client: MatrixClient,
    readonly book: RosterBook,
    private readonly onchange: (roomId: string) => void,
  ) {
    const machine = this.machine as { shareRoomKey: Share };
    const share = machine.shareRoomKey.bind(machine);
    machine.shareRoomKey = (room, users, settings) => this.share(share, room, users, settings);
  }

  /** Who is in a room without being of the staff: the person that its case is for. */
  expect(roomId: string, userId: string): void {
    const persons = this.persons.get(roomId) ?? new Set();
    if (persons.has(userId)) return;
    this.persons.set(roomId, persons.add(userId));
    void this.look(roomId);
  }

  of(roomId: string): Evidence | null {
    return this.found.get(roomId) ?? null;
  }

  /** Looks at a room again, and says so where something has changed. */
  async look(roomId: string): Promise<void> {
    const room = this.client.getRoom(roomId);
    if (room?.getMyMembership() !== "join") return;
    const members = room.getMembers().filter(({ membership }) => membership === "join" || membership === "invite");
    this.note(roomId, await this.examineTwice(roomId, members.map(({ userId }) => userId)));
  }

  async lookAtAll(): Promise<void> {
    await Promise.all(this.client.getRooms().map((room) => this.look(room.roomId).catch(() => undefined)));
  }

  private get engine(): Engine {
    return this.client.getCrypto() as unknown as Engine;
  }

  private get machine(): OlmMachine {
    return this.engine.getOlmMachineOrThrow();
  }

  private async share(share: Share, room: RoomId, users: UserId[], settings: EncryptionSettings): ReturnType<Share> {
    const roomId = room.toString();
    const ids = users.map(String);
    if (this.book.expected && this.book.state.kind === "none") await this.book.look();
    // Whether there is a roster could not be asked: nothing would arrive now, either. The outbox tries again.
    if (!this.book.known) throw new NotSent(false);
    if (!this.book.expected) return share(room, users, settings);
    await this.mustBeSafe(roomId, ids, true);
    settings.sharingStrategy = (await this.allSigned(roomId, ids))
      ? CollectStrategy.identityBasedStrategy()
      : CollectStrategy.deviceBasedStrategy(false, false);
    const asked = new RoomId(roomId);
    const made = await share(room, users, settings);
    try {
      await this.mustBeSafe(roomId, ids, false);
    } catch (error) {
      // What was made for somebody who has become somebody else meanwhile is thrown away with its key.
      await (this.machine as Sharing).invalidateGroupSession(asked);
      throw error;
    }
    return made;
  }

  /** Raises NotSafe. */
  private async mustBeSafe(roomId: string, ids: readonly string[], again: boolean): Promise<void> {
    const evidence = again ? await this.examineTwice(roomId, ids) : await this.examine(roomId, ids);
    this.note(roomId, evidence);
    if (evidence.fault !== null) throw new NotSafe(evidence.fault);
  }

  // What is amiss may be old knowledge: both sides are asked anew before anybody is accused.
  private async examineTwice(roomId: string, ids: readonly string[]): Promise<Evidence> {
    const evidence = await this.examine(roomId, ids);
    if (evidence.fault === null) return evidence;
    await this.book.look();
    const amiss = evidence.people.filter(({ standing }) => !isFine(standing));
    const doubtful = amiss.map(({ userId }) => new UserId(userId));
    if (doubtful.length > 0) {
      const request = this.machine.queryKeysForUsers(doubtful);
      await this.engine.outgoingRequestProcessor.makeOutgoingRequest(request).catch(() => undefined);
    }
    return this.examine(roomId, ids);
  }

  private async examine(roomId: string, ids: readonly string[]): Promise<Evidence> {
    const roster = this.book.state;
    const people = await Promise.all(ids.map((userId) => this.presence(roomId, userId, roster)));
    const amiss = people.find(({ standing }) => !isFine(standing));
    return { roster, people, leftOut: await this.leftOut(roster, people), fault: faultOf(roster, amiss) };
  }

  private async leftOut(roster: RosterState, people: readonly Presence[]): Promise<string[]> {
    if (roster.kind !== "good") return [];
    const known = people.filter(({ standing }) => standing === "roster" || standing === "self");
    const signed = await Promise.all(known.map(({ userId }) => this.signsEach(userId)));
    return known.flatMap(({ userId }, place) => (signed[place] ? [] : [userId]));
  }

  private async signsEach(userId: string): Promise<boolean> {
    const devices = (await this.machine.getUserDevices(new UserId(userId))).devices();
    return devices.every((device) => device.isCrossSignedByOwner());
  }

  private async presence(roomId: string, userId: string, roster: RosterState): Promise<Presence> {
    const entry = roster.kind === "good" ? (roster.staff.find((each) => each.userId === userId) ?? null) : null;
    const identity = await this.machine.getIdentity(new UserId(userId));
    const [key, verified] = [keyIn(identity?.masterKey), identity?.isVerified() ?? false];
    identity?.free();
    const standing = ((): Presence["standing"] => {
      if (userId === this.client.getSafeUserId()) {
        if (roster.kind === "good" && !verified) return "own";
        return entry && entry.masterKey !== key ? "own" : "self";
      }
      if (this.persons.get(roomId)?.has(userId)) return "person";
      if (roster.kind !== "good") return "unknown";
      if (!entry || entry.role === "auditor") return "stranger";
      if (key === null) return "checking";
      return entry.masterKey === key ? "roster" : "identity";
    })();
    return { userId, standing, role: entry?.role ?? null };
  }

  // The person may come with a client that signs nothing. Then every device of the staff has to be signed all the same.
  private async allSigned(roomId: string, ids: readonly string[]): Promise<boolean> {
    for (const userId of this.persons.get(roomId) ?? []) {
      const identity = ids.includes(userId) ? await this.machine.getIdentity(new UserId(userId)) : undefined;
      if (!ids.includes(userId) || identity) continue;
      for (const other of ids.filter((each) => each !== userId)) {
        if (await this.signsEach(other)) continue;
        const fault = { kind: "device", about: other } as const;
        this.note(roomId, { ...(await this.examine(roomId, ids)), fault });
        throw new NotSafe(fault);
      }
      return false;
    }
    return true;
  }

  private note(roomId: string, evidence: Evidence): void {
    if (JSON.stringify(this.found.get(roomId)) === JSON.stringify(evidence)) return;
    this.found.set(roomId, evidence);
    this.onchange(roomId);
  }
}

function faultOf(roster: RosterState, amiss: Presence | undefined): Fault | null {
  if (roster.kind === "none") return null;
  if (roster.kind === "bad") return { kind: roster.fault, about: null };
  if (!amiss) return null;
  const { standing } = amiss;
  return { kind: standing === "stranger" || standing === "own" ? standing : "identity", about: amiss.userId };
}

function isFine(standing: Presence["standing"]): boolean {
  return standing === "self" || standing === "person" || standing === "roster" || standing === "unknown";
}

// The engine gives a cross-signing key as the specification's object.
function keyIn(text: string | undefined): string | null {
  if (text === undefined) return null;
  const { keys } = JSON.parse(text) as { keys?: Record<string, string> };
  return Object.values(keys ?? {})[0] ?? null;
}
