// A counsellor's own replies. They lie in the account's data on the server, so that they are there at every workplace,
// sealed under a key that is made of the password: what the staff have no other key for that goes with them. They are
// sentences without a case's content; but somebody will paste some, and then nobody finds it in a database or a backup.
// (Who controls the server sees a password when it is typed, and could open them.)
import type { Reply } from "../../desk/api";
import { canSeal, seal, unseal } from "../sealed";

export const OWN_REPLIES = "jp.madoguchi.own_replies";
export const MOST = 200;

/** open: they can be read and written. shut: sealed under another password. later: from the next sign-in on. unable:
 * browsers seal nothing on pages without TLS. */
export type OwnState = "open" | "shut" | "later" | "unable";

export interface OwnSurroundings {
  /** The sealed box as the account has it, or null. */
  load: () => string | null;
  /** Raises when it could not be kept. */
  save: (box: string) => Promise<void>;
  /** 32 bytes, base64, of a password of this account. */
  keyOf: (password: string) => Promise<string>;
  /** Keeps the key for this session, where it had none. */
  adopt: (key: string) => void;
}

export class OwnReplies {
  list = $state.raw<readonly Reply[]>([]);
  state = $state<OwnState>("later");
  private key: string | null = null;
  private opened: string | null = null;

  constructor(private readonly around: OwnSurroundings) {}

  /** Takes the key of the session, or none, and opens what is there. */
  async use(key: string | null): Promise<void> {
    this.key = key;
    this.opened = null;
    this.list = [];
    await this.look();
  }

  /** Opens what is there now: another workplace may have written meanwhile. */
  async look(): Promise<void> {
    if (!canSeal()) {
      this.state = "unable";
      return;
    }
    const [box, { key }] = [this.around.load(), this];
    if (box === null) {
      this.state = key === null ? "later" : "open";
      return;
    }
    if (box === this.opened) return;
    const found = key === null ? null : await open(key, box);
    this.opened = found ? box : null;
    if (found) this.list = found;
    this.state = found ? "open" : "shut";
  }

  /** Opens what was sealed under another password. Says whether that was it. Raises when it could not be kept anew. */
  async unlock(password: string): Promise<boolean> {
    const box = this.around.load();
    const key = await this.around.keyOf(password);
    const found = box === null ? null : await open(key, box);
    if (!found) return false;
    if (this.key === null) {
      this.key = key;
      this.around.adopt(key);
      await this.look();
    } else await this.save(found);
    return true;
  }

  /** Gives up what nobody can open. Raises as `save`. */
  async beginAnew(): Promise<void> {
    if (this.key !== null) await this.save([]);
  }

  /** Puts this list in the place of the one that is there. Raises when it could not be kept; nothing changes then. */
  async save(list: readonly Reply[]): Promise<void> {
    if (this.key === null) throw new Error("There is no key to seal them with.");
    const box = await seal(this.key, OWN_REPLIES, list);
    await this.around.save(box);
    this.opened = box;
    this.list = list;
    this.state = "open";
  }
}

async function open(key: string, box: string): Promise<readonly Reply[] | null> {
  try {
    const found = await unseal(key, OWN_REPLIES, box);
    return Array.isArray(found) ? (found as Reply[]) : null;
  } catch {
    return null;
  }
}
