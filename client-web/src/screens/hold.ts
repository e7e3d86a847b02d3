const PATIENCE_MS = 1_500;
const EVERY_MS = 150;

/** Takes a lock for this tab until the page goes away. Gives false while another tab has it; with `steal` the other
 * tab loses it and its `lost` is called. Browsers without locks always give true. */
export async function hold(name: string, steal: boolean, lost: () => void): Promise<boolean> {
  const locks = (navigator as Partial<Navigator>).locks;
  if (!locks) return true;
  // After a reload the page before may hold on for a moment.
  for (let waited = 0; ; waited += EVERY_MS) {
    if (await take(locks, name, steal, lost)) return true;
    if (waited >= PATIENCE_MS) return false;
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

function take(locks: LockManager, name: string, steal: boolean, lost: () => void): Promise<boolean> {
  return new Promise((resolve) => {
    let held = false;
    locks.request(name, steal ? { steal: true } : { ifAvailable: true }, (lock) => {
      held = lock !== null;
      resolve(held);
      return held ? new Promise<void>(() => undefined) : undefined;
    }).catch(() => (held ? lost() : resolve(false)));
  });
}
