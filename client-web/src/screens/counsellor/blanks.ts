// The blanks of a saved reply, and what fills them on this counsellor's page, in the reply's language.
import type { DeskFacts, Guidance, Hours, ReplyLanguage } from "../../desk/api";
import { openAt } from "../../guidance/hours";

/** Those that are filled; the server's core/desk/replies.py has the same. */
export const BLANKS = ["name", "desk", "hours", "lines"] as const;

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const JA = ["月", "火", "水", "木", "金", "土", "日"];
const EN = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MOST_LINES = 4;

/** Blanks in a text that nothing fills. */
export function unknownBlanks(text: string): string[] {
  const found = [...text.matchAll(/\{(\w+)\}/gu)].map(([, name = ""]) => name);
  return [...new Set(found)].filter((name) => !(BLANKS as readonly string[]).includes(name));
}

/** The text with its blanks filled; what nothing fills stays as it is, to be seen. */
export function filled(
  text: string, language: ReplyLanguage, name: string, facts: Pick<DeskFacts, "name" | "hours" | "guidance" | "holidays"> | null,
  at: number,
): string {
  const values: Record<string, string | undefined> = { name };
  if (facts) {
    values["desk"] = facts.name;
    values["hours"] = hoursText(facts.hours, language);
    values["lines"] = facts.guidance.filter((entry) => answers(entry, facts, at)).slice(0, MOST_LINES)
      .map((entry) => `${nameOf(entry, language)} ${entry.phone}`).join("\n");
  }
  return text.replace(/\{(\w+)\}/gu, (whole, blank: string) => values[blank] ?? whole);
}

function answers(entry: Guidance, facts: Pick<DeskFacts, "holidays">, at: number): boolean {
  return (entry.hours ? openAt(entry.hours, at, facts.holidays) : entry.open_now) === true;
}

function nameOf(entry: Guidance, language: ReplyLanguage): string {
  if (language === "ja-x-easy") return entry.name_easy || entry.name;
  return language === "en" ? entry.name_en || entry.name : entry.name;
}

/** The weekly hours in words: 月〜金 16:00〜21:00、土 10:00〜12:00. */
export function hoursText({ weekly }: Hours, language: ReplyLanguage): string {
  const english = language === "en";
  const parts = weekly.map(({ days, from, to }) => {
    const when = daysText(days ? DAYS.map((day) => days.includes(day)) : DAYS.map(() => true), english);
    const whole = from === "00:00" && to === "24:00";
    if (english) return whole ? `${when}, 24 hours` : `${when} ${from}–${clockOf(to)}`;
    return whole ? `${when}24時間` : `${when} ${from}〜${to}`;
  });
  return parts.join(english ? "; " : "、");
}

// 26:00 is a way of writing in Japan only.
function clockOf(time: string): string {
  const hours = Number(time.slice(0, 2));
  return hours < 24 ? time : `${String(hours % 24).padStart(2, "0")}${time.slice(2)}${time === "24:00" ? "" : " (next day)"}`;
}

function daysText(open: readonly boolean[], english: boolean): string {
  if (open.every((each) => each)) return english ? "Every day" : "毎日";
  const names = english ? EN : JA;
  const runs: string[] = [];
  for (let day = 0; day < open.length; day += 1) {
    if (!open[day]) continue;
    const first = day;
    while (open[day + 1]) day += 1;
    const [from = "", to = ""] = [names[first], names[day]];
    if (day === first) runs.push(from);
    else if (day === first + 1) runs.push(from, to);
    else runs.push(`${from}${english ? "–" : "〜"}${to}`);
  }
  return runs.join(english ? ", " : "・");
}
