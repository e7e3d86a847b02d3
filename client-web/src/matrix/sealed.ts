// What stands inside an encrypted event: how we say it, and how we read what others said.
//
// Everything that tells about the conversation is inside: which message is answered, corrected or reacted to as well
// (as MSC4019 proposes). The specification leaves such relations in clear, for the server to gather; here the pages
// gather them, and a case's room takes no reaction in clear. Why: docs/encryption-and-user-data.md.
import { EventType, MsgType, RelationType } from "matrix-js-sdk/lib/matrix.js";
import type { MatrixEvent } from "matrix-js-sdk/lib/matrix.js";
import type { EncryptedFile } from "./attachment";
import { type Outgoing, type Picture, REACTIONS, type ReactionKey, type SentFile, type Voice } from "./chat";

/** Beside a ciphertext: what is inside changes a message. Nobody is called for it, nobody waits for an answer. */
export const QUIET = "jp.madoguchi.quiet";
const VOICE = "org.matrix.msc3245.voice";
const AUDIO = "org.matrix.msc1767.audio";
const ENDINGS: Record<string, string> = { "audio/webm": "webm", "audio/ogg": "ogg", "audio/mp4": "m4a" };
const FILES = new Map<unknown, SentFile["plays"]>([
  [MsgType.Video, "film"], [MsgType.Audio, "sound"], [MsgType.File, null],
]);
const LOUDEST = 1_024;
const LONGEST_NAME = 120;
const LONGEST_MS = 3_600_000;
const MOST_LEVELS = 120;
const LONGEST_TWICE = 2_000;

type Content = Record<string, unknown>;

/** An event as it is sealed. */
export interface Sealed {
  type: string;
  content: Content;
  quiet: boolean;
}

type Said = Exclude<Outgoing, { kind: "withdrawal" }>;

/** The event that says it, as it is sealed. `file`: what a picture or a voice message was uploaded as. */
export function sealedOf(what: Said, file: EncryptedFile | null): Sealed {
  switch (what.kind) {
    case "text":
      return message({ ...text(what.body), ...answering(what.answers) });
    case "picture":
      return message({ ...pictureOf(what.picture), file, ...answering(what.answers) });
    case "voice":
      return message({ ...voiceOf(what.voice), file, ...answering(what.answers) });
    case "correction": {
      // A client that does not look inside for the relation shows it as a message with a star, as is the custom.
      const relation = { rel_type: RelationType.Replace, event_id: what.about };
      const content = { ...text("* " + shortened(what.body)), "m.new_content": text(what.body), "m.relates_to": relation };
      return { type: EventType.RoomMessage, content, quiet: true };
    }
    case "reaction": {
      const relation = { rel_type: RelationType.Annotation, event_id: what.about, key: what.key };
      return { type: EventType.Reaction, content: { "m.relates_to": relation }, quiet: true };
    }
  }
}

function message(content: Content): Sealed {
  return { type: EventType.RoomMessage, content, quiet: false };
}

function text(body: string): Content {
  return { msgtype: MsgType.Text, body };
}

function pictureOf(picture: Picture): Content {
  const info = { mimetype: "image/jpeg", size: picture.size, w: picture.width, h: picture.height };
  return { msgtype: MsgType.Image, body: "picture.jpg", info };
}

function voiceOf(voice: Voice): Content {
  const duration = Math.round(voice.ms);
  const waveform = voice.levels.map((level) => Math.round(Math.min(1, Math.max(0, level)) * LOUDEST));
  const info = { mimetype: voice.type, size: voice.size, duration };
  const body = "voice." + (ENDINGS[voice.type] ?? "audio");
  return { msgtype: MsgType.Audio, body, info, [AUDIO]: { duration, waveform }, [VOICE]: {} };
}

// The words stand in the event twice: together they must fit.
function shortened(body: string): string {
  const letters = [...body];
  return letters.length > LONGEST_TWICE ? letters.slice(0, LONGEST_TWICE).join("") + "…" : body;
}

