// The service worker as the page sees it (src/worker), and what the browser offers beside it: a place on the home
// screen, and notices. Without any of it the page works, but only on the line.

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

/** What Chromium gives where a page can be put on the home screen. */
interface InstallEvent extends Event {
  prompt(): Promise<unknown>;
}

/** What a push service knows this browser by. */
export interface Subscription {
  endpoint: string;
  p256dh: string;
  auth: string;
  expires_at: number | null;
}

export class Background {
  /** The browser can put the page on the home screen. */
  installable = $state(false);
  private installing: InstallEvent | null = null;
  private starting: Promise<ServiceWorkerRegistration | null> | null = null;
  private registration: ServiceWorkerRegistration | null = null;
  private left = false;
  private kept: string[] = [];

  private get container(): ServiceWorkerContainer | undefined {
    return (navigator as Partial<Navigator>).serviceWorker;
  }

  /** Nobody is asked unawares whether they want the page on the home screen of a phone that others use, too. */
  awaitOffer(): void {
    addEventListener("beforeinstallprompt", (event) => {
      event.preventDefault();
      this.installing = event as InstallEvent;
      this.installable = true;
    });
  }

  async install(): Promise<void> {
    const { installing } = this;
    this.installing = null;
    this.installable = false;
    await installing?.prompt();
  }

  /** Once the page has what it needs: what the worker keeps then comes from the browser's own store. */
  async start(): Promise<void> {
    this.starting ??= this.register();
    this.registration = await this.starting;
    // Known beforehand: at leaving there is no time to ask.
    if (this.registration) void this.container?.ready.then(async () => (this.kept = await names()));
  }

  /** For leaving fast: takes away what is kept, without waiting for it. The worker outlives the page; should the word
   * not reach it before the page is gone, at least what it kept goes. */
  leave(): void {
    this.left = true;
    const { active, waiting, installing } = this.registration ?? {};
    const worker = this.container?.controller ?? active ?? waiting ?? installing;
    worker?.postMessage(isApp() ? "leave the app" : "leave");
    if (!isApp()) for (const name of this.kept) void caches.delete(name).catch(() => false);
  }

  /** Whether this browser can be told something while the page is closed. */
  get canTell(): boolean {
    return this.container !== undefined && "PushManager" in globalThis && "Notification" in globalThis;
  }

  /** Asks the person, if nobody has yet. */
  async mayTell(): Promise<boolean> {
    return (await Notification.requestPermission()) === "granted";
  }

  /** Whether it is told by now. */
  async isTold(): Promise<boolean> {
    return ((await (await this.known())?.pushManager?.getSubscription()) ?? null) !== null;
  }

  /** Lets the browser be told, by the desk with this key and no other. Raises what the browser raises. */
  async subscribe(key: string): Promise<Subscription> {
    await this.start();
    const registration = this.registration && (await this.container?.ready);
    if (!registration) throw new TypeError("There is no worker.");
    const found = await registration.pushManager.getSubscription();
    if (found && !boundTo(found, key)) await found.unsubscribe();
    return told(await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
  }

  /** The browser is told nothing any more, and what it has shown goes. Never raises. */
  async unsubscribe(): Promise<void> {
    try {
      const registration = await this.known();
      await (await registration?.pushManager?.getSubscription())?.unsubscribe();
      await this.quiet();
    } catch {
      // A browser without push has nothing to give back.
    }
  }

  /** Takes away what was shown: it has been seen. Never raises. */
  async quiet(): Promise<void> {
    try {
      for (const notification of (await (await this.known())?.getNotifications?.()) ?? []) notification.close();
    } catch {
      // Nothing is shown.
    }
  }

  private async known(): Promise<ServiceWorkerRegistration | undefined> {
    return this.registration ?? (await this.container?.getRegistration());
  }

  private async register(): Promise<ServiceWorkerRegistration | null> {
    if (!this.container || this.left) return null;
    try {
      const asked = this.container.register(trusted(ADDRESS), { updateViaCache: "none" });
      // A browser that blocks workers may give nothing at all.
      return ((await asked) as ServiceWorkerRegistration | undefined) ?? null;
    } catch {
      // No worker: a private window, or the server is down.
      return null;
    }
  }
}

/** Whether the page was opened from the home screen. */
export function isApp(): boolean {
  return matchMedia("(display-mode: standalone)").matches || (navigator as { standalone?: boolean }).standalone === true;
}

/** An iPhone or iPad whose browser tells nothing, but would from the home screen. */
export function tellsFromHomeScreen(): boolean {
  return "standalone" in navigator && !isApp();
}

/** What the worker keeps its builds under. */
async function names(): Promise<string[]> {
  try {
    return await caches.keys();
  } catch {
    return [];
  }
}

function boundTo(subscription: PushSubscription, key: string): boolean {
  const bound = subscription.options.applicationServerKey;
  if (!bound) return false;
  const bytes = [...new Uint8Array(bound)].map((byte) => String.fromCharCode(byte)).join("");
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "") === key;
}

function told(subscription: PushSubscription): Subscription {
  const { endpoint, expirationTime, keys } = subscription.toJSON();
  return {
    endpoint: endpoint ?? "",
    p256dh: keys?.["p256dh"] ?? "",
    auth: keys?.["auth"] ?? "",
    expires_at: expirationTime ?? null,
  };
}
