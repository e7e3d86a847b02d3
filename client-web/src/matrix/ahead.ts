// What a new device's first message needs of the server is asked while the encryption is still on its way.
//
// It is what the library would ask, in its order: how the room stands, then the keys of everybody in it, then a
// one-time key of each of their devices. The server's own answers wait here until the library asks the same, go through
// all its checks then, and are given out once. Whose keys change after the first answer is told by the next sync, which
// goes on from there: nothing that was heard of them before is given out any more (Client-Server API, "Tracking the
// device list for a user"). Whatever fails, does not fit or is not wanted in time is asked by the library, as ever.
import { canonical, mapping } from "./roster";

type Fetch = typeof globalThis.fetch;
type Json = Record<string, unknown>;

const API = "/_matrix/client/v3";
const CHANGES = "org.matrix.msc4222.use_state_after";
const STATE_AFTER = "org.matrix.msc4222.state_after";
/** How many lines of a room come with the first sync. */
export const FIRST_LINES = 50;
/** How long an answer may wait. */
export const FRESH_MS = 60_000;
/** How long the library's second sync waits at most. */
export const HOLD_MS = 3_000;

export interface NewDevice {
  userId: string;
  deviceId: string;
  accessToken: string;
}

/** One question about several users with its answer, by user. */
type ByUser = Map<string, { asked: unknown; said: Record<string, Json> }>;

export class HeadStart {
  private readonly end = new AbortController();
  private readonly changed = new Set<string>();
  private state: Promise<Json> | null;
  private keys: Promise<ByUser> | null;
  private claims: Promise<ByUser> | null;
  /** The library goes on from our sync. */
  private followed = false;

  /** Asks at once; `room`: into which the first message goes. */
  constructor(
    private readonly device: NewDevice,
    room: string,
    private readonly line: Fetch = (...asked) => fetch(...asked),
  ) {
    setTimeout(() => this.stop(), FRESH_MS);
    const state = this.ask("GET", "/sync?" + new URLSearchParams(QUESTION).toString());
    const keys = state.then((said) => {
      const device_keys = Object.fromEntries([device.userId, ...peopleIn(said, room)].map((user) => [user, []]));
      return this.askOfEach("/keys/query", "device_keys", device_keys);
    });
    const claims = keys.then((found) => this.askOfEach("/keys/claim", "one_time_keys", this.devicesIn(found)));
    [this.state, this.keys, this.claims] = [state, keys, claims];
    for (const each of [state, keys, claims]) each.catch(() => undefined);
  }

  /** In the place of the browser's own `fetch`. */
  readonly fetch: Fetch = async (resource, options) => {
    if (this.end.signal.aborted) return this.line(resource, options);
    const { pathname, searchParams } = new URL(resource instanceof Request ? resource.url : resource);
    const known = await this.known(`${options?.method} ${pathname}`, searchParams, options?.body).catch(() => null);
    if (known) return new Response(JSON.stringify(known), { headers: { "Content-Type": "application/json" } });
    // What it would tell first is that this device is new. To ask for its own keys again would hold the message up.
    if (pathname === API + "/sync" && !this.end.signal.aborted) await this.over(HOLD_MS);
    const answer = await this.line(resource, options);
    if (pathname === API + "/sync" && answer.ok) await this.hear(answer.clone());
    return answer;
  };

  /** Forgets what has not been given out. */
  stop(): void {
    this.end.abort();
    this.state = this.keys = this.claims = null;
  }

  private async known(what: string, query: URLSearchParams, body: unknown): Promise<Json | null> {
    if (what === `GET ${API}/sync` && !query.has("since")) {
      const { state } = this;
      this.state = null;
      const said = isTheSame(query) ? await state?.catch(() => null) : null;
      this.followed = said != null;
      // What was asked after our sync says nothing about the time until another one.
      if (!said) this.stop();
      return said ?? null;
    }
    if (!this.followed || typeof body !== "string") return null;
    if (what === `POST ${API}/keys/query`) return this.take(await this.keys, mapping(JSON.parse(body))["device_keys"]);
    if (what !== `POST ${API}/keys/claim`) return null;
    const claimed = this.take(await this.claims, mapping(JSON.parse(body))["one_time_keys"]);
    // The last that is asked before the first message: what is left was not wanted.
    this.stop();
    return claimed;
  }

