import { tick } from "svelte";

/** Where the keyboard goes on when what it stood on has made way for something else; it is taken from nobody. */
export async function goOnAt(place: () => HTMLElement | undefined): Promise<void> {
  await tick();
  const stands = document.activeElement;
  if (stands === null || stands === document.body) place()?.focus({ preventScroll: true });
}
