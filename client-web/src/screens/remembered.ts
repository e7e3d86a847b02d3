import { NAMES, preferred, speak, type Language } from "../i18n/language.svelte";

/** The language that staff chose in this browser, or the browser's own. */
export function rememberedLanguage(): void {
  let chosen: string | null = null;
  try {
    chosen = localStorage.getItem("madoguchi.language");
  } catch {
    // No storage: the browser's language, then.
  }
  speak(chosen !== null && chosen in NAMES ? (chosen as Language) : preferred(["ja", "en"], navigator.languages));
}
