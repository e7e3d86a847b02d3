import type { Fault, Presence, RosterEntry } from "../../matrix/chat";

/** The texts that a conversation says; each side's catalogue has them. */
export type ConversationKey =
  | "room.conversation" | "room.history.loading" | "room.begin" | "write.label" | "write.placeholder" | "write.send"
  | "write.tooLong" | "message.you" | "message.state.waiting" | "message.state.sending" | "message.state.sent"
  | "message.state.refused" | "message.state.read" | "message.retry" | "message.discard" | "message.unreadable"
  | "message.removed" | "message.other" | "message.joined" | "message.left" | "message.typing" | "message.new"
  | "message.more" | "message.answer" | "message.answering" | "message.answers" | "message.gone" | "message.correct"
  | "message.correcting" | "message.corrected" | "message.takeBack" | "message.takeBack.title"
  | "message.takeBack.text" | "message.takeBack.failed" | "reaction" | "reaction.by" | "reaction.yes"
  | "reaction.heart" | "reaction.thanks" | "reaction.sad" | "reaction.hug" | "picture" | "picture.add"
  | "picture.show" | "picture.loading" | "picture.failed" | "picture.title" | "picture.text" | "picture.send"
  | "picture.preparing" | "picture.unreadable" | "picture.tooLarge" | FileKey | VoiceKey | EvidenceKey | "close" | "cancel";

export type EvidenceKey =
  | `evidence.${"sure" | "unsure" | "wrong" | "encrypted" | "plain" | "app" | "app.none" | "app.unknown" | "limits"}`
  | `evidence.roster.${"good" | "none"}` | `evidence.left_out${"" | ".why"}`
  | `evidence.${Presence["standing"] | Fault["kind"]}`
  | `evidence.role.${RosterEntry["role"]}`;

export type FileKey =
  | "file" | "file.film" | "file.sound" | "file.open" | "file.save" | "file.failed" | "file.gone" | "file.tooLarge" | "picture.loading" | "message.retry";

export type VoiceKey =
  | "voice" | "voice.add" | "voice.lead" | "voice.start" | "voice.asking" | "voice.recording" | "voice.stop"
  | "voice.listen" | "voice.send" | "voice.again" | "voice.play" | "voice.pause" | "voice.at" | "voice.loading"
  | "voice.failed" | "file.gone" | "voice.refused" | "voice.none" | "voice.unable" | "voice.broken" | "message.retry" | "close";

/** Says a text in the page's language. */
export type Say = (key: ConversationKey, parameters?: Record<string, string | number>) => string;
