// A member of staff keeps their identity at every workplace: its keys lie in the account, sealed under six words that
// the server is never told. (It sees the password when it is typed: what that opens, whoever controls it could open.)
// A workplace that had the words once keeps them sealed under the password, so that there the password does.
import type { Chat } from "../../matrix";
import { canSeal, seal, unseal } from "../sealed";

const BOX = "jp.madoguchi.identity";

export interface IdentitySurroundings {
  /** Small things that stay in this browser, by name. */
  local: { load: (name: string) => string | null; save: (name: string, text: string | null) => void };
  /** 32 bytes, base64, of a password of an account, for one use. */
  keyOfPassword: (password: string, userId: string, use: string) => Promise<string>;
  phrase: () => Promise<Pick<typeof import("../youth/phrase"), "newPhrase" | "wordsOf" | "unknownIn">>;
  language: () => "ja" | "en";
  /** Keeps in this browser the words that nobody has written down yet; null once somebody has. */
  keepUnwritten: (words: readonly string[] | null) => void;
}

export class StaffIdentity {
  /** To be written down: until then they stay in this browser. */
  unwritten = $state.raw<readonly string[] | null>(null);
  /** The identity is sealed, and this browser does not know its words. `password`: one was given, so that a new
   * identity could be made. */
  asked = $state.raw<{ password: boolean } | null>(null);
  working = $state(false);
  wrong = $state(false);
  failed = $state(false);
  /** The identity is new in this session: the roster does not know it. */
  renewed = $state(false);
  private answer: { found: (secret: string | null) => void; stop: () => void } | null = null;

  constructor(private readonly around: IdentitySurroundings) {}

  /** Gives once this device is signed by the account's identity. `unwritten`: as kept in this browser. Raises what the
   * server refuses, and when it was given up. */
  async settle(chat: Chat, password: string | null, unwritten: readonly string[] | null): Promise<void> {
    this.unwritten = unwritten;
    if (!canSeal()) return chat.crossSign(password);
    const state = await chat.identityState();
    if (state === "here") await this.makeWords((words) => chat.keepIdentity(words), chat, password);
    else if (state === "none" || state === "lost") await this.renew(chat, password, state === "lost");
    else if (state === "sealed") await this.open(chat, password);
  }

  /** What somebody typed: the six words, or the recovery key of another client. */
  give(secret: string): void {
    if (!this.working && secret.trim() !== "") this.answer?.found(secret);
  }

  /** Nobody has the words any more. */
  giveUp(): void {
    if (!this.working && this.asked?.password) this.answer?.found(null);
  }

  /** They have been written down. */
  written(): void {
    this.unwritten = null;
    this.around.keepUnwritten(null);
  }

  forget(): void {
    this.answer?.stop();
    this.answer = null;
    this.asked = null;
    this.unwritten = null;
    this.working = this.wrong = this.failed = this.renewed = false;
  }

  private async open(chat: Chat, password: string | null): Promise<void> {
    const kept = await this.fromBox(chat.userId, password);
    if (kept !== null && (await chat.openIdentity(kept))) return;
    this.asked = { password: password !== null };
    try {
      for (;;) {
        const secret = await new Promise<string | null>((found, reject) => {
          this.answer = { found, stop: () => reject(new Error("Nobody waits for it any more.")) };
        });
        if (await this.attempt(chat, password, secret)) return;
      }
    } finally {
      this.asked = null;
      this.answer = null;
    }
  }

  private async attempt(chat: Chat, password: string | null, secret: string | null): Promise<boolean> {
    this.working = true;
    this.wrong = this.failed = false;
    try {
      if (secret === null) {
        await this.renew(chat, password, true);
        return true;
      }
      const { wordsOf, unknownIn } = await this.around.phrase();
      const words = wordsOf(secret);
      const plain = words.length > 1 && unknownIn(words).length === 0 ? words.join(" ") : secret.trim();
      this.wrong = !(await chat.openIdentity(plain));
      if (!this.wrong) void this.intoBox(chat.userId, password, plain);
      return !this.wrong;
    } catch {
      this.failed = true;
      return false;
    } finally {
      this.working = false;
    }
  }

  private async renew(chat: Chat, password: string | null, known: boolean): Promise<void> {
    await this.makeWords((words) => chat.renewIdentity(words, password), chat, password);
    this.renewed = known;
  }

  private async makeWords(make: (words: string) => Promise<void>, chat: Chat, password: string | null): Promise<void> {
    const words = (await this.around.phrase()).newPhrase(this.around.language());
    await make(words.join(" "));
    this.unwritten = words;
    this.around.keepUnwritten(words);
    void this.intoBox(chat.userId, password, words.join(" "));
  }

  private async fromBox(userId: string, password: string | null): Promise<string | null> {
    const box = this.around.local.load(`${BOX} ${userId}`);
    if (box === null || password === null) return null;
    try {
      const secret = await unseal(await this.around.keyOfPassword(password, userId, BOX), BOX, box);
      return typeof secret === "string" ? secret : null;
    } catch {
      // Sealed under another password.
      return null;
    }
  }

  private async intoBox(userId: string, password: string | null, secret: string): Promise<void> {
    if (password === null) return;
    try {
      const key = await this.around.keyOfPassword(password, userId, BOX);
      this.around.local.save(`${BOX} ${userId}`, await seal(key, BOX, secret));
    } catch {
      // At the next sign-in here the words are asked for.
    }
  }
}
