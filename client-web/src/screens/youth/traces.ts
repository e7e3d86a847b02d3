import type { Session } from "../../matrix";
import type { Draft } from "../conversation/outbox.svelte";
import { canSeal, seal, unseal } from "../sealed";

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
  private drafts: readonly Draft[] = [];

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
    // Another device of theirs has another key.
    if (visit && this.drafts.length > 0) void this.sealUnsent().catch(() => undefined);
  }

  /** What was on its way when the page went away. */
  async unsent(): Promise<readonly Draft[]> {
    if (this.drafts.length > 0) return this.drafts;
    const [box, key] = [this.read<string>("unsent"), this.key];
    if (box === null || key === null) return [];
    const found = await unseal(key, UNSENT, box).catch(() => null);
    return (this.drafts = Array.isArray(found) ? (found as Draft[]) : []);
  }

  /** Keeps what is on its way over a reload, sealed with what seals the visit's keys: browsers write what a tab keeps
   * into files of theirs, and no word may stand there. Where nothing can be sealed nothing is kept. */
  keepUnsent(drafts: readonly Draft[]): void {
    this.drafts = drafts;
    if (drafts.length === 0) this.write("unsent", null);
    else void this.sealUnsent().catch(() => undefined);
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
    this.keepUnsent([]);
    this.language = null;
    this.furigana = false;
    this.remember(false);
  }

  private get key(): string | null {
    return canSeal() ? (this.visit?.session.storageKey ?? null) : null;
  }

  private async sealUnsent(): Promise<void> {
    const { drafts, key } = this;
    if (key === null) return;
    const box = await seal(key, UNSENT, drafts);
    // What has changed meanwhile is written by whoever changed it.
    if (this.drafts === drafts && this.key === key) this.write("unsent", box);
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
const UNSENT: Name = "unsent";

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
