// What is open at a moment, from opening hours: core/desk/hours.py of the server, for a page that is by itself.
import type { Hours, Times } from "../desk/api";

/** The public holidays among the days from one to another (`YYYY-MM-DD`), both included. */
export interface Holidays {
  from: string;
  to: string;
  days: readonly string[];
}

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
// Japan has no summer time.
const JAPAN_MS = 9 * 60 * MINUTE_MS;

/** Whether it is open at a moment (milliseconds since 1970). Null where only a calendar that is not here can tell: on a
 * day of which nobody knows whether it is a public holiday, if that makes a difference. */
export function openAt(hours: Hours, at: number, holidays: Holidays | null): boolean | null {
  const here = at + JAPAN_MS;
  const midnight = here - (here % DAY_MS);
  // What begins on one day may end on the next.
  const found = [midnight - DAY_MS, midnight].map((day) => coveredBy(hours, day, (here - day) / MINUTE_MS, holidays));
  if (found.includes(true)) return true;
  return found.includes(null) ? null : false;
}

function coveredBy(hours: Hours, day: number, minutes: number, holidays: Holidays | null): boolean | null {
  const date = new Date(day).toISOString().slice(0, 10);
  const covers = (times: readonly Times[]): boolean =>
    times.some(({ from, to }) => minutesOf(from) <= minutes && minutes < minutesOf(to));
  const exception = hours.exceptions?.find(({ from, to }) => fits(date, from, to));
  if (exception) return covers(exception.times ?? []);
  const weekday = DAYS[new Date(day).getUTCDay()] ?? "sun";
  const usual = covers(hours.weekly.filter(({ days }) => !days || days.includes(weekday)));
  if (!hours.holidays) return usual;
  const festive = covers(hours.holidays);
  if (usual === festive) return usual;
  if (!holidays || date < holidays.from || date > holidays.to) return null;
  return holidays.days.includes(date) ? festive : usual;
}

function fits(date: string, from: string, to: string): boolean {
  const day = date.slice(-from.length);
  // 12-29 to 01-03 goes over the turn of the year.
  return from <= to ? from <= day && day <= to : day >= from || day <= to;
}

function minutesOf(text: string): number {
  return Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
}
