// Choosing a saved reply: with a stroke at the start of an empty line, or by the button. It goes into what is being
// written, and is sent only by the person.
import type { Reply } from "../../desk/api";
import type { Conversation } from "../conversation/conversation.svelte";
import { plain } from "../riskwords";

export interface Offer extends Reply {
  /** The counsellor's own. */
  own: boolean;
}

// "/" as keyboards write it; with a Japanese input method on, the same key gives one of the others.
const STROKES = "/／・";
const MOST = 40;

export class Picker {
  /** The one that Enter takes. */
  place = $state(0);
  /** What is looked for in the menu's own field; null while the menu is not open. */
  asked = $state<string | null>(null);
  private shutFor = $state<string | null>(null);
  private caret: readonly [number, number] = [0, 0];

  /** What is looked for, or null while nothing is offered. */
  readonly query: string | null = $derived.by(() => {
    if (this.asked !== null) return this.asked;
    const { text } = this.conversation;
    const isStroke = text !== "" && STROKES.includes(text[0] ?? "") && !text.includes("\n");
    if (!isStroke || (this.shutFor !== null && text.startsWith(this.shutFor))) return null;
    return text.slice(1);
  });
  readonly offers: readonly Offer[] = $derived(this.query === null ? [] : this.find(this.query));
  /** A dot also begins a line of a list: then the menu is there only while something fits. */
  readonly open: boolean = $derived.by(() =>
    this.query !== null && (this.asked !== null || this.offers.length > 0 || !this.conversation.text.startsWith("・")));
  readonly chosen: Offer | null = $derived(this.offers[Math.min(this.place, this.offers.length - 1)] ?? null);

  constructor(
    private readonly conversation: Conversation,
    private readonly offered: () => readonly Offer[],
    /** An offer's text with its blanks filled. */
    readonly fill: (offer: Offer) => string,
    /** Of the young person's page, if known: replies in it come first. */
    readonly language: () => string | null,
  ) {}

  /** Opens the menu, to put a reply where the caret is; opened twice it closes. */
  ask(start: number, end: number): void {
    this.caret = [start, end];
    this.place = 0;
    this.asked = this.asked === null ? "" : null;
  }

  /** A key, wherever the focus is. Says whether it was for the menu. */
  press(key: string): boolean {
    if (!this.open) return false;
    const many = this.offers.length;
    if (key === "ArrowDown" || key === "ArrowUp") {
      if (many > 0) this.place = (Math.min(this.place, many - 1) + (key === "ArrowDown" ? 1 : many - 1)) % many;
      return true;
    }
    if (key === "Escape") {
      this.close();
      return true;
    }
    if (key !== "Enter" && !(key === "Tab" && this.asked === null)) return false;
    if (this.chosen) this.take(this.chosen);
    else return this.asked !== null;
    return true;
  }

  close(): void {
    if (this.asked === null) this.shutFor = this.conversation.text;
    this.asked = null;
  }

  /** Puts a reply into what is being written. Gives where the caret belongs. */
  take(offer: Offer): number {
    const words = this.fill(offer);
    const { conversation } = this;
    const [start, end] = this.asked === null ? [0, conversation.text.length] : this.caret;
    conversation.text = conversation.text.slice(0, start) + words + conversation.text.slice(end);
    this.asked = null;
    this.place = 0;
    // What was put in may itself begin with a stroke.
    this.shutFor = conversation.text === "" ? null : conversation.text;
    conversation.typed();
    return start + words.length;
  }

  private find(query: string): readonly Offer[] {
    const sought = plain(query);
    const language = this.language();
    const weigh = (offer: Offer): number => {
      const [title, text] = [plain(offer.title), plain(offer.text)];
      const fits = title.startsWith(sought) ? 0 : title.includes(sought) ? 1 : text.includes(sought) ? 2 : NaN;
      return fits + (language === null || offer.language === language ? 0 : 10);
    };
    const found = this.offered().map((offer) => ({ offer, weight: weigh(offer) }));
    return found.filter(({ weight }) => !Number.isNaN(weight))
      .sort((one, other) => one.weight - other.weight).slice(0, MOST).map(({ offer }) => offer);
  }
}
