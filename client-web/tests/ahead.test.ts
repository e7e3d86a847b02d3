import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FRESH_MS, HeadStart, HOLD_MS } from "../src/matrix/ahead";
import { KEEPER, KEN, ME, ROOM } from "./stand-ins";

const API = "https://desk/_matrix/client/v3";
const FIRST = {
  filter: '{"room":{"timeline":{"limit":50,"unread_thread_notifications":true}}}', timeout: "0", set_presence: "offline",
  "org.matrix.msc4222.use_state_after": "true", _cacheBuster: "1",
};
const DEVICES: Record<string, string[]> = { [ME]: ["ONE", "OLD"], [KEEPER]: ["VAULT"] };
const CLAIM = { [ME]: { OLD: "signed_curve25519" }, [KEEPER]: { VAULT: "signed_curve25519" } };

const member = (state_key: string, membership: string) => ({ type: "m.room.member", state_key, content: { membership } });
const each = (users: object, said: (user: string) => unknown) =>
  Object.fromEntries(Object.keys(users).map((user) => [user, said(user)]));

let asked: string[];
let serial: number;
/** In the place of the server's answer. */
let instead: Map<string, () => Promise<Response>>;
let head: HeadStart;

async function server(resource: RequestInfo | URL, options?: RequestInit): Promise<Response> {
  const { pathname, searchParams } = new URL(String(resource));
  const path = pathname.replace("/_matrix/client/v3", "");
  asked.push(path);
  serial += 1;
  const other = instead.get(path);
  if (other) {
    const given = await Promise.race([other(), new Promise<never>((_resolve, reject) => {
      options?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
    })]);
    return given;
  }
  if (path === "/sync" && searchParams.has("since")) return Response.json({ device_lists: { changed: [KEEPER] } });
  if (path === "/sync") {
    const state = { events: [member(ME, "join"), member(KEN, "join")] };
    const timeline = { events: [member(KEEPER, "join"), member(KEN, "leave")] };
    return Response.json({ serial, rooms: { join: { [ROOM]: { state, timeline } } } });
  }
  const { device_keys, one_time_keys } = JSON.parse(String(options?.body)) as Record<string, Record<string, object>>;
  if (path === "/keys/claim") {
    const claimed = each(one_time_keys ?? {}, (user) => each(one_time_keys?.[user] ?? {}, () => serial));
    return Response.json({ failures: {}, one_time_keys: claimed });
  }
  const of = (user: string) => Object.fromEntries((DEVICES[user] ?? []).map((id) => [id, `${id} ${serial}`]));
  const keys = each(device_keys ?? {}, of);
  return Response.json({ failures: {}, device_keys: keys, master_keys: { [KEEPER]: `master ${serial}` } });
}

const get = async (query: Record<string, string>) =>
  (await head.fetch(`${API}/sync?${new URLSearchParams(query).toString()}`, { method: "GET" })).json();
const post = async (path: string, body: object) =>
  (await head.fetch(API + path, { method: "POST", body: JSON.stringify(body) })).json();
const query = (...users: string[]) =>
  post("/keys/query", { timeout: null, device_keys: Object.fromEntries(users.map((user) => [user, []])) });
const claim = (one_time_keys: object) => post("/keys/claim", { timeout: null, one_time_keys });

function begin(): void {
  head = new HeadStart({ userId: ME, deviceId: "ONE", accessToken: "t1" }, ROOM, server);
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("location", { origin: "https://desk" });
  asked = [];
  serial = 0;
  instead = new Map();
});
afterEach(() => vi.useRealTimers());

