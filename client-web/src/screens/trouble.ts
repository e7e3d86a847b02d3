import { DeskError } from "../desk/api";
import type { Key } from "../i18n/staff";
import { SignInError } from "../matrix";

/** Why a sign-in did not work, as a text's key. */
export function signInTrouble(error: unknown): Key {
  const status = error instanceof SignInError || error instanceof DeskError ? error.status : 0;
  if (status === 429) return "signin.wait";
  return status >= 400 && status < 500 ? "signin.wrong" : "signin.offline";
}

/** What the desk says about a refusal, for showing beside our own words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof DeskError)) return String(error);
  return String(error.fields["error"] ?? error.errcode);
}