function answering(answers: string | undefined): Content {
  return answers === undefined ? {} : { "m.relates_to": { "m.in_reply_to": { event_id: answers } } };
}

/** What an event says about another one. */
export type Relation =
  | { kind: "answer"; to: string }
  | { kind: "correction"; of: string; body: string }
  | { kind: "reaction"; to: string; key: ReactionKey };

/** Reads it, or gives null where it says nothing of the kind. All of it is the sender's: any field may hold anything.
 *
 * What stands inside counts. Only where nothing does, what lies beside the ciphertext is taken, for clients that put it
 * there and nowhere else: a server could have written that, but no word of a correction. */
export function relationOf(event: MatrixEvent): Relation | null {
  const content = event.getOriginalContent();
  const relation = mapping(content["m.relates_to"] ?? event.getWireContent()["m.relates_to"]);
  const about = id(relation["event_id"]);
  if (event.getType() === EventType.Reaction) {
    const key = reactionKey(relation["key"]);
    const fits = relation["rel_type"] === RelationType.Annotation && about !== null && key !== null;
    return fits ? { kind: "reaction", to: about, key } : null;
  }
  if (event.getType() !== EventType.RoomMessage) return null;
  if (relation["rel_type"] === RelationType.Replace) {
    const { body } = mapping(content["m.new_content"]);
    return about !== null && typeof body === "string" ? { kind: "correction", of: about, body } : null;
  }
  const answered = id(mapping(relation["m.in_reply_to"])["event_id"]);
  // In a thread every message names the one before it, for clients that know no threads.
  return answered !== null && relation["is_falling_back"] !== true ? { kind: "answer", to: answered } : null;
}

/** Length and loudness of what somebody spoke, whatever its sender says; null for anything else, a song, too. */
export function voiceIn(content: Content): Pick<Voice, "ms" | "levels"> | null {
  if (content["msgtype"] !== MsgType.Audio || !(VOICE in content) || !isSealed(content)) return null;
  const audio = mapping(content[AUDIO]);
  const told = [audio["duration"], mapping(content["info"])["duration"]].find((each) => typeof each === "number");
  const waveform: unknown[] = Array.isArray(audio["waveform"]) ? audio["waveform"].slice(0, MOST_LEVELS) : [];
  const level = (value: unknown): number =>
    typeof value === "number" && value > 0 ? Math.min(1, value / LOUDEST) : 0;
  return { ms: Math.min(LONGEST_MS, Math.max(0, Number(told ?? 0))), levels: waveform.map(level) };
}

/** A film, a sound or another file, by what its sender says of it. Null when it is none, or not sealed. */
export function fileIn(content: Content): SentFile | null {
  const plays = FILES.get(content["msgtype"]);
  if (plays === undefined || !isSealed(content)) return null;
  const told = [content["filename"], content["body"]].find((each) => typeof each === "string") ?? "";
  // Without signs that are not seen: one that turns the direction makes a program look like a picture.
  const name = (told as string).replace(/[\p{C}\p{Zl}\p{Zp}/\\]/gu, "").trim().slice(-LONGEST_NAME);
  const size = mapping(content["info"])["size"];
  return { plays, name, size: typeof size === "number" && size >= 0 ? size : null };
}

function isSealed(content: Content): boolean {
  return typeof content["file"] === "object" && content["file"] !== null;
}

// Some clients leave out the selector that asks for a coloured heart.
function reactionKey(value: unknown): ReactionKey | null {
  const plain = (key: string): string => key.replaceAll("\uFE0F", "");
  const known = Object.keys(REACTIONS) as ReactionKey[];
  return typeof value === "string" ? (known.find((key) => plain(key) === plain(value)) ?? null) : null;
}

function id(value: unknown): string | null {
  return typeof value === "string" && value.startsWith("$") ? value : null;
}

function mapping(value: unknown): Content {
  return typeof value === "object" && value !== null ? (value as Content) : {};
}
