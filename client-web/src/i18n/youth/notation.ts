// How readings are written down.

/** Some of a text, with what stands above it. */
export interface Piece {
  text: string;
  reading?: string;
}

const NOTE = /\[([^|\]]+)\|([^\]]+)\]/;

/** What stands in brackets is read as after the bar: `[相談|そうだん]する`. */
export function piecesIn(note: string): Piece[] {
  // Split by an expression with two groups: text, word, reading, text, word, reading, … text.
  const parts = note.split(NOTE);
  const pieces: Piece[] = [];
  for (let at = 0; at < parts.length; at += 3) {
    if (parts[at]) pieces.push({ text: parts[at] ?? "" });
    if (at + 1 < parts.length) pieces.push({ text: parts[at + 1] ?? "", reading: parts[at + 2] ?? "" });
  }
  return pieces;
}
