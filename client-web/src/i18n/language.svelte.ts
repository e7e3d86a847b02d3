// The language of the page. A catalogue is one JSON file per language; its keys are checked by the compiler.

export type Language = "ja" | "ja-x-easy" | "en";
export type Parameters = Record<string, string | number>;

export const NAMES: Record<Language, string> = { "ja-x-easy": "やさしい日本語", ja: "日本語", en: "English" };

class Current {
  code = $state<Language>("ja");

  get locale(): string {
    return localeOf(this.code);
  }
}

export const language = new Current();

/** For Intl: plain Japanese has no locale data of its own. */
export function localeOf(code: Language): string {
  return code === "en" ? "en-GB" : "ja-JP";
}

/** Takes over a language for the whole page. */
export function speak(code: Language): void {
  language.code = code;
  if (typeof document !== "undefined") document.documentElement.lang = code;
}

/** The first of `offered` that the person's browser asks for, else the first of them. */
export function preferred(offered: readonly Language[], asked: readonly string[]): Language {
  for (const wish of asked) {
    const found = offered.find((code) => wish.toLowerCase().startsWith(code.slice(0, 2)));
    if (found) return found;
  }
  return offered[0] ?? "ja";
}

/** Puts values into a text: "{count} waiting". Numbers are written the language's way. */
export function fill(text: string, parameters: Parameters, locale: string): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = parameters[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? new Intl.NumberFormat(locale).format(value) : value;
  });
}

/** A function that says a text of these catalogues in the page's language. */
export function speaker<Key extends string>(
  catalogues: Partial<Record<Language, Record<Key, string>>>,
  otherwise: Record<Key, string>,
): (key: Key, parameters?: Parameters) => string {
  return (key, parameters = {}) => fill((catalogues[language.code] ?? otherwise)[key], parameters, language.locale);
}

export function timeOf(at: number): string {
  return new Intl.DateTimeFormat(language.locale, { hour: "2-digit", minute: "2-digit" }).format(at);
}

export function dayOf(at: number): string {
  return new Intl.DateTimeFormat(language.locale, { month: "long", day: "numeric", weekday: "short" }).format(at);
}

export function momentOf(at: number): string {
  const parts = { month: "long", day: "numeric", weekday: "short", hour: "2-digit", minute: "2-digit" } as const;
  return new Intl.DateTimeFormat(language.locale, parts).format(at);
}
