// The roster 名簿: who is of the desk's staff, and by which keys, signed by its operator (Ed25519, RFC 8032, over
// Matrix's canonical JSON). The key to verify it comes with the page; what a browser has seen once it does not unlearn.
// To another key it goes only where the one that it knows has signed that.
import type { RosterEntry, RosterFault, RosterState } from "./chat";

const ROLES: readonly unknown[] = [
  "counsellor", "supervisor", "administrator", "auditor", "keeper",
] satisfies RosterEntry["role"][];
const ADDRESS = "/_madoguchi/desk/v1/roster";
const KEY_ADDRESS = "/roster-key.txt";

/** What stays in this browser of what it has seen. */
export interface RosterMemory {
  load: () => string | null;
  save: (text: string) => void;
}

export interface RosterSurroundings {
  /** The key that comes with the page, null for none. Raises when it can't be had. */
  pinned: () => Promise<string | null>;
  /** The desk's server name. */
  desk: string;
  memory: RosterMemory;
  /** The roster as the server gives it; null when it says that there is none. Raises when it can't be asked. */
  fetch: () => Promise<unknown>;
}

interface Remembered {
  key: string;
  number: number;
}

export class RosterBook {
  state: RosterState = { kind: "none" };
  /** undefined: not known yet. */
  private pinned: string | null | undefined;
  private seen: Remembered | null = null;
  private looking: Promise<RosterState> | null = null;

  constructor(private readonly around: RosterSurroundings) {}

  /** Whether this page has to do with a roster, as far as it knows. */
  get expected(): boolean {
    return this.pinned !== null || this.remembered() !== null;
  }

  /** Whether it knows that. */
  get known(): boolean {
    return this.pinned !== undefined || this.remembered() !== null;
  }

  /** Asks the desk; who asks meanwhile gets the same answer. */
  look(): Promise<RosterState> {
    this.looking ??= this.ask().finally(() => (this.looking = null));
    return this.looking;
  }

  private async ask(): Promise<RosterState> {
    const remembered = this.remembered();
    try {
      this.pinned ??= await this.around.pinned();
    } catch {
      // Asked again at the next look. What is remembered counts meanwhile.
    }
    const key = remembered?.key ?? this.pinned ?? null;
    if (key === null) return (this.state = { kind: "none" });
    const bad = (fault: RosterFault): RosterState => (this.state = { kind: "bad", fault });
    let given: unknown;
    try {
      given = await this.around.fetch();
    } catch {
      return this.state.kind === "good" ? this.state : bad("roster_unreachable");
    }
    if (given === null) return bad("roster_missing");
    const brought = this.pinned ?? key;
    const found = await read(given, key, this.around.desk);
    // A page that brings another key than before is not the operator's, unless the one leads to the other.
    if (brought !== key && (found === null || (await read(given, brought, this.around.desk)) === null)) {
      return bad("roster_key");
    }
    if (found === null) return bad("roster_unverified");
    const { state, key: last } = found;
    if (state.number < (remembered?.number ?? 0)) return bad("roster_back");
    this.seen = { key: last, number: state.number };
    try {
      this.around.memory.save(JSON.stringify(this.seen));
    } catch {
      // A browser that keeps nothing knows an old roster only within this page.
    }
    return (this.state = state);
  }

  private remembered(): Remembered | null {
    try {
      const found = JSON.parse(this.around.memory.load() ?? "null") as Partial<Remembered> | null;
      return typeof found?.key === "string" && typeof found.number === "number" ? (found as Remembered) : this.seen;
    } catch {
      return this.seen;
    }
  }
}

/** The key that the page brings along, null where its desk has none. Raises when it can't be had. */
export async function pinnedKey(): Promise<string | null> {
  const answer = await fetch(KEY_ADDRESS, { cache: "no-cache" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error("The roster's key could not be asked for.");
  return (await answer.text()).trim() || null;
}

/** Raises when the desk could not be asked. */
export async function fetchRoster(): Promise<unknown> {
  const answer = await fetch(ADDRESS, { cache: "no-store" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error("The roster could not be asked for.");
  // What is no JSON is no roster; it is not that nobody could be asked.
  return answer.json().catch(() => "");
}

interface Read {
  state: RosterState & { kind: "good" };
  /** The key that has signed. */
  key: string;
}

/** What a signed roster says, or null for one that is not this desk's, nor of this key or one that follows from it. */
async function read(given: unknown, known: string, desk: string): Promise<Read | null> {
  const { signature, ...signed } = mapping(given);
  if (signed["desk"] !== desk) return null;
  const key = await lastAfter(known, signed["succession"], desk);
  if (signed["key"] !== key || !(await signs(key, signature, signed))) return null;
  const { number, issued_at: issuedAt, staff } = signed;
  if (!Number.isSafeInteger(number) || typeof issuedAt !== "string" || !Array.isArray(staff)) return null;
  const entries = staff.map(asEntry);
  if (entries.includes(null)) return null;
  return { state: { kind: "good", number: number as number, issuedAt, staff: entries as RosterEntry[] }, key };
}

/** The key to which one has led by signing the next, over as many as there were; what it did not sign leads nowhere. */
async function lastAfter(known: string, succession: unknown, desk: string): Promise<string> {
  let key = known;
  for (const step of Array.isArray(succession) ? succession.map(mapping) : []) {
    const { issued_at, next, signature } = step;
    if (step["key"] !== key || typeof next !== "string") continue;
    if (await signs(key, signature, { desk, issued_at, key, next })) key = next;
  }
  return key;
}

async function signs(key: string, signature: unknown, told: object): Promise<boolean> {
  if (typeof signature !== "string") return false;
  return verifies(key, signature, new TextEncoder().encode(canonical(told))).catch(() => false);
}

function asEntry(given: unknown): RosterEntry | null {
  const { user_id: userId, name, role, master_key: masterKey } = mapping(given);
  if (typeof userId !== "string" || typeof masterKey !== "string" || !ROLES.includes(role)) return null;
  return { userId, name: typeof name === "string" ? name : "", role: role as RosterEntry["role"], masterKey };
}

/** Matrix's canonical JSON: keys in order, no space, nothing escaped that need not be. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${pairs.map(([name, each]) => `${JSON.stringify(name)}:${canonical(each)}`).join(",")}}`;
}

/** `key`, `signature`: base64. By the browser where it can, otherwise by a library. Raises for what is neither. */
export async function verifies(key: string, signature: string, text: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const [bytes, sign] = [fromBase64(key), fromBase64(signature)];
  try {
    const imported = await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, sign, text);
  } catch {
    const [ed25519, { sha512 }] = await Promise.all([import("@noble/ed25519"), import("@noble/hashes/sha2.js")]);
    ed25519.hashes.sha512 = sha512;
    return ed25519.verify(sign, text, bytes);
  }
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/** What should be an object, without its fields where it is none. */
export function mapping(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