describe("a head start", () => {
  it("gives the library the server's own answers, and each of them once", async () => {
    begin();
    expect(await get(FIRST)).toMatchObject({ serial: 1 });
    // In how many questions the library asks for its users is its own affair.
    expect(await query(ME)).toEqual({ device_keys: { [ME]: { ONE: "ONE 2", OLD: "OLD 2" } }, master_keys: {} });
    expect(await query(KEEPER)).toEqual({ device_keys: { [KEEPER]: { VAULT: "VAULT 2" } }, master_keys: { [KEEPER]: "master 2" } });
    expect(asked).toEqual(["/sync", "/keys/query", "/keys/claim"]);
    expect(await query(KEEPER)).toMatchObject({ device_keys: { [KEEPER]: { VAULT: "VAULT 4" } } });
    expect(await claim(CLAIM)).toEqual({ one_time_keys: { [ME]: { OLD: 3 }, [KEEPER]: { VAULT: 3 } } });
    expect(await claim(CLAIM)).toMatchObject({ one_time_keys: { [KEEPER]: { VAULT: 5 } } });
    expect(await get(FIRST)).toMatchObject({ serial: 6 });
  });

  it("counts for nothing where the library asks something else first", async () => {
    begin();
    await vi.advanceTimersByTimeAsync(0);
    expect(await get({ ...FIRST, timeout: "30000" })).toMatchObject({ serial: 4 });
    expect(await query(KEEPER)).toMatchObject({ device_keys: { [KEEPER]: { VAULT: "VAULT 5" } } });
    expect(await claim(CLAIM)).toMatchObject({ one_time_keys: { [KEEPER]: { VAULT: 6 } } });
  });

  it("is no answer about somebody whom it was not asked about", async () => {
    begin();
    await get(FIRST);
    expect(await query(KEEPER, KEN)).toMatchObject({ device_keys: { [KEEPER]: { VAULT: "VAULT 4" }, [KEN]: {} } });
    expect(await claim({ [KEEPER]: { ANOTHER: "signed_curve25519" } })).toMatchObject({ one_time_keys: { [KEEPER]: { ANOTHER: 5 } } });
    // What was claimed too early for these devices is gone with it.
    expect(await claim(CLAIM)).toMatchObject({ one_time_keys: { [KEEPER]: { VAULT: 6 } } });
  });

  it("gives out nothing about those whose keys have changed since", async () => {
    begin();
    await get(FIRST);
    const next = get({ since: "s1" });
    await vi.advanceTimersByTimeAsync(HOLD_MS);
    await next;
    expect(await query(KEEPER)).toMatchObject({ device_keys: { [KEEPER]: { VAULT: "VAULT 5" } } });
    expect(await query(ME)).toMatchObject({ device_keys: { [ME]: { ONE: "ONE 2" } } });
    expect(await claim(CLAIM)).toMatchObject({ one_time_keys: { [KEEPER]: { VAULT: 6 } } });
  });

  it("lets the next sync wait for the keys of the first message, but not for long", async () => {
    const AHEAD = ["/sync", "/keys/query", "/keys/claim"];
    begin();
    await get(FIRST);
    const next = get({ since: "s1" });
    await query(ME, KEEPER);
    await vi.advanceTimersByTimeAsync(HOLD_MS - 1);
    expect(asked).toEqual(AHEAD);
    await claim(CLAIM);
    await next;
    expect(asked).toEqual([...AHEAD, "/sync"]);
  });

  it.each(["/sync", "/keys/query", "/keys/claim"])("that fails at %s is made up for", async (path) => {
    let refused = 0;
    instead.set(path, async () => {
      instead.delete(path);
      refused += 1;
      return new Response("{}", { status: 500 });
    });
    begin();
    await vi.advanceTimersByTimeAsync(0);
    expect(await get(FIRST)).toHaveProperty("rooms");
    expect(await query(ME, KEEPER)).toHaveProperty(["device_keys", KEEPER, "VAULT"]);
    expect(await claim(CLAIM)).toHaveProperty(["one_time_keys", KEEPER, "VAULT"]);
    expect(refused).toBe(1);
    expect(asked.filter((each) => each === path)).toHaveLength(2);
  });

  it("does not pass on what the server could not find out", async () => {
    instead.set("/keys/query", async () => {
      instead.delete("/keys/query");
      return Response.json({ failures: { elsewhere: {} }, device_keys: { [ME]: {}, [KEEPER]: {} } });
    });
    begin();
    await get(FIRST);
    expect(await query(KEEPER)).toMatchObject({ device_keys: { [KEEPER]: { VAULT: "VAULT 3" } } });
  });

  it("is over after a while, whether the server has answered or not", async () => {
    begin();
    await vi.advanceTimersByTimeAsync(FRESH_MS);
    expect(await get(FIRST)).toMatchObject({ serial: 4 });
    expect(await query(KEEPER)).toMatchObject({ device_keys: { [KEEPER]: { VAULT: "VAULT 5" } } });

    instead.set("/sync", () => new Promise(() => undefined));
    begin();
    const waiting = get(FIRST);
    instead.delete("/sync");
    await vi.advanceTimersByTimeAsync(FRESH_MS);
    expect(await waiting).toHaveProperty("rooms");
  });
});
