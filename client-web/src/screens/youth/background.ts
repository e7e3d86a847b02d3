// The service worker as the page sees it (src/worker). Without one everything works, but only on the line.

const ADDRESS = "/sw.js";

/** The one address that may become a worker; the page's policy refuses every other (Trusted Types). */
function trusted(address: string): string {
  const types = (window as { trustedTypes?: TrustedTypes }).trustedTypes;
  if (!types) return address;
  const policy = types.createPolicy("madoguchi-worker", {
    createScriptURL: (asked) => {
      if (asked !== ADDRESS) throw new TypeError("This is not the page's worker.");
      return asked;
    },
  });
  return policy.createScriptURL(address);
}

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL: (address: string) => string }): {
    createScriptURL: (address: string) => string;
  };
}

export class Background {
  private registration: ServiceWorkerRegistration | null = null;
  private left = false;

  private get container(): ServiceWorkerContainer | undefined {
    return (navigator as Partial<Navigator>).serviceWorker;
  }

  /** Once the page has what it needs: what the worker keeps then comes from the browser's own store. */
  async start(): Promise<void> {
    if (!this.container || this.left) return;
    try {
      const asked = this.container.register(trusted(ADDRESS), { updateViaCache: "none" });
      // A browser that blocks workers may give nothing at all.
      this.registration = ((await asked) as ServiceWorkerRegistration | undefined) ?? null;
    } catch {
      // No worker: a private window, or the server is down.
    }
  }

  /** For leaving fast: takes away what is kept, without waiting for it. The worker outlives the page. */
  leave(): void {
    this.left = true;
    const { active, waiting, installing } = this.registration ?? {};
    const worker = this.container?.controller ?? active ?? waiting ?? installing;
    worker?.postMessage(isApp() ? "leave the app" : "leave");
  }
}

/** Whether the page was opened from the home screen. */
export function isApp(): boolean {
  return matchMedia("(display-mode: standalone)").matches || (navigator as { standalone?: boolean }).standalone === true;
}
