import { speaker } from "../language.svelte";
import en from "./en.json";
import ja from "./ja.json";

export type Key = keyof typeof ja;

const catalogues: Record<"ja" | "en", Record<Key, string>> = { ja, en };

/** Says a text of the staff's pages in their language. */
export const t = speaker<Key>(catalogues, ja);

/** Says one in Japanese, whatever the page speaks: for papers that go elsewhere. */
export const japanese = speaker<Key>({}, ja);

/** A length of time in words: under a minute, 5 min, 1 h 20 min. Takes milliseconds. */
export function lasting(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return t("moment");
  if (minutes < 60) return t("minutes", { count: minutes });
  return t("hours", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}
