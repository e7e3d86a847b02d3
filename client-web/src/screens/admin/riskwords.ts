// The list of risk words as an administrator writes it: a field for each level and language, a word or phrase a line.
import type { RiskWord } from "../../desk/api";
import { plain } from "../riskwords";

export const LEVELS = ["urgent", "high", "watch"] as const;
export const LANGUAGES = ["ja", "en"] as const;

export type Lists = Record<RiskWord["level"], Record<RiskWord["language"], string>>;

export function listsOf(words: readonly RiskWord[]): Lists {
  const lines = (level: RiskWord["level"], language: RiskWord["language"]): string =>
    words.filter((word) => word.level === level && word.language === language).map(({ text }) => text).join("\n");
  const both = (level: RiskWord["level"]): Lists["high"] => ({ ja: lines(level, "ja"), en: lines(level, "en") });
  return { urgent: both("urgent"), high: both("high"), watch: both("watch") };
}

export function wordsOf(lists: Lists): RiskWord[] {
  return LANGUAGES.flatMap((language) => LEVELS.flatMap((level) =>
    lists[level][language].split("\n").map((line) => line.replace(/\s+/gu, " ").trim()).filter((text) => text !== "")
      .map((text): RiskWord => ({ level, language, text }))));
}

/** Those that would find nothing, or everything, or stand there already. */
export function unusable(words: readonly RiskWord[]): string[] {
  const seen = new Set<string>();
  const wrong: string[] = [];
  for (const { text } of words) {
    const sought = plain(text);
    if (sought.length < 2 || text.length > 60 || seen.has(sought)) wrong.push(text);
    seen.add(sought);
  }
  return wrong;
}
