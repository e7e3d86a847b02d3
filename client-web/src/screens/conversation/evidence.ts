// What a lock may say: green is only what this page has found out itself.
import type { Evidence, Fault, Room } from "../../matrix/chat";

export type LockColour = "sure" | "unsure" | "refused";

/** `relayed`: what is said passes through an app. */
export function colourOf(room: Room | null, relayed: boolean): LockColour {
  const evidence = room?.evidence ?? null;
  if (evidence?.fault) return "refused";
  const known = evidence?.roster.kind === "good" && evidence.leftOut.length === 0;
  return room?.encrypted && !relayed && known ? "sure" : "unsure";
}

/** How long something has to be amiss before it is told: whoever has just come in may not be known everywhere yet. */
export const STANDS_MS = 6_000;

/** Tells of what is amiss once it stands, and of each thing once: of devices that are given no key, too. */
export class FaultWatch {
  private last: Fault | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly leftOut = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly told = new Set<string>();

  constructor(
    private readonly show: (fault: Fault | null) => void,
    private readonly tell: (fault: Fault) => void,
    private readonly standsMs = STANDS_MS,
  ) {}

  see(evidence: Evidence | null): void {
    this.seeLeftOut(evidence?.leftOut ?? []);
    const fault = evidence?.fault ?? null;
    if (keyOf(fault) === keyOf(this.last)) return;
    this.last = fault;
    clearTimeout(this.timer);
    if (fault === null) this.show(null);
    else this.timer = setTimeout(() => this.stands(fault), this.standsMs);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.last = null;
    this.seeLeftOut([]);
  }

  private seeLeftOut(people: readonly string[]): void {
    for (const [about, timer] of this.leftOut) {
      if (people.includes(about)) continue;
      clearTimeout(timer);
      this.leftOut.delete(about);
    }
    for (const about of people) {
      if (this.leftOut.has(about)) continue;
      this.leftOut.set(about, setTimeout(() => this.tellOnce({ kind: "device", about }), this.standsMs));
    }
  }

  private stands(fault: Fault): void {
    this.show(fault);
    this.tellOnce(fault);
  }

  private tellOnce(fault: Fault): void {
    // That nobody can be reached is nothing that could be told to them.
    if (fault.kind === "roster_unreachable" || this.told.has(keyOf(fault))) return;
    this.told.add(keyOf(fault));
    this.tell(fault);
  }
}

function keyOf(fault: Fault | null): string {
  return fault === null ? "" : `${fault.kind} ${fault.about ?? ""}`;
}
