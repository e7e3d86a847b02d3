// The viewing ledger: the newest or another day's, what has drifted, what differs between two days, files.
import type { Desk, LedgerDiff, LedgerSeen } from "../../desk/api";
import { reasonOf } from "../trouble";

export type LedgerFormat = "html" | "pdf" | "json";

export class LedgerModel {
  seen = $state.raw<LedgerSeen | null>(null);
  diff = $state.raw<LedgerDiff | null>(null);
  /** There is none yet: the first is made in the coming night. */
  none = $state(false);
  working = $state(false);
  trouble = $state<string | null>(null);

  constructor(private readonly desk: Desk) {}

  /** Fetches the ledger of a day; without one the newest. */
  async look(language: "ja" | "en", day?: string): Promise<void> {
    await this.act(async () => {
      this.seen = await this.desk.ledger(language, day);
      this.none = false;
    });
  }

  /** Fetches what differs between two days. */
  async compare(language: "ja" | "en", first: string, last: string): Promise<void> {
    await this.act(async () => {
      this.diff = await this.desk.ledgerDiff(language, first, last);
    });
  }

  /** Says that the drift which is shown has been looked at. */
  async acknowledge(language: "ja" | "en"): Promise<void> {
    const newest = this.seen?.days[0]?.seq;
    if (newest === undefined) return;
    await this.act(async () => {
      await this.desk.acknowledgeLedger(newest);
      this.seen = await this.desk.ledger(language);
    });
  }

  async take(format: LedgerFormat, language: "ja" | "en"): Promise<{ name: string; blob: Blob } | null> {
    let taken: { name: string; blob: Blob } | null = null;
    await this.act(async () => {
      const { file_name, media_type, text } = await this.desk.exportLedger(format, language, this.seen?.day);
      const blob = format === "pdf"
        ? new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: media_type })
        : new Blob([text], { type: `${media_type};charset=utf-8` });
      taken = { name: file_name, blob };
    });
    return taken;
  }

  forget(): void {
    this.seen = this.diff = null;
    this.none = false;
    this.trouble = null;
  }

  private async act(work: () => Promise<void>): Promise<void> {
    this.working = true;
    this.trouble = null;
    try {
      await work();
    } catch (error) {
      if ((error as { status?: number }).status === 404 && this.seen === null) this.none = true;
      else this.trouble = reasonOf(error);
    } finally {
      this.working = false;
    }
  }
}
