// What an administrator may say to young people in the desk's own words, and where they read it.
import type { OwnTexts, TextKey } from "../../desk/api";
import type { Language } from "../../i18n/language.svelte";
import type { Key } from "../../i18n/staff";

export const LANGUAGES: readonly Language[] = ["ja", "ja-x-easy", "en"];

/** Why a text can't be kept; null for a good one. The desk looks as well (core/desk/texts.py). */
export function wrongIn(text: string, longest: number): Key | null {
  const length = [...text.trim()].length;
  if (length === 0) return "texts.wrong.empty";
  if (length > longest) return "texts.wrong.long";
  if (/[<>\p{C}\u2028\u2029]/u.test(text.trim())) return "texts.wrong.plain";
  return /[{}]/.test(text.replaceAll("{desk}", "")) ? "texts.wrong.blank" : null;
}

/** The desk's own words with a draft among them. */
export function withDraft(own: OwnTexts, language: Language, key: TextKey, text: string): OwnTexts {
  return { ...own, [language]: { ...own[language], [key]: text } };
}
