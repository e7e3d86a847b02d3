// The statistics of a span of days beside the span before it, and the files made of them.
import type { Count, Desk, Figures, Statistics, StatisticsTable } from "../../desk/api";
import { reasonOf } from "../trouble";

export const LONGEST_DAYS = 3 * 366;
const DAY_MS = 86_400_000;

export interface Span {
  first: string;
  last: string;
}

/** A category now and before; `share`: of the table's largest, 0 to 1, where it is told. */
export interface Line {
  name: string;
  now: Count;
  before: Count;
  share: number;
}

export class StatisticsModel {
  span = $state.raw<Span>(lastWeeks(todayInJapan()));
  found = $state.raw<Statistics | null>(null);
  working = $state(false);
  trouble = $state<string | null>(null);
  private asked = 0;

  constructor(private readonly desk: Desk) {}

  /** Fetches the figures of a span; the last one asked for is shown. */
  async show(span: Span): Promise<void> {
    this.span = span;
    this.asked += 1;
    const { asked } = this;
    this.working = true;
    this.trouble = null;
    try {
      const found = await this.desk.statistics(span.first, span.last);
      if (asked === this.asked) this.found = found;
    } catch (error) {
      if (asked === this.asked) this.trouble = reasonOf(error);
    } finally {
      if (asked === this.asked) this.working = false;
    }
  }

  /** A file of the span that is shown; null where that did not work. */
  async file(format: "csv" | "json", language: "ja" | "en"): Promise<{ name: string; blob: Blob } | null> {
    this.trouble = null;
    try {
      const { first, last } = this.span;
      const { file_name, media_type, text } = await this.desk.exportStatistics(first, last, format, language);
      return { name: file_name, blob: new Blob([text], { type: `${media_type};charset=utf-8` }) };
    } catch (error) {
      this.trouble = reasonOf(error);
      return null;
    }
  }

  forget(): void {
    this.asked += 1;
    this.found = null;
    this.trouble = null;
    this.working = false;
    this.span = lastWeeks(todayInJapan());
  }
}

export function tableOf(figures: Figures, name: string): StatisticsTable | null {
  return figures.tables.find((table) => table.name === name) ?? null;
}

/** The lines of a table, those of before beside them. `dated`: categories that are other days before. */
export function linesOf(now: StatisticsTable, before: StatisticsTable | null): Line[] {
  const earlier = new Map(before?.cells.map(({ name, count }) => [name, count]));
  const most = Math.max(1, ...now.cells.map(({ count }) => count ?? 0));
  const names = [...new Set([...now.cells.map(({ name }) => name), ...earlier.keys()])];
  const current = new Map(now.cells.map(({ name, count }) => [name, count]));
  return names.map((name): Line => {
    const count = current.has(name) ? (current.get(name) ?? null) : 0;
    const then = earlier.has(name) ? (earlier.get(name) ?? null) : before ? 0 : null;
    return { name, now: count, before: then, share: (count ?? 0) / most };
  });
}

/** By how much more or less, in percent; null where either is not told or there was nothing before. */
export function change(now: Count, before: Count): number | null {
  return now === null || before === null || before === 0 ? null : Math.round(((now - before) / before) * 100);
}

/** Whether the desk would take it. */
export function makesSense({ first, last }: Span): boolean {
  const days = (Date.parse(last) - Date.parse(first)) / DAY_MS + 1;
  return days >= 1 && days <= LONGEST_DAYS;
}

export function todayInJapan(at = Date.now()): string {
  // The Swedish way of writing a date is ISO 8601.
  return new Intl.DateTimeFormat("sv-SE", { timeZone: "Asia/Tokyo" }).format(at);
}

export function lastWeeks(today: string): Span {
  return { first: daysAfter(today, -27), last: today };
}

export function lastMonth(today: string): Span {
  const last = daysAfter(today.slice(0, 8) + "01", -1);
  return { first: last.slice(0, 8) + "01", last };
}

/** From April to March, so many years ago; the running one ends today. */
export function fiscalYear(today: string, ago = 0): Span {
  const [year = 0, month = 1] = today.split("-").map(Number);
  const begins = (month >= 4 ? year : year - 1) - ago;
  return { first: `${begins}-04-01`, last: ago === 0 ? today : `${begins + 1}-03-31` };
}

function daysAfter(day: string, days: number): string {
  return new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);
}
