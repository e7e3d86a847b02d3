// The readings of easy Japanese: loaded for whoever switches them on. A page says a plain text as always; what is shown
// is looked up here by that text, so that nothing but what is seen (no label, no title) ever knows of readings.
import "../../ui/furigana.css";
import roomEasy from "../room/ja-x-easy.json";
import roomNotes from "../room/ja-x-easy.readings.json";
import youthEasy from "./ja-x-easy.json";
import youthNotes from "./ja-x-easy.readings.json";
import { type Piece, piecesIn } from "./notation";

interface Template {
  pattern: RegExp;
  pieces: readonly Piece[];
  certainty: number;
}

const MOMENTS = new Set(["date", "when", "time", "age"]);
const DATE = /^(?:\d+年)?\d+月\d+日(?:\(.\))?(?: \d+:\d+)?$/;
const IN_DATES = /(\d*)(時間|年|月|日|分|前)|(?<=\()([日月火水木金土])(?=\))/g;
const UNITS: Record<string, string> = { 時間: "じかん", 年: "ねん", 月: "がつ", 日: "にち", 分: "ふん", 前: "まえ" };
const WEEKDAYS: Record<string, string> = {
  日: "にち", 月: "げつ", 火: "か", 水: "すい", 木: "もく", 金: "きん", 土: "ど",
};
// Said as one word, number and all.
const WHOLE: Record<string, string> = {
  "1人": "ひとり", "2人": "ふたり", "1日": "ついたち", "2日": "ふつか", "3日": "みっか", "4日": "よっか", "5日": "いつか",
  "6日": "むいか", "7日": "なのか", "8日": "ようか", "9日": "ここのか", "10日": "とおか", "20日": "はつか",
};

const exact = new Map<string, readonly Piece[]>();
const templates: Template[] = [];
const notes: Record<string, string> = { ...youthNotes, ...roomNotes };
for (const [key, text] of Object.entries({ ...youthEasy, ...roomEasy })) {
  const pieces = piecesIn(notes[key] ?? text);
  if (!text.includes("{")) exact.set(text, pieces);
  else templates.push({ pattern: patternOf(text), pieces, certainty: text.replace(/\{\w+\}/g, "").length });
}
// `{what}: {who}` fits much: whatever says more itself comes first.
templates.sort((a, b) => b.certainty - a.certainty);

/** A text of the page in pieces; null for one that is none of its own (a name, an operator's wording). */
export function piecesOf(text: string): readonly Piece[] | null {
  const found = exact.get(text);
  if (found) return found;
  if (DATE.test(text)) return momentIn(text);
  for (const { pattern, pieces } of templates) {
    const values = pattern.exec(text)?.groups;
    if (values) return counted(pieces.flatMap((piece) => filled(piece, values)));
  }
  return listIn(text);
}

/** Several of them in a row: いじめ、小学校 4年生. */
function listIn(text: string): readonly Piece[] | null {
  const parts = text.split(/(、| (?=\d年生$))/);
  if (parts.length === 1) return null;
  const found = parts.map((part, at) => (at % 2 === 0 ? piecesOf(part) : [{ text: part }]));
  return found.every((pieces) => pieces !== null) ? found.flat() : null;
}

function patternOf(text: string): RegExp {
  const parts = text.split(/\{(\w+)\}/).map((part, at) =>
    at % 2 === 0 ? part.replace(/[$()*+.?[\\\]^{|}]/g, "\\$&") : `(?<${part}>${isNumber(part) ? "[\\d,]+" : ".+"})`,
  );
  return new RegExp(`^${parts.join("")}$`, "s");
}

function isNumber(blank: string): boolean {
  return ["count", "low", "high", "number", "grade", "step"].includes(blank);
}

/** Whatever is put into a text stays as it is, but for days, times and what the page itself lists. */
function filled({ text, reading }: Piece, values: Record<string, string>): Piece[] {
  if (reading !== undefined) return [{ text, reading }];
  return text.split(/\{(\w+)\}/).flatMap((part, at) => {
    if (at % 2 === 0) return part ? [{ text: part }] : [];
    const value = values[part] ?? "";
    if (MOMENTS.has(part)) return momentIn(value);
    return (part === "what" ? piecesOf(value) : null) ?? [{ text: value }];
  });
}

function momentIn(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of text.matchAll(IN_DATES)) {
    const [whole, number = "", unit, weekday] = found;
    if (found.index > from) pieces.push({ text: text.slice(from, found.index) });
    if (weekday) pieces.push({ text: weekday, reading: WEEKDAYS[weekday] ?? "" });
    else if (unit) pieces.push(...(number ? [{ text: number }] : []), { text: unit, reading: UNITS[unit] ?? "" });
    from = found.index + whole.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return counted(pieces);
}

/** How a counter is read follows from its number. */
function counted(pieces: readonly Piece[]): Piece[] {
  const out: Piece[] = [];
  for (const piece of pieces) {
    const before = out.at(-1);
    const number = before && before.reading === undefined ? /\d+$/.exec(before.text)?.[0] : undefined;
    if (piece.reading === undefined || number === undefined) out.push(piece);
    else if (WHOLE[number + piece.text]) {
      out.pop();
      const rest = before?.text.slice(0, -number.length);
      if (rest) out.push({ text: rest });
      out.push({ text: number + piece.text, reading: WHOLE[number + piece.text] ?? "" });
    } else if (piece.reading === "ふん" && /[013468]$/.test(number)) out.push({ ...piece, reading: "ぷん" });
    else if (piece.text === "日" && /[12]4$/.test(number)) out.push({ ...piece, reading: "か" });
    else out.push(piece);
  }
  return out;
}
