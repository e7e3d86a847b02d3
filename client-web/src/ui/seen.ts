/** Looks again every so often while somebody has the page before their eyes. Gives what ends it. */
export function whileSeen(everyMs: number, look: () => unknown): () => void {
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") look();
  }, everyMs);
  return () => clearInterval(timer);
}
