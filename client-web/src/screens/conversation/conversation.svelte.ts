import type { Chat, Member, Message, Picture, Room } from "../../matrix/chat";
import { type Draft, Outbox } from "./outbox.svelte";

/** Bytes of text that fit into one event with room for the encryption around it. */
export const LONGEST = 20_000;

export type Line =
  | { key: string; kind: "day"; at: number }
  | { key: string; kind: "message"; message: Message; name: string; read: boolean }
  | { key: string; kind: "draft"; draft: Draft };

export interface ConversationOptions {
  roomId: string;
  keep?: (drafts: readonly Draft[]) => void;
  kept?: readonly Draft[];
  /** Members that never read along as a person does: the keeper. */
  silent?: readonly string[];
  /** Whom the conversation is for: what a colleague says is then an answer, too. */
  person?: string;
}

/** One room as a person sees it: lines with days and read marks, what is being written, who types. */
export class Conversation {
  readonly roomId: string;
  room = $state.raw<Room | null>(null);
  text = $state("");
  loading = $state(false);
  /** The message that somebody asked to see. */
  pointed = $state<string | null>(null);
  silent = $state.raw<readonly string[]>([]);
  private readonly person: string | null;
  readonly outbox: Outbox;
  private chat: Chat | null = null;
  private unwatch: (() => void) | null = null;
  private typingSince: number | null = null;
  private typingEnds: ReturnType<typeof setTimeout> | undefined;
  private visible = false;

  readonly drafts: readonly Draft[] = $derived.by(() => {
    const txns = new Set(this.room?.messages.map((message) => message.txn));
    return this.outbox.drafts.filter((draft) => !txns.has(draft.txn));
  });
  readonly lines: readonly Line[] = $derived.by(() => this.compose());
  readonly over = $derived(new TextEncoder().encode(this.text).length - LONGEST);
  readonly typing: readonly Member[] = $derived(
    (this.room?.members ?? []).filter(({ userId }) => this.room?.typing.includes(userId)),
  );
  /** Others' messages that this account has not read. */
  readonly unread = $derived(
    (this.room?.messages ?? []).slice((this.room?.ownReadUpTo ?? -1) + 1)
      .filter((message) => !message.mine && ["text", "picture", "other"].includes(message.kind)).length,
  );
  /** When the person began to wait for an answer of this side, or null. */
  readonly waitingSince: number | null = $derived.by(() => {
    let since: number | null = null;
    for (const message of this.room?.messages ?? []) {
      if (message.kind === "joined" || message.kind === "left") continue;
      if (message.mine || (this.person !== null && message.sender !== this.person)) since = null;
      else since ??= message.at;
    }
    return since;
  });

  constructor(options: ConversationOptions) {
    this.roomId = options.roomId;
    this.silent = options.silent ?? [];
    this.person = options.person ?? null;
    this.outbox = new Outbox({
      send: (body, txn, picture) => {
        if (!this.chat) throw new Error("The keys are not open.");
        return picture ? this.chat.sendPicture(this.roomId, picture, txn) : this.chat.send(this.roomId, body, txn);
      },
      ...(options.keep ? { keep: options.keep } : {}),
      ...(options.kept ? { kept: options.kept } : {}),
    });
  }

  /** From now on the room is live. */
  attach(chat: Chat): void {
    this.unwatch?.();
    this.chat = chat;
    this.unwatch = chat.watch((roomId) => {
      if (roomId === this.roomId) this.refresh();
      else if (roomId === null && chat.connection === "online") this.outbox.wake();
    });
    this.refresh();
  }

  detach(): void {
    this.unwatch?.();
    this.unwatch = null;
    this.outbox.setReady(false);
    clearTimeout(this.typingEnds);
  }

  async loadHistory(limit = 1_000): Promise<void> {
    if (!this.chat || this.loading) return;
    this.loading = true;
    try {
      await this.chat.loadHistory(this.roomId, limit);
    } catch {
      // The conversation goes on without its older part; the button to fetch it stays.
    } finally {
      this.loading = false;
      this.refresh();
    }
  }

