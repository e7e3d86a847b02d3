// The only script of the guidance page, which works without it: what is open now, by the hours and the clock here, and
// how old the list is if it was kept. Built by tools/guidance-page.ts.
import { type Piece, piecesIn } from "../i18n/youth/notation";
import { ageOf, fetchList, type GuidanceList, isOpen } from "./list";

const AGAIN_MS = 30_000;
const OPEN = ["いま [話|はな]せます", "open now"] as const;
const CLOSED = ["いまは [時間外|じかんがい]です", "closed now"] as const;

function told([japanese, english]: readonly [string, string]): Node[] {
  const other = Object.assign(document.createElement("span"), { lang: "en", textContent: english });
  return [...piecesIn(japanese).map(node), document.createTextNode(" "), other];
}

function node({ text, reading }: Piece): Node {
  if (reading === undefined) return document.createTextNode(text);
  const ruby = Object.assign(document.createElement("ruby"), { textContent: text });
  const above = document.createElement("rt");
  above.setAttribute("aria-hidden", "true");
  above.dataset["reading"] = reading;
  ruby.append(above);
  return ruby;
}

function show(list: GuidanceList | null): void {
  const now = Date.now();
  const entries = list?.guidance ?? [];
  const rows = [...document.querySelectorAll<HTMLElement>("li[data-id]")];
  const places = rows.map((row, at) => {
    const place = entries.findIndex(({ id }) => id === row.dataset["id"]);
    const entry = entries[place];
    const open = entry ? isOpen(entry, list, now) : null;
    // What the server said may have been said long ago.
    row.querySelector(".state")?.remove();
    if (open !== null) {
      const state = Object.assign(document.createElement("p"), { className: open ? "state now" : "state" });
      state.append(...told(open ? OPEN : CLOSED));
      row.querySelector("div")?.append(state);
    }
    return { row, at, place, open: open === true };
  });
  // What is open comes first, and else the desk's order holds. Nothing moves unless it has to.
  const sorted = [...places].sort((a, b) => Number(b.open) - Number(a.open) || a.place - b.place || a.at - b.at);
  if (sorted.some(({ at }, index) => at !== index))
    document.querySelector("ul")?.append(...sorted.map(({ row }) => row));

  const [age, english] = [ageOf(list, now, "ja-JP"), ageOf(list, now, "en-GB")];
  const line = document.getElementById("age");
  if (line && age !== null && english !== null)
    line.replaceChildren(...told([`${age}の [一覧|いちらん]です。`, `This list was made ${english}.`]));
  line?.toggleAttribute("hidden", age === null);
}

// Whoever has readings on the page they come from has them here. Nothing is kept here.
try {
  const box = document.querySelector<HTMLInputElement>("#furigana");
  if (box && sessionStorage.getItem("madoguchi.furigana") === "true") box.checked = true;
} catch {
  // No storage: the box is there.
}

void fetchList().then((list) => {
  show(list);
  setInterval(() => show(list), AGAIN_MS);
});
