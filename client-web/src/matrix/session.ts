import type { Session } from "./chat";

export type { Session };

/** Signing in or out was refused, or the server could not be reached (`status` 0). */
export class SignInError extends Error {
  constructor(readonly status: number, readonly errcode: string, readonly retryAfterMs: number | null = null) {
    super(errcode);
  }
}

interface LoginAnswer {
  user_id: string;
  device_id: string;
  access_token: string;
}

/** Signs in with a password on a device of its own: never on an old one, whose keys may be gone.
 *
 * Raises SignInError. Source: Client-Server API, "Login".
 */
export async function signIn(user: string, password: string, deviceName: string): Promise<Session> {
  const answer = await post<LoginAnswer>("/_matrix/client/v3/login", {
    type: "m.login.password",
    identifier: { type: "m.id.user", user },
    password,
    initial_device_display_name: deviceName,
  });
  return {
    userId: answer.user_id,
    deviceId: answer.device_id,
    accessToken: answer.access_token,
    storageKey: newStorageKey(),
  };
}

/** Ends the session on the server. `keepalive`: the request outlives the page. Never raises. */
export async function signOut(session: Session, keepalive = false): Promise<void> {
  try {
    await fetch("/_matrix/client/v3/logout", {
      method: "POST",
      headers: { Authorization: `Bearer ${session.accessToken}`, "Content-Type": "application/json" },
      body: "{}",
      keepalive,
    });
  } catch {
    // Without a connection the server removes the device later; nothing readable stays here either way.
  }
}

/** 32 random bytes, base64. */
export function newStorageKey(): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
}

/** Asks for a key store's removal, all of it at once: whoever leaves fast may not be there to ask for a second part. */
export function removeStore(store: string): void {
  try {
    for (const part of ["matrix-sdk-crypto", "matrix-sdk-crypto-meta"]) indexedDB.deleteDatabase(`${store}::${part}`);
  } catch {
    // A browser without IndexedDB has nothing to remove.
  }
}

/** Removes key stores whose name begins with `prefix`, except `keep`. Never raises. */
export async function removeStores(prefix: string, keep: string | null): Promise<void> {
  try {
    const found = await indexedDB.databases();
    for (const { name } of found) {
      if (name?.startsWith(prefix) && !(keep !== null && name.startsWith(keep))) indexedDB.deleteDatabase(name);
    }
  } catch {
    // A browser without IndexedDB has nothing to remove.
  }
}

async function post<T>(path: string, body: object): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new SignInError(0, "OFFLINE");
  }
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (!response.ok) {
    const wait = typeof answer["retry_after_ms"] === "number" ? answer["retry_after_ms"] : null;
    throw new SignInError(response.status, String(answer["errcode"] ?? "M_UNKNOWN"), wait);
  }
  return answer as T;
}
