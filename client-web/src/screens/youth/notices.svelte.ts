// Notices: a young person who has left the page is called back by their browser. Only who asks for it, on a phone that
// remembers them, and no longer than their case goes on. What is told, and who learns of it: docs/push.md.
import { type Desk, DeskError } from "../../desk/api";
import type { Background } from "./background.svelte";

type Pushing = Pick<Background, "canTell" | "mayTell" | "isTold" | "subscribe" | "unsubscribe">;

export class Notices {
  on = $state(false);
  asking = $state(false);
  /** Why it did not work: the browser does not allow it, the desk tells this browser's service nothing, or else. */
  trouble = $state<"denied" | "unnamed" | "failed" | null>(null);

  constructor(private readonly desk: Desk, private readonly background: Pushing) {}

  get possible(): boolean {
    return this.background.canTell;
  }

  /** They want notices. key: by which the browser binds itself to this desk. */
  async want(key: string): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    this.trouble = null;
    try {
      if (await this.background.mayTell()) await this.tell(key);
      else this.trouble = "denied";
    } catch (error) {
      this.trouble = error instanceof DeskError && error.status === 403 ? "unnamed" : "failed";
      await this.background.unsubscribe();
    } finally {
      this.asking = false;
    }
  }

  /** At the beginning of a visit: goes on for somebody who has them, and leaves none behind for anybody else.
   *
   * key: null where the desk has no notices. wanted: this phone remembers somebody. */
  async recall(key: string | null, wanted: boolean): Promise<void> {
    if (!this.possible) return;
    if (key === null || !wanted) return this.end();
    try {
      if (await this.background.isTold()) await this.tell(key);
    } catch (error) {
      // Out of reach for now, or for good: no running case, or a service that is named no more.
      if (error instanceof DeskError && error.status >= 400 && error.status < 500) await this.end();
    }
  }

  /** They want none any more. */
  async stop(): Promise<void> {
    await this.desk.dropSubscription().catch(() => undefined);
    await this.end();
  }

  /** The desk has forgotten this browser by itself: so does the browser. */
  async end(): Promise<void> {
    this.on = false;
    if (this.possible) await this.background.unsubscribe();
  }

  private async tell(key: string): Promise<void> {
    await this.desk.keepSubscription(await this.background.subscribe(key));
    this.on = true;
  }
}
