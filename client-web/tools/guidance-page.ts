import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";
import { piecesIn } from "../src/i18n/youth/notation.ts";
import { alone } from "./alone.ts";

interface Hotline {
  id: string;
  name: string;
  name_easy: string;
  name_en: string;
  phone: string;
  hours_text: string;
  hours?: object;
}

const folder = join(import.meta.dirname, "..", "guidance");
const script = join(import.meta.dirname, "..", "src", "guidance", "page.ts");

/** The guidance as a page of its own: it needs no script and no API, so that it works while everything else is down.
 * The server puts the desk's own entries between the two comments while it has them (web/guidance_page.py). */
export function guidanceHtml(hotlines: readonly Hotline[]): string {
  const rows = hotlines.map((line) => `    <li data-id="${escape(line.id)}">
      <div><h2>${escape(line.name)}</h2><p>${escape(line.name_easy)}<br><span lang="en">${escape(line.name_en)}</span></p>
        <p>${escape(line.hours_text)}</p></div>
      <a class="call" href="tel:${line.phone.replaceAll("-", "")}">${escape(line.phone)}</a>
    </li>`);
  return `<!doctype html>
<html lang="ja">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="robots" content="noindex">
  <title>電話で話せるところ</title>
  <link rel="icon" href="/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/guidance/guidance.css">
  <script src="/guidance/guidance.js" defer></script>
</head>
<body>
<main>
  <p class="switch"><label><input type="checkbox" role="switch" id="furigana"> ふりがな</label></p>
  <h1>${withReadings("[電話|でんわ]で[話|はな]せるところ")}</h1>
  <p>${withReadings("[名前|なまえ]を [言|い]わなくても だいじょうぶです。")}<br><span lang="en">You do not have to give your name.</span></p>
  <p id="age" role="status" hidden></p>
  <ul>
<!--entries-->
${rows.join("\n")}
<!--/entries-->
  </ul>
  <p><a href="/">${withReadings("チャットで[相談|そうだん]する")}</a> ・ <a href="/" lang="en" hreflang="en">Chat with a counsellor</a></p>
</main>
</body>
</html>
`;
}

/** The same as data, for whoever tells from the hours what is open. */
export function guidanceData(hotlines: readonly Hotline[]): string {
  const guidance = hotlines.map((line) => ({ ...line, open_now: null, checked_on: null }));
  return JSON.stringify({ made_at: null, holidays: null, guidance });
}

/** Vite plugin: puts the guidance page into the build, and serves it while developing. */
export function guidancePage(): Plugin {
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  const hotlines = (): Hotline[] => JSON.parse(read("guidance.json")) as Hotline[];
  const files: Record<string, [type: string, make: () => string | Promise<string>]> = {
    "index.html": ["text/html; charset=utf-8", () => guidanceHtml(hotlines())],
    "guidance.css": ["text/css", () => read("guidance.css")],
    "guidance.js": ["text/javascript", () => alone(script)],
    "guidance.json": ["application/json", () => guidanceData(hotlines())],
  };
  return {
    name: "madoguchi:guidance-page",
    async generateBundle() {
      for (const [name, [, make]] of Object.entries(files))
        this.emitFile({ type: "asset", fileName: "guidance/" + name, source: await make() });
    },
    configureServer(server) {
      server.middlewares.use("/guidance/", (request, response, next) => {
        const found = files[request.url?.slice(1) || "index.html"];
        if (!found) return next();
        response.setHeader("Content-Type", found[0]);
        Promise.resolve(found[1]()).then((source) => response.end(source), next);
      });
    },
  };
}

/** Readings stand in attributes until the box is ticked, which takes no script: what is searched, copied and read aloud
 * is the text alone. */
export function withReadings(note: string): string {
  return piecesIn(note)
    .map(({ text, reading }) =>
      reading === undefined ? escape(text) : `<ruby>${escape(text)}<rt aria-hidden="true" data-reading="${escape(reading)}"></rt></ruby>`,
    )
    .join("");
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
