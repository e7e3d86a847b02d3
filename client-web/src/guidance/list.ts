// The guidance with the hours, as it is kept for when the desk can't be reached.
import type { Guidance } from "../desk/api";
import { openAt, type Holidays } from "./hours";

export interface GuidanceList {
  /** When it was last known to be so, in milliseconds since 1970; null for the list that came with the page. */
  made_at: number | null;
  holidays: Holidays | null;
  guidance: readonly Guidance[];
}

// Younger than this, nobody needs to be told how old it is.
const FRESH_MS = 10 * 60_000;

/** The list as the server has it, or as it was kept here (the service worker answers then). Null without either. */
export async function fetchList(): Promise<GuidanceList | null> {
  try {
    const answer = await fetch("/guidance/guidance.json");
    return answer.ok ? ((await answer.json()) as GuidanceList) : null;
  } catch {
    return null;
  }
}

/** Whether somebody answers there at a moment; null where nobody can know. */
export function isOpen(entry: Pick<Guidance, "hours">, list: GuidanceList | null, at: number): boolean | null {
  return entry.hours ? openAt(entry.hours, at, list?.holidays ?? null) : null;
}

/** How old the list is in words ("3 hours ago"), or null while that makes no difference. */
export function ageOf(list: GuidanceList | null, at: number, locale: string): string | null {
  if (typeof list?.made_at !== "number" || at - list.made_at < FRESH_MS) return null;
  const minutes = (at - list.made_at) / 60_000;
  const words = new Intl.RelativeTimeFormat(locale);
  if (minutes < 60) return words.format(-Math.round(minutes), "minute");
  if (minutes < 48 * 60) return words.format(-Math.round(minutes / 60), "hour");
  return words.format(-Math.round(minutes / 60 / 24), "day");
}
