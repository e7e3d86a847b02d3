// What a lock may say: green is only what this page has found out itself.
import type { Evidence, Fault, Room } from "../../matrix/chat";

export type LockColour = "sure" | "unsure" | "refused";

/** `relayed`: what is said passes through an app. */
export function colourOf(room: Room | null, relayed: boolean): LockColour {
  const evidence = room?.evidence ?? null;
  if (evidence?.fault) return "refused";
  return room?.encrypted && !relayed && evidence?.roster.kind === "good" ? "sure" : "unsure";
}

/** How long something has to be amiss before it is told: whoever has just come in may not be known everywhere yet. */
export const STANDS_MS = 6_000;

/** Tells of what is amiss once it stands, and of each thing once. */
export class FaultWatch {
  private last: Fault | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly told = new Set<string>();

  constructor(
    private readonly show: (fault: Fault | null) => void,
    private readonly tell: (fault: Fault) => void,
    private readonly standsMs = STANDS_MS,
  ) {}

  see(evidence: Evidence | null): void {
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
  }

  private stands(fault: Fault): void {
    this.show(fault);
    // That nobody can be reached is nothing that could be told to them.
    if (fault.kind === "roster_unreachable" || this.told.has(keyOf(fault))) return;
    this.told.add(keyOf(fault));
    this.tell(fault);
  }
}

function keyOf(fault: Fault | null): string {
  return fault === null ? "" : `${fault.kind} ${fault.about ?? ""}`;
}
