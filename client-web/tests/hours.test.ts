import { expect, test } from "vitest";
import type { Hours } from "../src/desk/api";
import { draftOf, hoursOf, wrongIn, type Draft } from "../src/screens/admin/hours";

const EVENINGS: Hours = {
  weekly: [{ from: "16:00", to: "26:00", days: ["mon", "fri"] }],
  holidays: [],
  exceptions: [{ from: "12-29", to: "01-03", times: [] }],
};

test("what the desk gives comes back as it was", () => {
  const own: Hours = { ...EVENINGS, holidays: [{ from: "10:00", to: "18:00" }] };
  for (const hours of [EVENINGS, own, { weekly: [], holidays: null, exceptions: [] }])
    expect(hoursOf(draftOf(hours))).toEqual(hours);
  expect(hoursOf(draftOf({ weekly: [{ from: "00:00", to: "24:00" }] })).weekly[0]?.days).toHaveLength(7);
});

test("times and dates are read as people write them", () => {
  const draft: Draft = {
    weekly: [{ from: "9:00", to: "１７：３０", days: ["sun", "mon"] }, { from: "x", to: "y", days: [] }],
    holidays: "own",
    holidayTimes: [{ from: "1000", to: " 26:00 " }],
    exceptions: [{ from: "1/3", to: "", times: [] }, { from: "2026/12/29", to: "2026-12-31", times: [{ from: "9:30", to: "12:00" }] }],
  };
  expect(wrongIn(draft)).toEqual([]);
  expect(hoursOf(draft)).toEqual({
    weekly: [{ from: "09:00", to: "17:30", days: ["mon", "sun"] }],
    holidays: [{ from: "10:00", to: "26:00" }],
    exceptions: [
      { from: "01-03", to: "01-03", times: [] },
      { from: "2026-12-29", to: "2026-12-31", times: [{ from: "09:30", to: "12:00" }] },
    ],
  });
});

test("what is no time or date is named", () => {
  const span = (from: string, to: string): Draft => ({ ...draftOf(EVENINGS), weekly: [{ from, to, days: ["mon"] }] });
  for (const [from, to] of [["18:00", "9:00"], ["25:00", "26:00"], ["9:00", "48:01"], ["9:60", "10:00"], ["", ""], ["noon", "18:00"]] as const)
    expect(wrongIn(span(from, to))).toEqual([`${from}–${to}`]);
  const days = (from: string, to: string): Draft => ({ ...draftOf(EVENINGS), exceptions: [{ from, to, times: [] }] });
  for (const [from, to] of [["13-01", "13-02"], ["2026-12-29", "01-03"], ["2026-12-29", "2026-12-28"], ["soon", "later"]] as const)
    expect(wrongIn(days(from, to))).toEqual([`${from}–${to}`]);
  expect(wrongIn(days("12-29", "01-03"))).toEqual([]);
});
