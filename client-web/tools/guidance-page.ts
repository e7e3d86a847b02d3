import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

interface Hotline {
  id: string;
  name: string;
  name_easy: string;
  name_en: string;
  phone: string;
  hours_text: string;
}

const folder = join(import.meta.dirname, "..", "guidance");

/** The guidance as a page of its own: no script, no API, so that it works while everything else is down. The server
 * puts the desk's own entries between the two comments while it has them (web/guidance_page.py). */
export function guidanceHtml(hotlines: readonly Hotline[]): string {
  const rows = hotlines.map((line) => `    <li>
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
</head>
<body>
<main>
  <h1>電話で話せるところ</h1>
  <p>名前を 言わなくても だいじょうぶです。<br><span lang="en">You do not have to give your name.</span></p>
  <ul>
<!--entries-->
${rows.join("\n")}
<!--/entries-->
  </ul>
  <p><a href="/">チャットで相談する</a> ・ <a href="/" lang="en" hreflang="en">Chat with a counsellor</a></p>
</main>
</body>
</html>
`;
}

/** Vite plugin: puts the guidance page into the build, and serves it while developing. */
export function guidancePage(): Plugin {
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  const html = (): string => guidanceHtml(JSON.parse(read("guidance.json")) as Hotline[]);
  return {
    name: "madoguchi:guidance-page",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "guidance/index.html", source: html() });
      this.emitFile({ type: "asset", fileName: "guidance/guidance.css", source: read("guidance.css") });
    },
    configureServer(server) {
      server.middlewares.use("/guidance/", (request, response) => {
        const style = request.url?.endsWith(".css") ?? false;
        response.setHeader("Content-Type", style ? "text/css" : "text/html; charset=utf-8");
        response.end(style ? read("guidance.css") : html());
      });
    },
  };
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
