import type { ChannelCheck, CheckFinding } from "../../desk/api";
import type { Key } from "../../i18n/staff";

const LATE_MS = 40_000;

const WHYS: Record<string, Key> = {
  not_opened: "check.why.not_opened",
  unauthorized: "check.why.unauthorized",
  refused: "check.why.refused",
  no_answer: "check.why.no_answer",
  no_https: "check.why.no_https",
  not_set: "check.why.not_set",
  elsewhere: "check.why.elsewhere",
  inactive: "check.why.inactive",
  signature: "check.why.signature",
  not_ours: "check.why.not_ours",
  proxy: "check.why.proxy",
  database: "check.why.database",
  not_reached: "check.why.not_reached",
  too_slow: "check.why.too_slow",
  failed: "check.why.failed",
  spent: "check.why.spent",
  joins: "check.why.joins",
  polls: "check.why.polls",
};

/** How to mend a step, or what to look at; null where nothing has to be said. An unknown word is any failure. */
export function whyOf({ step, state, why }: CheckFinding): Key | null {
  if (step === "console") return "check.why.console";
  return WHYS[why] ?? (state === "wrong" ? "check.why.failed" : null);
}

/** Whether the bridges have been silent for longer than a check takes. */
export function isLate({ asked_at, checked_at }: ChannelCheck, now: number): boolean {
  return checked_at === null && now - asked_at > LATE_MS;
}
