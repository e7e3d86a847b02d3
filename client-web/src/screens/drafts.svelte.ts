// What staff have begun and not saved or sent: it outlives a reload and a crash, sealed with what the session seals its
// keys with, and is gone with the session.
import type { Session } from "../matrix";
import { canSeal, seal, unseal } from "./sealed";

export interface Shelf {
  load: (name: string) => string | null;
  save: (name: string, text: string | null) => void;
}

/** `name`: of the box; each value lies under a key of its own, as the id of a case or a room. */
export class Drafts<Value> {
  private readonly kept = new Map<string, Value>();
  private keeping = Promise.resolve();
  private session: Session | null = null;
  count = $state(0);

  constructor(private readonly shelf: Shelf, private readonly name: string) {}

  /** Takes up what this session has left behind. */
  async restore(session: Session): Promise<void> {
    this.session = session;
    const box = this.shelf.load(this.name);
    if (box === null || !canSeal()) return;
    // A box of an earlier session opens no more.
    const found = await unseal(session.storageKey, this.name, box).catch(() => null);
    if (Array.isArray(found)) for (const [key, value] of found as [string, Value][]) this.kept.set(key, value);
    this.count = this.kept.size;
  }

  get(key: string): Value | null {
    return this.kept.get(key) ?? null;
  }

  put(key: string, value: Value | null): void {
    if (value !== null) this.kept.set(key, value);
    else if (!this.kept.delete(key)) return;
    this.keep();
  }

  /** Forgets what lies under other keys. */
  keepOnly(keys: readonly string[]): void {
    const gone = [...this.kept.keys()].filter((key) => !keys.includes(key));
    if (gone.length === 0) return;
    for (const key of gone) this.kept.delete(key);
    this.keep();
  }

  /** Everything that was kept is in the browser's store. */
  settled(): Promise<void> {
    return this.keeping;
  }

  forget(): void {
    this.session = null;
    this.kept.clear();
    this.count = 0;
    this.shelf.save(this.name, null);
  }

  private keep(): void {
    this.count = this.kept.size;
    const { session } = this;
    if (!session || !canSeal()) return;
    const all = [...this.kept];
    this.keeping = this.keeping
      .then(() => seal(session.storageKey, this.name, all))
      .then((box) => (this.session === session ? this.shelf.save(this.name, all.length > 0 ? box : null) : undefined))
      .catch(() => undefined);
  }
}
