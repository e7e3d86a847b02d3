import type { Chat, Fault, Member, Message, Picture, ReactionKey, Room, Voice } from "../../matrix/chat";
import { FaultWatch } from "./evidence";
import { type Line, linesOf } from "./lines";
import { type Draft, Outbox } from "./outbox.svelte";

/** Bytes of text that fit into one event with room for the encryption around it. */
export const LONGEST = 20_000;

export interface ConversationOptions {
  roomId: string;
  keep?: (drafts: readonly Draft[]) => void;
  kept?: readonly Draft[];
  /** What was being written when the page went away, and who keeps what is. */
  text?: string;
  ontext?: (text: string) => void;
  /** Members that never read along as a person does: the keeper. */
  silent?: readonly string[];
  /** Whom the conversation is for: what a colleague says is then an answer, too. */
  person?: string;
  /** Came from an app: what came by its bridge is of this side. */
  moved?: boolean;
  /** As whom somebody came until they moved here. */
  before?: readonly string[];
  /** Why nothing is sent, once that stands; called once for each reason. */
  onfault?: (fault: Fault) => void;
}

const SAID: readonly Message["kind"][] = ["text", "picture", "voice", "file", "other"];

/** One room as a person sees it: lines with days and read marks, what is being written, who types. */
export class Conversation {
  readonly roomId: string;
  room = $state.raw<Room | null>(null);
  text = $state("");
  loading = $state(false);
  /** The message that somebody asked to see. */
  pointed = $state<string | null>(null);
  silent = $state.raw<readonly string[]>([]);
  /** Why nothing is sent, once that stands. */
  fault = $state.raw<Fault | null>(null);
  /** This account, once the room is live. */
  ownId = $state<string | null>(null);
  /** The message that is being answered or corrected by what is being written. */
  aside = $state.raw<{ kind: "answer" | "correction"; message: Message } | null>(null);
  /** What was being written before a correction began. */
  private put = "";
  /** The accounts of whom this is for, the one before a move as well; null where it is for nobody in particular. */
  private persons = $state.raw<readonly string[] | null>(null);
  private readonly moved: boolean;
  private readonly before: readonly string[];
  readonly outbox: Outbox;
  private chat: Chat | null = null;
  private unwatch: (() => void) | null = null;
  private typingSince: number | null = null;
  private typingEnds: ReturnType<typeof setTimeout> | undefined;
  private visible = false;
  private readonly watch: FaultWatch;
  private readonly ontext: (text: string) => void;

  readonly drafts: readonly Draft[] = $derived.by(() => {
    const txns = new Set([...(this.room?.messages.map((message) => message.txn) ?? []), ...(this.room?.changes ?? [])]);
    return this.outbox.drafts.filter((draft) => !txns.has(draft.txn));
  });
  readonly lines: readonly Line[] = $derived.by(() =>
    linesOf(this.room, this.drafts, this.silent, this.ownId, this.moved, this.before));
  readonly over = $derived(new TextEncoder().encode(this.text).length - LONGEST);
  readonly typing: readonly Member[] = $derived(
    (this.room?.members ?? []).filter(({ userId }) => this.room?.typing.includes(userId)),
  );
  /** Others' messages that this account has not read. */
  readonly unread = $derived(
    (this.room?.messages ?? []).slice((this.room?.ownReadUpTo ?? -1) + 1)
      .filter((message) => !message.mine && SAID.includes(message.kind)).length,
  );
  /** When the person began to wait for an answer of this side, or null. */
  readonly waitingSince: number | null = $derived.by(() => {
    let since: number | null = null;
    for (const message of this.room?.messages ?? []) {
      if (!SAID.includes(message.kind) && message.kind !== "unreadable") continue;
      const theirs = this.persons === null || message.fromApp || this.persons.includes(message.sender);
      if (message.mine || !theirs) since = null;
      else since ??= message.at;
    }
    return since;
  });

  constructor(options: ConversationOptions) {
    this.roomId = options.roomId;
    this.silent = options.silent ?? [];
    this.text = options.text ?? "";
    this.ontext = options.ontext ?? (() => undefined);
    this.persons = options.person === undefined ? null : [options.person];
    this.moved = options.moved ?? false;
    this.before = options.before ?? [];
    this.watch = new FaultWatch((fault) => (this.fault = fault), options.onfault ?? (() => undefined));
    this.outbox = new Outbox({
      send: (what, txn) => {
        if (!this.chat) throw new Error("The keys are not open.");
        return this.chat.send(this.roomId, what, txn);
      },
      ...(options.keep ? { keep: options.keep } : {}),
      ...(options.kept ? { kept: options.kept } : {}),
    });
  }

