// What opens an account of a messaging app, as the bridges read it (core/desk/app_accounts.py).

export const APPS = ["line", "telegram"] as const;
export type App = (typeof APPS)[number];
/** As @BotFather gives them. */
export const BOT_TOKEN = "\\d+:[A-Za-z0-9_\\-]{20,}";

/** As it is given in; "" is nothing. `secret`, `lineChannelId`: LINE's; `token`: LINE's, or the Telegram bot's. */
export interface GivenAccount {
  secret: string;
  token: string;
  lineChannelId: string;
}

/** polls: whether a Telegram bot has to ask for news. */
export function opening(app: App, given: GivenAccount, polls: boolean): Record<string, string> {
  const [secret, token, lineChannelId] = [given.secret.trim(), given.token.trim(), given.lineChannelId.trim()];
  if (app === "telegram") return { bot_token: token, ...(polls ? {} : { webhook_secret: randomHex() }) };
  return {
    channel_secret: secret,
    ...(lineChannelId === "" ? {} : { channel_id: lineChannelId }),
    ...(token === "" ? {} : { access_token: token }),
  };
}

function randomHex(): string {
  return [...crypto.getRandomValues(new Uint8Array(32))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
