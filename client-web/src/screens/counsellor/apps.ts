const NAMES: Record<string, string> = { line: "LINE", telegram: "Telegram", web: "Web", matrix: "Matrix" };

/** How people call a channel's app. */
export function appName(channel: string): string {
  return NAMES[channel.split("-")[0] ?? channel] ?? channel;
}

/** Whether people there see reactions: one that its person never sees would only look like an answer. */
export function carriesReactions(channel: string): boolean {
  return channel.split("-")[0] === "telegram";
}

/** A short name for a case that nobody can guess a person from. */
export function caseNumber(caseId: string): string {
  return caseId.slice(-4).toUpperCase();
}
