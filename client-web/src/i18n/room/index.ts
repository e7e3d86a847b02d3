import { speaker } from "../language.svelte";
import en from "./en.json";
import easy from "./ja-x-easy.json";
import ja from "./ja.json";

export type Key = keyof typeof ja;

const catalogues: Record<"ja" | "ja-x-easy" | "en", Record<Key, string>> = { ja, "ja-x-easy": easy, en };

/** Says a text of the young person's room that the start screen does not need, and so need not load. */
export const t = speaker<Key>(catalogues, ja);