  /** The person goes on under this account; what they said under another one stays theirs. */
  goesOnWith(person: string): void {
    if (this.persons !== null && !this.persons.includes(person)) this.persons = [...this.persons, person];
  }

  /** From now on the room is live. */
  attach(chat: Chat): void {
    this.unwatch?.();
    this.chat = chat;
    this.ownId = chat.userId;
    this.unwatch = chat.watch((roomId) => {
      if (roomId === this.roomId) this.refresh();
      else if (roomId === null && chat.connection === "online") this.outbox.wake();
    });
    this.refresh();
    if (this.typingSince !== null) chat.setTyping(this.roomId, true);
  }

  detach(): void {
    this.unwatch?.();
    this.unwatch = null;
    this.outbox.setReady(false);
    this.watch.stop();
    clearTimeout(this.typingEnds);
  }

  /** Looks whether what was amiss has been mended, and sends what was held. */
  async lookAgain(): Promise<void> {
    await this.chat?.lookAtRoster().catch(() => undefined);
    this.outbox.wake();
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
    const { aside } = this;
    if (aside?.kind === "correction") {
      if (body !== aside.message.body) this.outbox.add({ kind: "correction", about: aside.message.id, body });
    } else {
      this.outbox.add({ kind: "text", body, ...this.answering() });
      this.text = "";
    }
    this.leaveAside();
    this.stopTyping();
    this.ontext(this.text);
    return true;
  }

  sendPicture(picture: Picture): void {
    this.outbox.add({ kind: "picture", picture, ...this.answering() });
    this.leaveAside();
  }

  sendVoice(voice: Voice): void {
    this.outbox.add({ kind: "voice", voice, ...this.answering() });
    this.leaveAside();
  }

  /** What is written next answers this message. */
  answer(message: Message): void {
    this.leaveAside();
    this.aside = { kind: "answer", message };
  }

  /** What is written next takes the place of this own message's words. */
  correct(message: Message): void {
    this.leaveAside();
    this.put = this.text;
    this.text = message.body;
    this.aside = { kind: "correction", message };
  }

  /** Neither answers nor corrects any more: what was being written before comes back. */
  leaveAside(): void {
    if (this.aside?.kind === "correction") this.text = this.put;
    this.put = "";
    this.aside = null;
  }

  /** Reacts to a message, or takes the reaction back. */
  react(message: Message, key: ReactionKey): void {
    const same = ({ what }: Draft): boolean =>
      (what.kind === "reaction" || what.kind === "withdrawal") && what.about === message.id && what.key === key;
    const pending = this.drafts.findLast(same);
    if (pending?.state === "sending" || pending?.state === "sent") return;
    // Thought better of it before it went out, or of what was refused.
    if (pending) this.outbox.discard(pending.txn);
    if (pending?.state === "waiting") return;
    const about = message.id;
    const stands = this.room?.messages.find(({ id }) => id === about);
    const own = stands?.reactions.find((each) => each.key === key)?.own;
    this.outbox.add(own ? { kind: "withdrawal", about, key, id: own } : { kind: "reaction", about, key });
  }

  /** A picture or a voice message. Raises when it can't be opened. */
  openFile(messageId: string): Promise<Blob> {
    return this.chat ? this.chat.openFile(this.roomId, messageId) : Promise.reject(new Error("The keys are not open."));
  }

  /** Takes back an own message with its corrections. Says whether that worked. */
  async takeBack(messageId: string): Promise<boolean> {
    if (this.aside?.message.id === messageId) this.leaveAside();
    try {
      await this.chat?.takeBack(this.roomId, messageId);
      return this.chat !== null;
    } catch {
      return false;
    }
  }

  /** The person is typing: told at most every ten seconds, taken back after five of silence. */
  typed(now = Date.now()): void {
    // What is being corrected is said already.
    this.ontext(this.aside?.kind === "correction" ? this.put : this.text);
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

  private answering(): { answers?: string } {
    return this.aside?.kind === "answer" ? { answers: this.aside.message.id } : {};
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
    this.watch.see(room.evidence);
    this.outbox.settle((draft) =>
      room.changes.includes(draft.txn) || room.changes.includes(draft.eventId ?? "") ||
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
}
