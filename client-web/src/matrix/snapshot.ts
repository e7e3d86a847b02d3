import { EventType, MsgType } from "matrix-js-sdk/lib/matrix.js";
import type { MatrixEvent, Room as SdkRoom } from "matrix-js-sdk/lib/matrix.js";
import { gather, txnOf } from "./changes";
import type { Delivery, Evidence, Member, Message, Room } from "./chat";
import { fileIn, QUIET, relationOf, voiceIn } from "./sealed";

const CASE = "jp.madoguchi.case";
const DELIVERY = "jp.madoguchi.delivery";
const ORIGIN = "jp.madoguchi.origin";
const DELIVERIES: readonly unknown[] = ["accepted", "delayed", "maybe_blocked", "on_page", "failed"] satisfies Delivery[];
const TEXTS: readonly unknown[] = [MsgType.Text, MsgType.Notice, MsgType.Emote];

/** The library's room as our own plain value. */
export function snapshot(room: SdkRoom, userId: string, evidence: Evidence | null): Room {
  const events = room.getLiveTimeline().getEvents();
  const deliveries = deliveriesIn(events);
  const changes = gather(events, userId);
  const lines: Message[] = [];
  // Where each event stands in `lines`: receipts may point at events that are not shown.
  const place = new Map<string, number>();
  const spokeAt = new Map<string, number>();
  for (const event of events) {
    const line = changes.isChange(event) ? null : asMessage(event, userId);
    if (line) lines.push({ ...changes.applied(line), delivery: deliveries.get(line.id) ?? null });
    if (line && line.kind !== "joined" && line.kind !== "left") spokeAt.set(line.sender, lines.length - 1);
    place.set(event.getId() ?? "", lines.length - 1);
  }
  const members = room.getMembers().filter(({ membership }) => membership === "join" || membership === "invite");
  const comings = new Set(
    events.filter((event) => event.getType() === EventType.RoomMember).map((event) => event.getId()),
  );
  // Whoever speaks has read; whoever comes in has not, though the library takes any event for its sender's receipt.
  const readUpTo = (who: string): number => {
    const found = room.getEventReadUpTo(who);
    const told = found !== null && comings.has(found) ? room.getEventReadUpTo(who, true) : found;
    return Math.max(place.get(told ?? "") ?? -1, spokeAt.get(who) ?? -1);
  };
  const others = members.filter((member) => member.userId !== userId);
  const membership = room.getMyMembership();
  return {
    id: room.roomId,
    membership: membership === "join" || membership === "invite" ? membership : "leave",
    encrypted: membership === "join" && room.hasEncryptionStateEvent(),
    writable: membership === "join" && room.maySendMessage(),
    caseState: caseStateOf(room),
    messages: lines,
    changes: changes.own,
    members: members.map((member): Member => ({
      userId: member.userId,
      name: member.name,
      joined: member.membership === "join",
    })),
    typing: others.filter((member) => member.typing).map((member) => member.userId),
    readUpTo: Object.fromEntries(others.map((member) => [member.userId, readUpTo(member.userId)])),
    ownReadUpTo: readUpTo(userId),
    hasEarlier: room.oldState.paginationToken !== null,
    evidence,
  };
}

function caseStateOf(room: SdkRoom): string | null {
  const said: unknown = room.currentState.getStateEvents(CASE, "")?.getContent()["state"];
  return typeof said === "string" ? said : null;
}

function asMessage(event: MatrixEvent, userId: string): Message | null {
  const sender = event.getSender() ?? "";
  const line = (kind: Message["kind"], body = ""): Message => ({
    id: event.getId() ?? "",
    txn: txnOf(event),
    sender,
    mine: sender === userId,
    kind,
    body,
    at: event.getTs(),
    fromApp: typeof event.getContent()[ORIGIN] === "object",
    answers: null,
    corrected: false,
    reactions: [],
    delivery: null,
    picture: null,
    voice: null,
    file: null,
  });
  if (event.getType() === EventType.RoomMember) return asMembership(event, line);
  if (event.isState()) return null;
  if (event.isRedacted()) return event.isRedaction() || wasQuiet(event) ? null : line("removed");
  if (event.isDecryptionFailure() || event.getType() === EventType.RoomMessageEncrypted) {
    // A reaction that can't be read would be a riddle between two messages.
    return event.getWireContent()[QUIET] === true ? null : line("unreadable");
  }
  // Whoever runs the server could put this in; what a person says here comes encrypted.
  if (!event.isEncrypted() && !isSilent(event)) return line("unreadable");
  if (event.getType() !== EventType.RoomMessage) return isSilent(event) ? null : line("other");
  const content = event.getOriginalContent();
  const relation = relationOf(event);
  const answers = relation?.kind === "answer" ? relation.to : null;
  // What it corrects is not here (any more): it stands for itself.
  if (relation?.kind === "correction") return { ...line("text", relation.body), corrected: true };
  if (content.msgtype === MsgType.Image && typeof content["file"] === "object") {
    return { ...line("picture"), answers, picture: sidesOf(content["info"]) };
  }
  const voice = voiceIn(content);
  if (voice) return { ...line("voice"), answers, voice };
  const file = fileIn(content);
  if (file) return { ...line("file"), answers, file };
  const known = TEXTS.includes(content.msgtype) && typeof content["body"] === "string";
  return known ? { ...line("text", content["body"] as string), answers } : line("other");
}

// The server leaves the mark on the redaction: without its content the event says no more what it was.
function wasQuiet(event: MatrixEvent): boolean {
  return (event.getUnsigned().redacted_because?.content as Record<string, unknown> | undefined)?.[QUIET] === true;
}

// What a sender says may be anything; a place on the page is kept for a picture of sensible size.
function sidesOf(info: unknown): { width: number; height: number } {
  const { w, h } = (info ?? {}) as { w?: unknown; h?: unknown };
  const side = (value: unknown): number =>
    typeof value === "number" && value >= 1 && value <= 20_000 ? Math.round(value) : 400;
  return { width: side(w), height: side(h) };
}

// The latest word of the bridge for each message.
function deliveriesIn(events: readonly MatrixEvent[]): Map<string, Delivery> {
  const found = new Map<string, Delivery>();
  for (const event of events) {
    if (event.getType() !== DELIVERY) continue;
    const state: unknown = event.getContent()["state"];
    const about = event.relationEventId;
    if (about !== undefined && DELIVERIES.includes(state)) found.set(about, state as Delivery);
  }
  return found;
}

// What changes other lines or is not said by a person has no line of its own.
function isSilent(event: MatrixEvent): boolean {
  const type = event.getType();
  return type === "m.reaction" || type === "m.room.redaction" || type.startsWith("m.key.verification.") ||
    type.startsWith("jp.madoguchi.");
}

function asMembership(event: MatrixEvent, line: (kind: Message["kind"], body: string) => Message): Message | null {
  const { membership, displayname } = event.getContent();
  const before = event.getPrevContent()["membership"] as string | undefined;
  const name = typeof displayname === "string" ? displayname : "";
  const who = event.getStateKey();
  const as = (kind: "joined" | "left", text: string): Message => ({ ...line(kind, text), sender: who ?? "" });
  if (membership === "join" && before !== "join") return as("joined", name);
  if ((membership === "leave" || membership === "ban") && before === "join") {
    return as("left", String(event.getPrevContent()["displayname"] ?? name));
  }
  return null;
}
