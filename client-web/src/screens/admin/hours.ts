// Opening hours as the form holds them: every field a text, so that what is half written is kept as it is.
import type { Hours, Times } from "../../desk/api";

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Day = (typeof DAYS)[number];

export interface Span {
  from: string;
  to: string;
}

export interface Draft {
  weekly: (Span & { days: Day[] })[];
  /** "same": like any other day; "closed"; "own": the times below. */
  holidays: "same" | "closed" | "own";
  holidayTimes: Span[];
  exceptions: (Span & { times: Span[] })[];
}

export function draftOf(hours: Hours): Draft {
  return {
    weekly: hours.weekly.map(({ from, to, days }) => ({ from, to, days: [...(days ?? DAYS)] })),
    holidays: hours.holidays == null ? "same" : hours.holidays.length === 0 ? "closed" : "own",
    holidayTimes: (hours.holidays ?? []).map(spanOf),
    exceptions: (hours.exceptions ?? []).map(({ from, to, times }) => ({ from, to, times: (times ?? []).map(spanOf) })),
  };
}

/** The hours as the desk takes them. Times are read leniently: 9:00, ９：００ and 0900 are 09:00. */
export function hoursOf(draft: Draft): Hours {
  return {
    weekly: draft.weekly.filter(({ days }) => days.length > 0).map(({ from, to, days }) => ({
      from: timeOf(from), to: timeOf(to), days: DAYS.filter((day) => days.includes(day)),
    })),
    holidays: draft.holidays === "same" ? null : draft.holidays === "closed" ? [] : draft.holidayTimes.map(timesOf),
    exceptions: draft.exceptions.map(({ from, to, times }) => ({
      from: dateOf(from), to: dateOf(to || from), times: times.map(timesOf),
    })),
  };
}

/** The names of what can't be read as a time or a date; empty when the draft is fine. */
export function wrongIn(draft: Draft): string[] {
  const spans = [
    ...draft.weekly.filter(({ days }) => days.length > 0),
    ...(draft.holidays === "own" ? draft.holidayTimes : []),
    ...draft.exceptions.flatMap(({ times }) => times),
  ];
  const times = spans.flatMap(({ from, to }) => {
    const [begins, ends] = [minutesOf(from), minutesOf(to)];
    const isFine = begins !== null && ends !== null && begins < 24 * 60 && begins < ends && ends <= 48 * 60;
    return isFine ? [] : [`${from}–${to}`];
  });
  const dates = draft.exceptions.filter(({ from, to }) => {
    const [first, last] = [dateOf(from), dateOf(to || from)];
    const form = /^(\d{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/u;
    const isFine = form.test(first) && form.test(last) && first.length === last.length;
    return !isFine || (first.length === 10 && first > last);
  });
  return [...times, ...dates.map(({ from, to }) => `${from}–${to || from}`)];
}

function spanOf({ from, to }: Times): Span {
  return { from, to };
}

function timesOf({ from, to }: Span): Times {
  return { from: timeOf(from), to: timeOf(to) };
}

function timeOf(text: string): string {
  const minutes = minutesOf(text);
  if (minutes === null) return text;
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

function minutesOf(text: string): number | null {
  const found = /^(\d{1,2}):?(\d{2})$/u.exec(text.normalize("NFKC").trim());
  const [hours, minutes] = [Number(found?.[1]), Number(found?.[2])];
  return found && minutes < 60 ? hours * 60 + minutes : null;
}

/** 12/29, 12-29 and 2026/12/29 are dates; what is none stays as it was written. */
function dateOf(text: string): string {
  const found = /^(?:(\d{4})[-/.])?(\d{1,2})[-/.](\d{1,2})$/u.exec(text.normalize("NFKC").trim());
  if (!found) return text;
  const [, year, month = "", day = ""] = found;
  return `${year ? year + "-" : ""}${month.padStart(2, "0")}-${day.padStart(2, "0")}`;
}
