import type { OwnTexts, TextKey } from "../../desk/api";
import { fill, language, type Language, localeOf, type Parameters } from "../language.svelte";
import en from "./en.json";
import easy from "./ja-x-easy.json";
import ja from "./ja.json";
import { wording } from "./wording.svelte";

export type Key = keyof typeof ja;
export type Say = (key: Key, parameters?: Parameters) => string;

const catalogues: Record<Language, Record<Key, string>> = { ja, "ja-x-easy": easy, en };

/** The page's own words for what a desk may word anew. */
export function builtIn(key: TextKey, code: Language): string {
  return catalogues[code][key];
}

/** A function that says a text: the desk's own words where there are any, else the page's. */
export function speakerOf(code: () => Language, own: () => OwnTexts, desk: () => string): Say {
  return (key, parameters = {}) => {
    const words = own()[code()]?.[key as TextKey];
    if (words !== undefined) return words.replaceAll("{desk}", () => desk());
    return fill(catalogues[code()][key], parameters, localeOf(code()));
  };
}

/** Says a text of the young person's page in its language. */
export const t = speakerOf(() => language.code, () => wording.own, () => wording.desk);
