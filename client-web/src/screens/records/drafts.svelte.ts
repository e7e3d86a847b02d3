// What is begun and not saved of records: it outlives a reload and a crash, sealed with what the session seals its keys
// with, and is gone with the session.
import type { Session } from "../../matrix";
import type { Codes } from "../codes";
import { canSeal, seal, unseal } from "../sealed";

const NAME = "records";

export interface Draft {
  codes: Codes;
  note: string;
}

export interface Shelf {
  load: (name: string) => string | null;
  save: (name: string, text: string | null) => void;
}

export class Drafts {
  private readonly kept = new Map<string, Draft>();
  private keeping = Promise.resolve();
  private session: Session | null = null;
  count = $state(0);

  constructor(private readonly shelf: Shelf) {}

  /** Takes up what this session has left behind. */
  async restore(session: Session): Promise<void> {
    this.session = session;
    const box = this.shelf.load(NAME);
    if (box === null || !canSeal()) return;
    // A box of an earlier session opens no more.
    const found = await unseal(session.storageKey, NAME, box).catch(() => null);
    if (Array.isArray(found)) for (const [caseId, draft] of found as [string, Draft][]) this.kept.set(caseId, draft);
    this.count = this.kept.size;
  }

  get(caseId: string): Draft | null {
    return this.kept.get(caseId) ?? null;
  }

  put(caseId: string, draft: Draft | null): void {
    if (draft) this.kept.set(caseId, draft);
    else if (!this.kept.delete(caseId)) return;
    this.count = this.kept.size;
    const { session } = this;
    if (!session || !canSeal()) return;
    const all = [...this.kept];
    this.keeping = this.keeping
      .then(() => seal(session.storageKey, NAME, all))
      .then((box) => (this.session === session ? this.shelf.save(NAME, all.length > 0 ? box : null) : undefined))
      .catch(() => undefined);
  }

  /** Everything that was kept is in the browser's store. */
  settled(): Promise<void> {
    return this.keeping;
  }

  forget(): void {
    this.session = null;
    this.kept.clear();
    this.count = 0;
    this.shelf.save(NAME, null);
  }
}
