// Readings above the characters of easy Japanese, for whoever wants them. They weigh more than the page should, so they
// come when they are switched on, from where the page says.
import { language } from "../i18n/language.svelte";
import type { Piece } from "../i18n/youth/notation";

interface Readings {
  piecesOf: (text: string) => readonly Piece[] | null;
}

class Furigana {
  wanted = $state(false);
  failed = $state(false);
  /** A page without readings has no source. */
  source: (() => Promise<Readings>) | null = null;
  private readings = $state.raw<Readings | null>(null);

  /** Whether readings are shown now. */
  get shown(): boolean {
    return this.wanted && this.readings !== null && language.code === "ja-x-easy";
  }

  /** Switches them on or off. Where they can't be had it stays off, and `failed` says so. */
  async want(wanted: boolean): Promise<void> {
    this.wanted = wanted;
    this.failed = false;
    if (!wanted || this.readings || !this.source) return;
    try {
      this.readings = await this.source();
    } catch {
      this.failed = this.wanted;
      this.wanted = false;
    }
  }

  /** A text in pieces; null where it stands as it is. */
  piecesOf(text: string): readonly Piece[] | null {
    return this.shown ? (this.readings?.piecesOf(text) ?? null) : null;
  }
}

export const furigana = new Furigana();
