// The desk's risk words, looked for in this browser alone: what is written never leaves it. A word found is a
// suggestion, which a human follows or not. In doubt it is made: one too many costs a click, one too few may cost more.
import type { Risk, RiskWord } from "../desk/api";

/** How soon somebody has to look, the least first. */
export const RISKS: readonly Risk[] = ["none", "watch", "high", "urgent"];
export const rank = (risk: Risk): number => RISKS.indexOf(risk);

const SMALL = "ぁぃぅぇぉ";
const LARGE = "あいうえお";

/** Text as it is compared: one width, one kana, small letters, nothing that people put between the letters of a word.
 * Sentences still end at a point, a question or exclamation mark, or the end of a line. */
export function plain(text: string): string {
  return text.normalize("NFKC").toLowerCase()
    .replace(/[\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]/gu, "")
    .replace(/[ァ-ヶ]/gu, (letter) => String.fromCharCode(letter.charCodeAt(0) - 0x60))
    .replace(/[ぁぃぅぇぉ]/gu, (letter) => LARGE[SMALL.indexOf(letter)] ?? letter)
    .replace(/['\u2018\u2019\u02bc`]/gu, "")
    .replace(/[ー〜~・]|\.{2,}/gu, "")
    .replace(/[-‐‑–—_]/gu, " ")
    .replace(/[^\S\n]+/gu, " ")
    .replace(/ ?\n ?/gu, "\n")
    .replace(/(?<![a-z0-9]) | (?![a-z0-9])/gu, "")
    // Written downwards, a letter a line.
    .replace(/(?<=^|\n)[^\n](?:\n[^\n])+(?=\n|$)/gu, (column) => column.replaceAll("\n", ""));
}

// What follows a word in Japanese and takes it back: 死にたいわけじゃない, 死にたいとは思わない, 殴られてない. Not where the
// sentence turns it round once more (…じゃないとは言えない, …ない日はない, …ないか) or asks.
const NOT = "(?:ない|なかった|(?:あり)?ません|無い|無かった)";
const STAYS = "(?!と|日|時|とき|(?:です)?か(?!ら)|よう|ため|わけ|訳|こと|なら|ほうが|方が|[?])";
const THOUGHT = "(?:思わ|おもわ|考え|かんがえ|(?:思って|おもって|考えて|かんがえて|言って|いって)(?:は)?い?)";
const TAKEN_BACK = new RegExp(
  "^(?:(?:という|って|といった)?(?:わけ|訳|つもり|気持ち|きもち|気分|気)(?:では|でも|じゃ|には|にも|は|も|が)?" +
  `|(?:とまでは|とかは|とは|とも|とか|なんて|って|と)(?:もう|別に|べつに|全然|ぜんぜん|まったく|全く|一度も)?${THOUGHT}` +
  `)${NOT}${STAYS}`, "u",
);
// The same for words that are no wish: 虐待はない, 殴られたことはない, リスカはしてない.
const NEVER_WAS = new RegExp(
  "^(?:(?:は|も|とか|なんか|なんて|では|じゃ|でも)" +
  "|(?:は|も|を)?(?:し|され|受け)(?:て(?:は|も)?い?|た(?:こと|覚え)(?:は|も|が)?)" +
  "|(?:は|も)?(?:し|したく|され)" +
  "|(?:て|で)?(?:は|も)?い?" +
  `|(?:た|だ)?(?:こと|覚え)(?:は|も|が)?)${NOT}${STAYS}`, "u",
);
// What comes before a word in English and takes it back: "i never wanted to …", "not going to …". "i dont know if i
// want to …" does not.
const BEFORE = new RegExp(
  "(?<!why )(?<!if i )\\b(?:not|never|dont|do not|didnt|did not|doesnt|wouldnt|wont|no longer|havent|hasnt|isnt|arent|" +
  "wasnt|stopped)(?: (?:really|actually|even|ever|been|going|gonna|want|wanted|wanna|trying|planning|thinking|to|about|" +
  "of|a|any|being|getting|having|that|saying|i|be|have|had|feel|feeling))* $", "u",
);

interface Rule {
  readonly word: RiskWord;
  readonly sought: string;
}

/** Whether nothing but a whole word of Latin letters or digits stands there. */
function isWhole(text: string, start: number, end: number): boolean {
  const joins = (at: number): boolean => /^[a-z0-9]{2}$/u.test(text.slice(at - 1, at + 1));
  return !joins(start) && !joins(end);
}

function isTakenBack(text: string, start: number, end: number): boolean {
  const after = text.slice(end, end + 40).split(/[.!。\n]/u)[0] ?? "";
  const isWish = text.slice(start, end).endsWith("い");
  if (TAKEN_BACK.test(after) || (!isWish && NEVER_WAS.test(after))) return true;
  return BEFORE.test((text.slice(Math.max(0, start - 80), start).split(/[.!?。\n]/u).at(-1)) ?? "");
}

/** Finds the words of a list in texts. Words that are nothing once they are compared find nothing. */
export class Matcher {
  private readonly rules: readonly Rule[];

  constructor(words: readonly RiskWord[]) {
    this.rules = words.map((word) => ({ word, sought: plain(word.text) })).filter(({ sought }) => sought.length > 1);
  }

  /** The words that stand in a text and are not taken back there, the most dangerous first. Of two of which one is a
   * part of the other (OD, ODした) that with more to say. */
  find(text: string): RiskWord[] {
    const read = plain(text);
    const found = this.rules.filter(({ sought }) => stands(read, sought)).sort(
      (one, other) => rank(other.word.level) - rank(one.word.level) || other.sought.length - one.sought.length,
    );
    return found.filter(({ sought }, place) => !found.slice(0, place).some((before) => before.sought.includes(sought)))
      .map(({ word }) => word);
  }
}

function stands(text: string, sought: string): boolean {
  for (let at = text.indexOf(sought); at !== -1; at = text.indexOf(sought, at + 1)) {
    const end = at + sought.length;
    if (isWhole(text, at, end) && !isTakenBack(text, at, end)) return true;
  }
  return false;
}
