import { mount } from "svelte";
import "./ui/base.css";
import { Desk } from "./desk/api";
import { language } from "./i18n/language.svelte";
import { rememberedLanguage } from "./screens/remembered";
import { t } from "./i18n/staff";
import { openChat, removeStores, signIn, signOut, warmUp } from "./matrix";
import App from "./screens/counsellor/App.svelte";
import { Console, type KeptStaff } from "./screens/counsellor/console.svelte";
import { keyOfPassword } from "./screens/sealed";
import { chime, wakeWithNextPress } from "./screens/counsellor/chime";
import { hold } from "./screens/hold";

const KEPT = "madoguchi.staff";

// Who is invited comes with a token behind the #, which no server sees; it also leaves the address bar and the history.
const invitation = new URLSearchParams(location.hash.slice(1)).get("invite");
if (invitation !== null) history.replaceState(null, "", location.pathname);

rememberedLanguage();
const desk = new Console({
  desk: new Desk(),
  load: () => JSON.parse(localStorage.getItem(KEPT) ?? "null") as KeptStaff | null,
  save: (kept) => (kept ? localStorage.setItem(KEPT, JSON.stringify(kept)) : localStorage.removeItem(KEPT)),
  local: {
    load: (name) => localStorage.getItem(`${KEPT}.${name}`),
    save: (name, text) => (text === null ? localStorage.removeItem(`${KEPT}.${name}`) : localStorage.setItem(`${KEPT}.${name}`, text)),
  },
  notices: {
    permission: () => ("Notification" in window ? Notification.permission : "unsupported"),
    ask: async () => ("Notification" in window ? Notification.requestPermission() : "unsupported"),
    show: (news) => {
      try {
        // One at a time of each kind, and nothing in it that a passer-by may not read.
        const shown = new Notification(t(`notices.${news}`), { tag: `madoguchi-${news}`, silent: true, icon: "/favicon.svg" });
        shown.onclick = () => {
          window.focus();
          shown.close();
        };
      } catch {
        // Some phones leave notifications to service workers; the page's title and the sound remain.
      }
    },
    chime,
    watched: () => document.visibilityState === "visible" && document.hasFocus(),
  },
  openChat,
  signIn,
  signOut,
  removeStores,
  keyOfPassword: (password, userId, use) => keyOfPassword(password, userId, use),
  phrase: () => import("./screens/youth/phrase"),
  language: () => (language.code === "en" ? "en" : "ja"),
  hold,
  pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
});
const target = document.getElementById("app");
if (target) mount(App, { target, props: { desk, invitation } });
wakeWithNextPress();
void warmUp();
