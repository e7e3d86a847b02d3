const NAMES: Record<string, string> = { line: "LINE", telegram: "Telegram", web: "Web", matrix: "Matrix" };

/** How people call a channel's app. */
export function appName(channel: string): string {
  return NAMES[channel.split("-")[0] ?? channel] ?? channel;
}

/** A short name for a case that nobody can guess a person from. */
export function caseNumber(caseId: string): string {
  return caseId.slice(-4).toUpperCase();
}
