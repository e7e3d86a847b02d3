import type { SentFile } from "../../matrix/chat";
import type { FileKey } from "./keys";

/** What a file is called by its kind. */
export function kindOf({ plays }: Pick<SentFile, "plays">): FileKey {
  return plays === null ? "file" : `file.${plays}`;
}

// How large a file is, in words: one digit that matters is enough to decide whether to fetch it.
const STEP = 1024;

/** `bytes` as it is commonly said: "0.5 KB", "12 MB". */
export function sizeOf(bytes: number): string {
  const inKB = bytes / STEP;
  const [value, unit] = inKB < STEP ? [inKB, "KB"] : [inKB / STEP, "MB"];
  return `${value < 10 ? Math.max(0.1, Math.round(value * 10) / 10) : Math.round(value)} ${unit}`;
}
