// Events that change messages instead of being some: gathered here, as the server can't read them.
import { EventType } from "matrix-js-sdk/lib/matrix.js";
import type { MatrixEvent } from "matrix-js-sdk/lib/matrix.js";
import { type Message, type Reaction, REACTIONS, type ReactionKey } from "./chat";
import { relationOf } from "./sealed";

export interface Changes {
  /** Whether the event is shown at another one, and nowhere else. */
  isChange(event: MatrixEvent): boolean;
  /** The message as it stands with all that has changed it. */
  applied(message: Message): Message;
  /** Ids and transaction ids of this account's own. */
  own: readonly string[];
}

interface Correction {
  sender: string;
  body: string;
}

/** The transaction id this device gave an event, null for everybody else's. */
export function txnOf(event: MatrixEvent): string | null {
  return (event.getUnsigned().transaction_id as string | undefined) ?? event.getTxnId() ?? null;
}

/** `events`: those that have come, in the server's order. */
export function gather(events: readonly MatrixEvent[], userId: string): Changes {
  const known = new Map(events.map((event) => [event.getId() ?? "", event.getSender() ?? ""]));
  const corrections = new Map<string, Correction>();
  const reactions = new Map<string, Map<ReactionKey, Map<string, string>>>();
  const isChange = (event: MatrixEvent): boolean => {
    const relation = event.isEncrypted() ? relationOf(event) : null;
    if (relation?.kind === "reaction") return true;
    // Only the sender corrects, and only what can be found: anything else stands for itself.
    return relation?.kind === "correction" && known.get(relation.of) === event.getSender();
  };
  const own: string[] = [];
  for (const event of events) {
    const id = event.getId() ?? "";
    const sender = event.getSender() ?? "";
    const mine = sender === userId;
    if (mine && event.getType() === EventType.RoomRedaction) own.push(id, txnOf(event) ?? id);
    if (!isChange(event)) continue;
    if (mine) own.push(id, txnOf(event) ?? id);
    const relation = relationOf(event);
    if (relation?.kind === "correction") corrections.set(relation.of, { sender, body: relation.body });
    if (relation?.kind === "reaction") {
      const to = reactions.get(relation.to) ?? new Map<ReactionKey, Map<string, string>>();
      reactions.set(relation.to, to.set(relation.key, (to.get(relation.key) ?? new Map()).set(sender, id)));
    }
  }
  return {
    isChange,
    own,
    applied(message) {
      if (message.kind === "removed") return message;
      const correction = message.kind === "text" || message.kind === "unreadable" ? corrections.get(message.id) : undefined;
      const changed: Message = { ...message, reactions: asReactions(reactions.get(message.id), userId) };
      return correction ? { ...changed, kind: "text", body: correction.body, corrected: true } : changed;
    },
  };
}

function asReactions(found: Map<ReactionKey, Map<string, string>> | undefined, userId: string): readonly Reaction[] {
  if (!found) return [];
  return (Object.keys(REACTIONS) as ReactionKey[]).flatMap((key) => {
    const by = found.get(key);
    return by ? [{ key, by: [...by.keys()], own: by.get(userId) ?? null }] : [];
  });
}