  /** Sends what is written. Says whether there was anything to send. */
  send(): boolean {
    const body = this.text.trim();
    if (body === "" || this.over > 0) return false;
    this.outbox.add(body);
    this.text = "";
    this.stopTyping();
    return true;
  }

  sendPicture(picture: Picture): void {
    this.outbox.add("", picture);
  }

  /** Raises when it can't be opened. */
  openPicture(messageId: string): Promise<Blob> {
    return this.chat ? this.chat.openPicture(this.roomId, messageId) : Promise.reject(new Error("The keys are not open."));
  }

  /** Takes back an own message. Says whether that worked. */
  async takeBack(messageId: string): Promise<boolean> {
    try {
      await this.chat?.takeBack(this.roomId, messageId);
      return this.chat !== null;
    } catch {
      return false;
    }
  }

  /** The person is typing: told at most every ten seconds, taken back after five of silence. */
  typed(now = Date.now()): void {
    if (this.text === "") {
      this.stopTyping();
      return;
    }
    if (this.typingSince === null || now - this.typingSince > 10_000) {
      this.typingSince = now;
      this.chat?.setTyping(this.roomId, true);
    }
    clearTimeout(this.typingEnds);
    this.typingEnds = setTimeout(() => this.stopTyping(), 5_000);
  }

  /** Whether the person has this conversation before their eyes: only then it counts as read. */
  show(visible: boolean): void {
    this.visible = visible;
    this.markRead();
  }

  private stopTyping(): void {
    clearTimeout(this.typingEnds);
    if (this.typingSince === null) return;
    this.typingSince = null;
    this.chat?.setTyping(this.roomId, false);
  }

  private refresh(): void {
    const room = this.chat?.room(this.roomId) ?? null;
    this.room = room;
    if (!room) return;
    this.outbox.settle((draft) =>
      room.messages.some((message) => message.txn === draft.txn || message.id === draft.eventId));
    this.outbox.setReady(room.membership === "join" && room.encrypted && room.writable);
    this.markRead();
  }

  private markRead(): void {
    const room = this.room;
    if (!this.visible || !room || room.membership !== "join") return;
    const last = room.messages.findLastIndex((message) => !message.mine);
    const message = room.messages[last];
    if (message && last > room.ownReadUpTo) this.chat?.markRead(this.roomId, message.id);
  }

  private compose(): readonly Line[] {
    const { room } = this;
    const lines: Line[] = [];
    const names = new Map(room?.members.map(({ userId, name }) => [userId, name]));
    const readers = Object.entries(room?.readUpTo ?? {}).filter(([who]) => !this.silent.includes(who));
    const readTo = Math.max(-1, ...readers.map(([, upTo]) => upTo));
    let day = "";
    const dayLine = (at: number): void => {
      const date = new Date(at).toDateString();
      if (date !== day) lines.push({ key: "day " + date, kind: "day", at });
      day = date;
    };
    for (const [index, message] of (room?.messages ?? []).entries()) {
      if (this.isNoise(message, room?.messages[index - 1])) continue;
      dayLine(message.at);
      const name = names.get(message.sender) ?? "";
      lines.push({ key: message.id, kind: "message", message, name, read: message.mine && index <= readTo });
    }
    for (const draft of this.drafts) {
      dayLine(draft.at);
      lines.push({ key: draft.txn, kind: "draft", draft });
    }
    return lines;
  }

  // One line stands for a row of unreadable messages; people need not hear that programs or they themselves came in.
  private isNoise(message: Message, before: Message | undefined): boolean {
    if (message.kind === "unreadable") return before?.kind === "unreadable";
    if (message.kind !== "joined" && message.kind !== "left") return false;
    return message.mine || this.silent.includes(message.sender) || message.body === "";
  }
}
