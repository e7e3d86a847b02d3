// What a conversation shows, line by line: what has been said, with what is still under way to change it.
import type { Message, Reaction, Room } from "../../matrix/chat";
import type { Draft } from "./outbox.svelte";

/** A message that another one answers. `message`: null where it is not here (any more). */
export interface Quote {
  id: string;
  message: Message | null;
  name: string;
}

export interface MessageLine {
  key: string;
  kind: "message";
  message: Message;
  name: string;
  read: boolean;
  /** Of this side, be it by another account: what somebody said on an app before they moved here. */
  own: boolean;
  quote: Quote | null;
  /** Corrections and reactions of one's own that have not arrived. `message` has them applied but for refused ones. */
  pending: readonly Draft[];
}

export type Line =
  | { key: string; kind: "day"; at: number }
  | MessageLine
  | { key: string; kind: "draft"; draft: Draft; quote: Quote | null };

/** `silent`: members that never read along as a person does; `drafts`: what the room does not show yet; `moved`: what
 * came by an app was said by whoever looks at this, and so was what `earlier` said. */
export function linesOf(
  room: Room | null, drafts: readonly Draft[], silent: readonly string[], ownId: string | null, moved = false,
  earlier: readonly string[] = [],
): readonly Line[] {
  const lines: Line[] = [];
  const messages = room?.messages ?? [];
  const ghosts = moved ? messages.filter(({ fromApp }) => fromApp).map(({ sender }) => sender) : [];
  const before = new Set([...ghosts, ...earlier]);
  const names = new Map(room?.members.map(({ userId, name }) => [userId, name]));
  const places = new Map(messages.map((message) => [message.id, message]));
  const readers = Object.entries(room?.readUpTo ?? {}).filter(([who]) => !silent.includes(who));
  const readTo = Math.max(-1, ...readers.map(([, upTo]) => upTo));
  let day = "";
  // Named by what follows: a clock that goes back, somewhere, shows a day twice.
  const dayLine = (at: number, before: string): void => {
    const date = new Date(at).toDateString();
    if (date !== day) lines.push({ key: "day " + before, kind: "day", at });
    day = date;
  };
  const quoteOf = (id: string | null | undefined): Quote | null => {
    if (id === null || id === undefined) return null;
    const message = places.get(id) ?? null;
    return { id, message, name: names.get(message?.sender ?? "") ?? "" };
  };
  for (const [index, message] of messages.entries()) {
    if (isNoise(message, messages[index - 1], [...silent, ...before])) continue;
    dayLine(message.at, message.id);
    const pending = drafts.filter(({ what }) => "about" in what && what.about === message.id);
    lines.push({
      key: message.id, kind: "message", message: withPending(message, pending, ownId),
      name: names.get(message.sender) ?? "", read: message.mine && index <= readTo,
      own: message.mine || before.has(message.sender), quote: quoteOf(message.answers), pending,
    });
  }
  for (const draft of drafts) {
    if ("about" in draft.what) continue;
    dayLine(draft.at, draft.txn);
    lines.push({ key: draft.txn, kind: "draft", draft, quote: quoteOf(draft.what.answers) });
  }
  return lines;
}

// One line stands for a row of unreadable messages; people need not hear that programs or they themselves came in.
function isNoise(message: Message, before: Message | undefined, silent: readonly string[]): boolean {
  if (message.kind === "unreadable") return before?.kind === "unreadable";
  if (message.kind !== "joined" && message.kind !== "left") return false;
  return message.mine || silent.includes(message.sender) || message.body === "";
}

function withPending(message: Message, pending: readonly Draft[], ownId: string | null): Message {
  let shown = message;
  for (const { what, state } of pending) {
    if (state === "refused") continue;
    if (what.kind === "correction") shown = { ...shown, body: what.body, corrected: true };
    if (ownId === null || (what.kind !== "reaction" && what.kind !== "withdrawal")) continue;
    const { key } = what;
    const others = shown.reactions.find((each) => each.key === key)?.by.filter((who) => who !== ownId) ?? [];
    const by = what.kind === "reaction" ? [...others, ownId] : others;
    const rest = shown.reactions.filter((each) => each.key !== key);
    const changed: Reaction = { key, by, own: what.kind === "reaction" ? "" : null };
    shown = { ...shown, reactions: by.length > 0 ? [...rest, changed] : rest };
  }
  return shown;
}
