import type { Key } from "../../i18n/staff";

const MODES: Record<string, Key> = {
  open: "mode.open",
  contact_point: "mode.contact_point",
  relay: "mode.relay",
  draining: "mode.draining",
  notice_only: "mode.notice_only",
  closed: "mode.closed",
  emergency: "mode.emergency",
};

/** The name of a channel's mode. One that this page does not know yet is shown as closed, the careful reading. */
export function modeName(mode: string): Key {
  return MODES[mode] ?? "mode.closed";
}

/** Where people of a channel can stand, in the order in which they are shown. */
export const FIGURES = ["none", "asked", "unreachable", "declined", "notified", "opened", "kept", "moved"] as const;
