import { mount } from "svelte";
import "./ui/base.css";
import { Desk } from "./desk/api";
import { signIn, signOut, type Session } from "./matrix/session";
import App from "./screens/admin/App.svelte";
import { Administration } from "./screens/admin/house.svelte";
import { rememberedLanguage } from "./screens/remembered";

const KEPT = "madoguchi.admin";

// The link's token stands behind the #, which no server sees; it also leaves the address bar and the history.
const link = new URLSearchParams(location.hash.slice(1)).get("link");
if (link !== null) history.replaceState(null, "", location.pathname);

rememberedLanguage();
const house = new Administration({
  desk: new Desk(),
  load: () => JSON.parse(sessionStorage.getItem(KEPT) ?? "null") as Session | null,
  save: (session) =>
    session ? sessionStorage.setItem(KEPT, JSON.stringify(session)) : sessionStorage.removeItem(KEPT),
  signIn,
  signOut,
});
const target = document.getElementById("app");
if (target) mount(App, { target, props: { house, link } });
