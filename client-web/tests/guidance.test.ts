import { describe, expect, test } from "vitest";
import { openAt } from "../src/guidance/hours";
import { ageOf, type GuidanceList } from "../src/guidance/list";
import told from "./hours.json";

const at = (text: string): number => Date.parse(text + ":00+09:00");
const WEEKDAYS = { weekly: [{ days: ["mon", "tue", "wed", "thu", "fri"] as const, from: "08:30", to: "17:15" }].map(
  ({ days, ...times }) => ({ ...times, days: [...days] })), holidays: [] };

describe("what is open", () => {
  test("is the same here as on the server, at every moment that it was asked of", () => {
    // tests/core/test_hours.py holds the same file against the server.
    for (const { hours, at: moment, open } of told.cases)
      expect([moment, hours, openAt(hours as Parameters<typeof openAt>[0], Date.parse(moment), told.holidays)])
        .toEqual([moment, hours, open]);
  });

  test("is not made up where only the calendar could tell", () => {
    const beyond = "2027-02-11T12:00"; // Thursday, National Foundation Day
    expect(openAt(WEEKDAYS, at(beyond), told.holidays)).toBeNull();
    expect(openAt(WEEKDAYS, at(beyond), null)).toBeNull();
    // On a Sunday, and at night, it makes no difference.
    expect(openAt(WEEKDAYS, at("2027-02-14T12:00"), null)).toBe(false);
    expect(openAt(WEEKDAYS, at("2027-02-11T23:00"), null)).toBe(false);
    expect(openAt({ weekly: [{ from: "00:00", to: "24:00" }] }, at(beyond), null)).toBe(true);
  });
});

test("a list tells its age once that matters", () => {
  const now = Date.now();
  const list = (minutes: number): GuidanceList => ({ made_at: now - minutes * 60_000, holidays: null, guidance: [] });
  expect(ageOf(null, now, "en-GB")).toBeNull();
  expect(ageOf({ ...list(0), made_at: null }, now, "en-GB")).toBeNull();
  expect(ageOf(list(9), now, "en-GB")).toBeNull();
  expect(ageOf(list(20), now, "en-GB")).toBe("20 minutes ago");
  expect(ageOf(list(5 * 60), now, "ja-JP")).toBe("5 時間前");
  expect(ageOf(list(72 * 60), now, "en-GB")).toBe("3 days ago");
});
