import { mount } from "svelte";
import "./ui/base.css";
import { preferred, speak, type Language, NAMES } from "./i18n/language.svelte";
import { Desk } from "./desk/api";
import { fetchList } from "./guidance/list";
import { newStorageKey, openChat, removeStore, removeStores, signIn, signOut, warmUp } from "./matrix";
import App from "./screens/youth/App.svelte";
import { hold } from "./screens/hold";
import { Background } from "./screens/youth/background.svelte";
import { Notices } from "./screens/youth/notices.svelte";
import { Traces } from "./screens/youth/traces";
import { Youth } from "./screens/youth/visit.svelte";
import { furigana } from "./ui/furigana.svelte";

const OFFERED: readonly Language[] = ["ja-x-easy", "ja", "en"];

function allowed(storage: () => Storage): Storage | null {
  try {
    return storage();
  } catch {
    return null;
  }
}

const traces = new Traces(allowed(() => sessionStorage), allowed(() => localStorage));
const chosen = traces.language;
speak(chosen !== null && chosen in NAMES ? (chosen as Language) : preferred(OFFERED, navigator.languages));
furigana.source = () => import("./i18n/youth/readings");
void furigana.want(traces.furigana);

const desk = new Desk();
const background = new Background();
background.awaitOffer();
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const youth = new Youth({
  desk,
  traces,
  openChat,
  signIn,
  signOut,
  newStorageKey,
  removeStore,
  removeStores,
  hold,
  guidance: fetchList,
  phrase: () => import("./screens/youth/phrase"),
  pause,
  background,
  notices: new Notices(desk, background),
});
// A link from an app: what opens it stands behind the #, so that no server and no preview ever gets it by itself.
const move = /^#move=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1] ?? null;
if (move !== null) history.replaceState(null, "", location.pathname + location.search);
const room = () => import("./screens/youth/Room.svelte");
const target = document.getElementById("app");
// Until here the page offers the phone numbers alone.
target?.replaceChildren();
if (target) mount(App, { target, props: { youth, traces, languages: OFFERED, room, move } });
performance.mark("usable");

// A notice has done its part once the page is looked at.
const seen = (): void => {
  if (document.visibilityState === "visible") void background.quiet();
};
document.addEventListener("visibilitychange", seen);
seen();

// The conversation and the encryption load behind the first paint, while the start screen is read. Then what is kept
// for when nothing can be reached.
const ahead = async (): Promise<void> => {
  // What fails here is fetched again, and told, when it is needed.
  await Promise.race([Promise.allSettled([room(), warmUp()]), pause(10_000)]);
  await background.start();
};
requestAnimationFrame(() => setTimeout(() => void ahead(), 0));