  // All that was said about these users, or nothing: the library asks once for all of them.
  private take(from: ByUser | null, wanted: unknown): Json | null {
    const users = Object.entries(mapping(wanted));
    const fits = ([user, asked]: [string, unknown]): boolean => {
      const found = from?.get(user);
      return found !== undefined && !this.changed.has(user) && canonical(found.asked) === canonical(asked);
    };
    if (users.length === 0 || !users.every(fits)) return null;
    const given: Record<string, Json> = {};
    for (const [user] of users) {
      const about = from?.get(user)?.said ?? {};
      for (const [field, said] of Object.entries(about)) given[field] = { ...given[field], ...said };
      from?.delete(user);
    }
    return given;
  }

  private over(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.end.signal.addEventListener("abort", () => resolve());
      setTimeout(resolve, withinMs);
    });
  }

  private async hear(answer: Response): Promise<void> {
    const said = mapping(await answer.json().catch(() => null));
    for (const user of list(mapping(said["device_lists"])["changed"])) this.changed.add(String(user));
  }

  private async ask(method: string, path: string, body?: Json): Promise<Json> {
    const answer = await this.line(location.origin + API + path, {
      method,
      headers: { Authorization: `Bearer ${this.device.accessToken}`, "Content-Type": "application/json" },
      signal: this.end.signal,
      credentials: "omit",
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (!answer.ok) throw new Error("Asked too early.");
    return mapping(await answer.json());
  }

  private async askOfEach(path: string, name: string, asked: Json): Promise<ByUser> {
    if (Object.keys(asked).length === 0) return new Map();
    const { failures, ...answer } = await this.ask("POST", path, { [name]: asked });
    if (Object.keys(mapping(failures)).length > 0) throw new Error("Not everybody was reached.");
    const saidOf = (user: string): Record<string, Json> =>
      Object.fromEntries(Object.entries(answer).map(([field, said]) => {
        const found = mapping(said);
        return [field, user in found ? { [user]: found[user] } : {}];
      }));
    return new Map(Object.entries(asked).map(([user, how]) => [user, { asked: how, said: saidOf(user) }]));
  }

  private devicesIn(found: ByUser): Json {
    const wanted: Json = {};
    for (const [user, { said }] of found) {
      const devices = Object.keys(mapping(said["device_keys"]?.[user])).filter((id) => id !== this.device.deviceId);
      if (devices.length > 0) wanted[user] = Object.fromEntries(devices.map((id) => [id, "signed_curve25519"]));
    }
    return wanted;
  }
}

// The library's first sync, but for what it adds against stale copies.
const QUESTION: Record<string, string> = {
  filter: JSON.stringify({ room: { timeline: { unread_thread_notifications: true, limit: FIRST_LINES } } }),
  timeout: "0",
  [CHANGES]: "true",
  set_presence: "offline",
};

function isTheSame(query: URLSearchParams): boolean {
  return meaningOf(query) === meaningOf(new URLSearchParams(QUESTION));
}

function meaningOf(query: URLSearchParams): string {
  const asked: Json = Object.fromEntries(query);
  delete asked["_cacheBuster"];
  return canonical({ ...asked, filter: JSON.parse(String(asked["filter"])) });
}

/** Who is in a room, or invited, by a sync's answer. */
function peopleIn(said: Json, roomId: string): string[] {
  const room = mapping(mapping(mapping(said["rooms"])["join"])[roomId]);
  const memberships = new Map<string, unknown>();
  for (const part of ["state", "timeline", "state_after", STATE_AFTER]) {
    for (const event of list(mapping(room[part])["events"]).map(mapping)) {
      if (event["type"] !== "m.room.member") continue;
      memberships.set(String(event["state_key"]), mapping(event["content"])["membership"]);
    }
  }
  return [...memberships].filter(([, how]) => how === "join" || how === "invite").map(([user]) => user);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
