import { DeskError } from "../desk/api";
import { t, type Key } from "../i18n/staff";
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

const REASONS: Record<string, Key> = {
  M_LIMIT_EXCEEDED: "reason.wait",
  M_FORBIDDEN: "reason.forbidden",
  M_NOT_FOUND: "reason.gone",
  M_CONFLICT: "reason.conflict",
  M_INVALID_PARAM: "reason.invalid",
  M_BAD_JSON: "reason.invalid",
  M_MISSING_PARAM: "reason.invalid",
  M_TOO_LARGE: "reason.large",
  M_USER_IN_USE: "redeem.inUse",
  M_INVALID_USERNAME: "redeem.invalid",
  M_UNKNOWN_TOKEN: "reason.session",
  JP_MADOGUCHI_ALREADY_TAKEN: "reason.taken",
  JP_MADOGUCHI_KEPT: "reason.kept",
  JP_MADOGUCHI_NOT_ON_ROSTER: "reason.roster",
  JP_MADOGUCHI_MOVED: "reason.moved",
  JP_MADOGUCHI_FULL: "reason.full",
  JP_MADOGUCHI_CLOSED: "reason.closed",
};

/** Why something was refused, in the page's language; what the desk itself says of it stands behind, in English. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof DeskError)) return String(error);
  if (error.status === 0) return t("reason.offline");
  const said = String(error.fields["error"] ?? error.errcode);
  return t(REASONS[error.errcode] ?? (error.status >= 500 ? "reason.broken" : "reason.other"), { said });
}
