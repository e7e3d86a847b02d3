// What the desk knows of who somebody is, as lines to read; addresses stand apart.
import type { Identity } from "../../desk/api";
import type { Key } from "../../i18n/staff";

type Say = (key: Key, parameters?: Record<string, string | number>) => string;

export interface Fact {
  name: string;
  value: string;
}

/** A moment as an internet provider needs it to find a line: Japan's time, to the second. */
export function stampOf(at: number): string {
  return new Intl.DateTimeFormat("ja-JP", {
    timeZone: "Asia/Tokyo", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
    second: "2-digit", timeZoneName: "short",
  }).format(at);
}

/** What is not known is left out. `appName`: how a channel is called. */
export function factsOf(
  identity: Identity, t: Say, appName: (kind: string) => string,
): Fact[] {
  const { known } = identity;
  const lines: [Key, string | null][] = [
    ["person.names", identity.names.join(", ") || null],
    ["record.age", known && known.age !== "unknown" ? t(`record.age.${known.age}`) : null],
    ["record.gender", known && known.gender !== "not_given" ? t(`record.gender.${known.gender}`) : null],
    ["record.prefecture", known?.prefecture ? t(`prefecture.${known.prefecture}` as Key) : null],
    ["record.school", known && known.school !== "unknown" ? t(`record.school.${known.school}`) : null],
    ["record.grade", known?.grade ? String(known.grade) : null],
    ["person.channel", appName(identity.channel)],
    ["person.apps", identity.apps.map(appName).join(", ") || null],
    ["person.account", identity.user_id],
    ["person.since", stampOf(identity.since)],
    ["person.arrived", stampOf(identity.arrived_at)],
    ["person.said", identity.said_at === null ? null : stampOf(identity.said_at)],
    ["person.seen", identity.seen_at === null ? null : stampOf(identity.seen_at)],
  ];
  return lines.flatMap(([name, value]) => (value === null ? [] : [{ name: t(name), value }]));
}
