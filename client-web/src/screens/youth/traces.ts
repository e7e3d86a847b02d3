import type { Session } from "../../matrix";
import type { Draft } from "../conversation/outbox.svelte";

export const STORE_PREFIX = "madoguchi-visit-";

/** A visit in this tab: enough to go on after a reload. */
export interface Visit {
  caseId: string;
  roomId: string;
  session: Session;
  /** For a fresh sign-in when the keys are gone. */
  password: string | null;
  /** Names the key store in IndexedDB. */
  store: string;
  /** The device's public key at its first start, null before that. */
  fingerprint: string | null;
  /** Came from elsewhere: the keeper lets this account in, with the history. */
  moved?: boolean;
  /** By what kind of channel, and as whom, until then. */
  cameBy?: string | null;
  before?: readonly string[];
}

/** The part of Web Storage that is needed here. */
export type Storage = Pick<globalThis.Storage, "getItem" | "setItem" | "removeItem">;

/** What a visit keeps in this tab. The key of the encrypted store lives here only, so closing the tab leaves nothing
 * that can be read. A browser without storage keeps nothing; the visit then lasts until the page is left.
 *
 * Only for somebody who asks to be remembered does the same lie in `lasting`, where it outlives the tab. */
export class Traces {
  constructor(private readonly tab: Storage | null, private readonly lasting: Storage | null = null) {}

  /** Whether whoever opens the page in this browser is in the conversation at once. */
  get remembered(): boolean {
    return read(this.lasting, "visit") !== null;
  }

  /** Raises nothing; says whether it is so now. A browser may refuse. */
  remember(wanted: boolean): boolean {
    for (const name of NAMES) write(this.lasting, name, wanted ? read(this.tab, name) : null);
    return this.remembered;
  }

  get visit(): Visit | null {
    return this.read<Visit>("visit");
  }

  set visit(visit: Visit | null) {
    this.write("visit", visit);
  }

  get drafts(): readonly Draft[] {
    return this.read<Draft[]>("unsent") ?? [];
  }

  set drafts(drafts: readonly Draft[]) {
    this.write("unsent", drafts.length > 0 ? drafts : null);
  }

  get language(): string | null {
    return this.read<string>("language");
  }

  set language(code: string | null) {
    this.write("language", code);
  }

  /** Whether readings stand above the characters of easy Japanese. */
  get furigana(): boolean {
    return this.read<boolean>("furigana") ?? false;
  }

  set furigana(wanted: boolean) {
    this.write("furigana", wanted || null);
  }

  /** What this visit has seen of the desk's roster. */
  get roster(): string | null {
    return this.read<string>("roster");
  }

  set roster(seen: string | null) {
    this.write("roster", seen);
  }

  clear(): void {
    this.visit = null;
    this.roster = null;
    this.drafts = [];
    this.language = null;
    this.furigana = false;
    this.remember(false);
  }

  private read<T>(name: Name): T | null {
    return (read(this.tab, name) ?? read(this.lasting, name)) as T | null;
  }

  private write(name: Name, value: unknown): void {
    const remembered = this.remembered;
    write(this.tab, name, value);
    if (remembered) write(this.lasting, name, value);
  }
}

const NAMES = ["visit", "unsent", "language", "furigana", "roster"] as const;
type Name = (typeof NAMES)[number];

function read(storage: Storage | null, name: Name): unknown {
  try {
    const text = storage?.getItem("madoguchi." + name) ?? null;
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

function write(storage: Storage | null, name: Name, value: unknown): void {
  try {
    if (value === null) storage?.removeItem("madoguchi." + name);
    else storage?.setItem("madoguchi." + name, JSON.stringify(value));
  } catch {
    // Full or forbidden: the visit goes on, only a reload will not find it.
  }
}
