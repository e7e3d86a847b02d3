import { DeskError } from "../desk/api";
import type { Key } from "../i18n/staff";
import { SignInError } from "../matrix";

/** Why a sign-in did not work, as a text's key. */
export function signInTrouble(error: unknown): Key {
  const status = error instanceof SignInError || error instanceof DeskError ? error.status : 0;
  if (status === 429) return "signin.wait";
  return status >= 400 && status < 500 ? "signin.wrong" : "signin.offline";
}

/** Why a one-time link was not taken, as a text's key; `used`: what to say of one that is good no more. */
export function redeemTrouble(error: unknown, used: Key): Key {
  if (!(error instanceof DeskError) || error.status === 0) return "signin.offline";
  const known: Record<string, Key> = {
    M_FORBIDDEN: used,
    M_USER_IN_USE: "redeem.inUse",
    M_WEAK_PASSWORD: "redeem.weak",
    M_INVALID_USERNAME: "redeem.invalid",
    M_INVALID_PARAM: "redeem.invalid",
    M_LIMIT_EXCEEDED: "signin.wait",
  };
  return known[error.errcode] ?? "queue.failed";
}

/** What the desk says about a refusal, for showing beside our own words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof DeskError)) return String(error);
  return String(error.fields["error"] ?? error.errcode);
}
