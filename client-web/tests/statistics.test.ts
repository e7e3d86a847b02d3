import { describe, expect, test } from "vitest";
import type { StatisticsTable } from "../src/desk/api";
import {
  change, fiscalYear, lastMonth, lastWeeks, linesOf, makesSense, StatisticsModel, todayInJapan,
} from "../src/screens/admin/statistics.svelte";
import { fakeDesk, settled } from "./stand-ins";

function table(cells: Record<string, number | null>): StatisticsTable {
  const listed = Object.entries(cells).map(([name, count]) => ({ name, count }));
  return { name: "channel", of: "accesses", total: 50, cells: listed, several: false, within: null };
}

describe("spans", () => {
  test.each([
    ["2026-11-29", "2026-11-02", "2026-10-01", "2026-10-31", "2026-04-01", "2025-04-01", "2026-03-31"],
    ["2026-03-31", "2026-03-04", "2026-02-01", "2026-02-28", "2025-04-01", "2024-04-01", "2025-03-31"],
    ["2028-01-01", "2027-12-05", "2027-12-01", "2027-12-31", "2027-04-01", "2026-04-01", "2027-03-31"],
  ])("of %s", (today, weeks, monthFirst, monthLast, year, yearBefore, lastOfBefore) => {
    expect(lastWeeks(today)).toEqual({ first: weeks, last: today });
    expect(lastMonth(today)).toEqual({ first: monthFirst, last: monthLast });
    expect(fiscalYear(today)).toEqual({ first: year, last: today });
    expect(fiscalYear(today, 1)).toEqual({ first: yearBefore, last: lastOfBefore });
  });

  test("a day in Japan begins nine hours earlier", () => {
    expect(todayInJapan(Date.UTC(2026, 10, 29, 14, 59))).toBe("2026-11-29");
    expect(todayInJapan(Date.UTC(2026, 10, 29, 15, 0))).toBe("2026-11-30");
  });

  test("what makes no sense is not asked for", () => {
    expect(makesSense({ first: "2026-11-01", last: "2026-11-01" })).toBe(true);
    expect(makesSense({ first: "2026-11-02", last: "2026-11-01" })).toBe(false);
    expect(makesSense({ first: "2020-01-01", last: "2026-11-01" })).toBe(false);
    expect(makesSense({ first: "", last: "2026-11-01" })).toBe(false);
  });
});

test("lines stand beside those of before; what is left out stays left out", () => {
  const lines = linesOf(table({ web: 40, line: null }), table({ web: 20, matrix: 10 }));
  expect(lines).toEqual([
    { name: "web", now: 40, before: 20, share: 1 },
    { name: "line", now: null, before: 0, share: 0 },
    { name: "matrix", now: 0, before: 10, share: 0 },
  ]);
  expect([change(40, 20), change(10, 20)]).toEqual([100, -50]);
  expect([change(null, 20), change(5, null), change(5, 0)]).toEqual([null, null, null]);
});

test("of two spans asked for, the later one is shown; a refusal says why", async () => {
  const figures = (first: string) => ({ fewest: 5, current: { first }, previous: {} });
  let asked = 0;
  const desk = fakeDesk({
    "GET /statistics": () => {
      asked += 1;
      if (asked === 3) return { status: 400, body: { errcode: "M_INVALID_PARAM", error: "no" } };
      return { body: figures(`2026-0${asked}-01`) };
    },
  });
  const model = new StatisticsModel(desk);
  await Promise.all([
    model.show({ first: "2026-01-01", last: "2026-01-31" }), model.show({ first: "2026-02-01", last: "2026-02-28" }),
  ]);
  expect([model.found?.current.first, model.working]).toEqual(["2026-02-01", false]);
  await model.show({ first: "2026-03-01", last: "2026-03-31" });
  await settled();
  expect([model.trouble, model.found?.current.first]).toEqual(["入れた内容を受け付けられません。(no)", "2026-02-01"]);
});
