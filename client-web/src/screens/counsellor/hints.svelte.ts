// What the desk's risk words suggest for the cases of this counsellor. Found, kept and forgotten in this browser.
import type { OwnCase, RiskWord } from "../../desk/api";
import type { Message } from "../../matrix/chat";
import { Matcher, rank } from "../riskwords";

/** A word of the list, and the newest message that it stands in. */
export interface Hint {
  word: RiskWord;
  message: Message;
}

const nameOf = (word: RiskWord): string => `${word.level} ${word.text}`;

export class Hints {
  private matcher = $state.raw(new Matcher([]));
  // Case id to the words that somebody has looked at there and put aside.
  private aside = $state.raw<ReadonlyMap<string, readonly string[]>>(new Map());
  // Case id to message id to what stands in it: a message is read once.
  private readonly found = new Map<string, Map<string, { body: string; words: readonly RiskWord[] }>>();

  /** `keep`: what to do with what was put aside, after every change. */
  constructor(private readonly keep: (aside: readonly [string, readonly string[]][]) => void = () => undefined) {}

  /** Looks for these words from now on. */
  use(words: readonly RiskWord[]): void {
    this.found.clear();
    this.matcher = new Matcher(words);
  }

  /** What was put aside before, as `keep` was told. Anything else is as nothing. */
  restore(kept: unknown): void {
    if (!Array.isArray(kept)) return;
    const good = kept.filter((each): each is [string, string[]] =>
      Array.isArray(each) && typeof each[0] === "string" && Array.isArray(each[1]));
    this.aside = new Map(good);
  }

  /** The words in what the young person wrote that suggest more than a human has set, the most dangerous first. */
  of(own: OwnCase, messages: readonly Message[]): readonly Hint[] {
    const aside = this.aside.get(own.case_id) ?? [];
    const hints = new Map<string, Hint>();
    for (const message of messages) {
      if (message.kind !== "text" || message.sender !== own.user_id) continue;
      for (const word of this.read(own.case_id, message)) {
        const name = nameOf(word);
        if (rank(word.level) > rank(own.risk) && !aside.includes(name)) hints.set(name, { word, message });
      }
    }
    return [...hints.values()].sort(
      (one, other) => rank(other.word.level) - rank(one.word.level) || other.message.at - one.message.at,
    );
  }

  /** A false alarm: the word suggests nothing more in this case. */
  putAside(caseId: string, word: RiskWord): void {
    const aside = [...(this.aside.get(caseId) ?? []).filter((name) => name !== nameOf(word)), nameOf(word)];
    this.change(new Map([...this.aside, [caseId, aside]]));
  }

  /** It was none after all. */
  takeUp(caseId: string, word: RiskWord): void {
    const aside = (this.aside.get(caseId) ?? []).filter((name) => name !== nameOf(word));
    this.change(new Map([...this.aside, [caseId, aside]]));
  }

  /** Forgets everything of other cases: whoever has one later looks anew. */
  keepOnly(caseIds: readonly string[]): void {
    for (const caseId of this.found.keys()) if (!caseIds.includes(caseId)) this.found.delete(caseId);
    const left = new Map([...this.aside].filter(([caseId]) => caseIds.includes(caseId)));
    if (left.size < this.aside.size) this.change(left);
  }

  private change(aside: ReadonlyMap<string, readonly string[]>): void {
    this.aside = aside;
    this.keep([...aside]);
  }

  private read(caseId: string, { id, body }: Message): readonly RiskWord[] {
    const { matcher } = this;
    const known = this.found.get(caseId) ?? new Map<string, { body: string; words: readonly RiskWord[] }>();
    this.found.set(caseId, known);
    const before = known.get(id);
    if (before?.body === body) return before.words;
    const words = matcher.find(body);
    known.set(id, { body, words });
    return words;
  }
}
