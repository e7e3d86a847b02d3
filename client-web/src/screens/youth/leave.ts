import { signOut } from "../../matrix";
import type { Youth } from "./visit.svelte";

const HARMLESS = "https://www.google.com/";

/** Leaves at once: empties the screen, forgets everything here and replaces this history entry. The case goes on. */
export function leaveNow(youth: Youth, title: string): void {
  const to = harmless(youth.facts?.quick_exit_url);
  document.title = title;
  document.body.replaceChildren();
  const session = youth.vanish();
  if (session) void signOut(session, true);
  location.replace(to);
}

function harmless(address: string | undefined): string {
  return address !== undefined && /^https?:\/\//.test(address) ? address : HARMLESS;
}

/** Calls back when Esc is pressed twice within a second. Gives a function that stops listening. */
export function onEscapeTwice(callback: () => void): () => void {
  // Time counts from the loading of the page: the first press of a quick hand is no second one.
  let last = -Infinity;
  const pressed = (event: KeyboardEvent): void => {
    // Esc that ends a conversion belongs to the input method.
    if (event.key !== "Escape" || event.isComposing || event.repeat) return;
    if (event.timeStamp - last < 1_000) callback();
    last = event.timeStamp;
  };
  // In the capture phase: an open dialog must not swallow it.
  window.addEventListener("keydown", pressed, true);
  return () => window.removeEventListener("keydown", pressed, true);
}
