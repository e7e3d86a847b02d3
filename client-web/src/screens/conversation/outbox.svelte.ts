import { NotSent, type Outgoing, type Picture } from "../../matrix/chat";

export type DraftState = "waiting" | "sending" | "sent" | "refused";

/** Something said that is on its way. It stays until the conversation itself shows it. */
export interface Draft {
  txn: string;
  what: Outgoing;
  at: number;
  state: DraftState;
  eventId: string | null;
}

export interface OutboxOptions {
  send: (what: Outgoing, txn: string) => Promise<string>;
  /** Keeps what is unsent over a reload of the page. */
  keep?: (drafts: readonly Draft[]) => void;
  kept?: readonly Draft[];
  clock?: () => number;
  /** Waits that many milliseconds, or less when `wake` is called. */
  pause?: (ms: number) => Promise<void>;
  newTxn?: () => string;
}

const LONGEST_PAUSE_MS = 30_000;
const IDLE_EVERY_MS = 200;

/** Sends one after the other, in the order written, and tries again with the same transaction id. */
export class Outbox {
  drafts = $state.raw<readonly Draft[]>([]);
  private ready = false;
  private running = false;
  private failures = 0;
  private wakeUp: (() => void) | null = null;
  private readonly options: Required<OutboxOptions>;

  constructor(options: OutboxOptions) {
    this.options = {
      keep: () => undefined,
      kept: [],
      clock: () => Date.now(),
      pause: (ms) => this.sleep(ms),
      newTxn: randomTxn,
      ...options,
    };
    // What was under way when the page went away is sent again: its transaction id makes that harmless.
    this.drafts = this.options.kept.map(asKeptNow).map((draft) => ({ ...draft, state: draft.state === "sent" ? "sent" : "waiting" }));
  }

  add(what: Outgoing): void {
    const draft: Draft = { txn: this.options.newTxn(), what, at: this.options.clock(), state: "waiting", eventId: null };
    this.change([...this.drafts, draft]);
    void this.run();
  }

  /** Sending may begin (the keys are ready), or must stop. */
  setReady(ready: boolean): void {
    this.ready = ready;
    if (ready) this.wake();
  }

  /** Tries at once what waits for its next attempt. */
  wake(): void {
    this.failures = 0;
    this.wakeUp?.();
    void this.run();
  }

  retry(txn: string): void {
    this.alter(txn, { state: "waiting" });
    this.wake();
  }

  discard(txn: string): void {
    this.change(this.drafts.filter((draft) => draft.txn !== txn));
  }

  /** The conversation shows these now: by transaction id or event id. */
  settle(shown: (draft: Draft) => boolean): void {
    const left = this.drafts.filter((draft) => !shown(draft));
    if (left.length < this.drafts.length) this.change(left);
  }

  /** Gives once nothing is on its way any more, or after `atMostMs`. */
  async idle(atMostMs: number): Promise<void> {
    const busy = (): boolean => this.drafts.some(({ state }) => state === "waiting" || state === "sending");
    for (let waited = 0; busy() && waited < atMostMs; waited += IDLE_EVERY_MS) {
      await new Promise((resolve) => setTimeout(resolve, IDLE_EVERY_MS));
    }
  }

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    try {
      for (;;) {
        const next = this.drafts.find((draft) => draft.state === "waiting");
        if (!this.ready || !next) return;
        await this.attempt(next);
      }
    } finally {
      this.running = false;
    }
  }

  private async attempt(draft: Draft): Promise<void> {
    this.alter(draft.txn, { state: "sending" });
    try {
      const eventId = await this.options.send(draft.what, draft.txn);
      this.failures = 0;
      this.alter(draft.txn, { state: "sent", eventId });
    } catch (error) {
      if (error instanceof NotSent && error.final) {
        this.alter(draft.txn, { state: "refused" });
        return;
      }
      this.alter(draft.txn, { state: "waiting" });
      this.failures += 1;
      const asked = error instanceof NotSent ? error.afterMs : null;
      await this.options.pause(asked ?? Math.min(LONGEST_PAUSE_MS, 500 * 2 ** this.failures));
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private alter(txn: string, change: Partial<Draft>): void {
    this.change(this.drafts.map((draft) => (draft.txn === txn ? { ...draft, ...change } : draft)));
  }

  private change(drafts: readonly Draft[]): void {
    this.drafts = drafts;
    this.options.keep(drafts);
  }
}

// A tab that was open while the desk was upgraded kept words and pictures in a simpler way.
function asKeptNow(draft: Draft & { body?: string; picture?: Picture }): Draft {
  const { body = "", picture, what, ...rest } = draft;
  return { ...rest, what: (what as Outgoing | undefined) ?? (picture ? { kind: "picture", picture } : { kind: "text", body }) };
}

// crypto.randomUUID is missing on pages without TLS, as on a desk's first trial in its own network.
export function randomTxn(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
