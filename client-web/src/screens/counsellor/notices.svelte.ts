// Notifications of the browser and a sound, for who wants them: off until chosen, remembered in this browser alone.
// They say that something came, never from whom or what.

export type News = "case" | "reply" | "decision";
/** unsupported: browsers offer none on pages without TLS, and some not at all. */
export type Permission = NotificationPermission | "unsupported";

const QUIET_MS = 3_000;

export interface NoticeSurroundings {
  load: () => string | null;
  save: (text: string) => void;
  permission: () => Permission;
  ask: () => Promise<Permission>;
  show: (news: News) => void;
  /** `wake`: somebody has just pressed something; before that browsers let no page sound. */
  chime: (wake: boolean) => void;
  /** Whether the page is before somebody's eyes. */
  watched: () => boolean;
  clock?: () => number;
}

export class Notices {
  notify = $state(false);
  sound = $state(false);
  permission = $state<Permission>("default");
  private soundedAt = -Infinity;

  constructor(private readonly around: NoticeSurroundings) {
    this.permission = around.permission();
    const chosen = read(around.load());
    // Taken away in the browser's settings meanwhile: then nothing is promised.
    this.notify = chosen.notify && this.permission === "granted";
    this.sound = chosen.sound;
  }

  get watched(): boolean {
    return this.around.watched();
  }

  async setNotify(wanted: boolean): Promise<void> {
    if (wanted && this.permission !== "granted") this.permission = await this.around.ask();
    this.notify = wanted && this.permission === "granted";
    this.keep();
  }

  setSound(wanted: boolean): void {
    this.sound = wanted;
    if (wanted) this.around.chime(true);
    this.keep();
  }

  /** Something came that nobody is looking at. */
  tell(news: News): void {
    const now = (this.around.clock ?? Date.now)();
    if (this.sound && now - this.soundedAt >= QUIET_MS) {
      this.soundedAt = now;
      this.around.chime(false);
    }
    if (this.notify && !this.watched) this.around.show(news);
  }

  private keep(): void {
    this.around.save(JSON.stringify({ notify: this.notify, sound: this.sound }));
  }
}

function read(text: string | null): { notify: boolean; sound: boolean } {
  try {
    const kept = JSON.parse(text ?? "{}") as { notify?: unknown; sound?: unknown } | null;
    return { notify: kept?.notify === true, sound: kept?.sound === true };
  } catch {
    return { notify: false, sound: false };
  }
}
