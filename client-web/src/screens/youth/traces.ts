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
}

/** The part of Web Storage that is needed here. */
export type Storage = Pick<globalThis.Storage, "getItem" | "setItem" | "removeItem">;

/** What a visit keeps in this tab. The key of the encrypted store lives here only, so closing the tab leaves nothing
 * that can be read. A browser without storage keeps nothing; the visit then lasts until the page is left. */
export class Traces {
  constructor(private readonly storage: Storage | null) {}

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

  clear(): void {
    this.visit = null;
    this.drafts = [];
    this.language = null;
  }

  private read<T>(name: string): T | null {
    try {
      const text = this.storage?.getItem("madoguchi." + name) ?? null;
      return text === null ? null : (JSON.parse(text) as T);
    } catch {
      return null;
    }
  }

  private write(name: string, value: unknown): void {
    try {
      if (value === null) this.storage?.removeItem("madoguchi." + name);
      else this.storage?.setItem("madoguchi." + name, JSON.stringify(value));
    } catch {
      // Full or forbidden: the visit goes on, only a reload will not find it.
    }
  }
}
