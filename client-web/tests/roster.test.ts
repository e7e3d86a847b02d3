import { beforeEach, describe, expect, it, vi } from "vitest";
import { canonical, RosterBook, verifies } from "../src/matrix/roster";

const base64 = (bytes: ArrayBuffer): string => Buffer.from(bytes).toString("base64").replaceAll("=", "");
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const KEN = { user_id: "@ken:desk", name: "健", role: "counsellor", master_key: "kenskey" };

interface Step {
  key: string;
  next: string;
  issued_at: string;
  signature: string;
}

async function operator() {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const key = base64(await crypto.subtle.exportKey("raw", pair.publicKey));
  const sign = async (text: string): Promise<string> => base64(await crypto.subtle.sign("Ed25519", pair.privateKey, bytesOf(text)));
  const issue = async (number: number, more: object = {}): Promise<Record<string, unknown>> => {
    const roster = { desk: "desk", number, issued_at: "2026-11-29T00:00:00Z", key, staff: [KEN], ...more };
    return { ...roster, signature: await sign(canonical(roster)) };
  };
  const handOver = async (next: string): Promise<Step> => {
    const said = { desk: "desk", issued_at: "2026-11-29T00:00:00Z", key, next };
    return { key, next, issued_at: said.issued_at, signature: await sign(canonical(said)) };
  };
  return { key, sign, issue, handOver };
}

let kept: string | null;
let offered: unknown;
beforeEach(() => {
  kept = null;
  offered = null;
});

function book(pinned: string | null): RosterBook {
  const fetch = async (): Promise<unknown> => {
    if (offered === "offline") throw new TypeError("offline");
    return offered;
  };
  return new RosterBook({ pinned: async () => pinned, desk: "desk", memory: { load: () => kept, save: (text) => (kept = text) }, fetch });
}

describe("the roster", () => {
  it("is believed when its operator signed it, and in no other case", async () => {
    const [{ key, issue, sign }, other] = [await operator(), await operator()];
    const good = await issue(3);
    offered = good;
    expect(await book(key).look()).toMatchObject({ kind: "good", number: 3, staff: [{ userId: "@ken:desk", masterKey: "kenskey" }] });
    const lies: unknown[] = [
      { ...good, staff: [{ ...KEN, master_key: "another" }] }, { ...good, number: 4 }, await other.issue(4),
      await issue(4, { desk: "elsewhere" }), { ...good, signature: await sign("{}") }, { ...good, signature: "%" },
      await issue(4, { staff: [{ ...KEN, role: "friend" }] }), "", [],
    ];
    for (const lie of lies) {
      offered = lie;
      expect(await book(key).look()).toEqual({ kind: "bad", fault: "roster_unverified" });
    }
  });

  it("never goes back in this browser, nor does its key change, nor is it hidden again", async () => {
    const [{ key, issue }, other] = [await operator(), await operator()];
    const older = await issue(3);
    offered = await issue(4);
    expect((await book(key).look()).kind).toBe("good");
    offered = older;
    expect(await book(key).look()).toEqual({ kind: "bad", fault: "roster_back" });
    offered = await other.issue(5);
    expect(await book(other.key).look()).toEqual({ kind: "bad", fault: "roster_key" });
    // The page brings no key any more: this browser has one.
    expect(await book(null).look()).toEqual({ kind: "bad", fault: "roster_unverified" });
    offered = null;
    expect(await book(null).look()).toEqual({ kind: "bad", fault: "roster_missing" });
  });

  it("is believed by another key once the one before has signed that, and by no other way", async () => {
    const [first, second, third, other] = [await operator(), await operator(), await operator(), await operator()];
    const steps = [await first.handOver(second.key), await second.handOver(third.key)];
    const forged = [{ ...(await other.handOver(other.key)), key: first.key }];
    offered = await first.issue(1);
    expect((await book(first.key).look()).kind).toBe("good");
    for (const [lie, pinned, fault] of [
      [await third.issue(2), first.key, "roster_unverified"],
      [await third.issue(2, { succession: steps.slice(1) }), first.key, "roster_unverified"],
      [await other.issue(2, { succession: steps }), first.key, "roster_unverified"],
      [await other.issue(2, { succession: forged }), first.key, "roster_unverified"],
      [await other.issue(2, { succession: "lie" }), other.key, "roster_key"],
      // The page brings a key from which nothing follows.
      [await third.issue(2, { succession: steps }), other.key, "roster_key"],
    ] as const) {
      offered = lie;
      expect(await book(pinned).look()).toEqual({ kind: "bad", fault });
    }
    offered = await third.issue(2, { succession: steps });
    expect(await book(first.key).look()).toMatchObject({ kind: "good", number: 2 });
    // The pages bring the new key now, or still the old one; the old one signs nothing any more.
    for (const pinned of [third.key, first.key, null]) expect((await book(pinned).look()).kind).toBe("good");
    offered = await first.issue(3);
    expect(await book(first.key).look()).toEqual({ kind: "bad", fault: "roster_key" });
    expect(await book(null).look()).toEqual({ kind: "bad", fault: "roster_unverified" });
  });

  it("stands while nobody can be reached", async () => {
    const { key, issue } = await operator();
    offered = await issue(1);
    const known = book(key);
    await known.look();
    offered = "offline";
    expect((await known.look()).kind).toBe("good");
    kept = null;
    expect(await book(key).look()).toEqual({ kind: "bad", fault: "roster_unreachable" });
  });

  it("is not there where the desk has none", async () => {
    const none = book(null);
    expect(none.known).toBe(false);
    expect(await none.look()).toEqual({ kind: "none" });
    expect([none.known, none.expected]).toEqual([true, false]);
  });
});

describe("a signature", () => {
  it("is verified by the library alike where the browser can't", async () => {
    const { key, sign } = await operator();
    const signature = await sign("眠れない");
    const refusing = vi.spyOn(crypto.subtle, "importKey").mockRejectedValue(new DOMException("", "NotSupportedError"));
    expect(await verifies(key, signature, bytesOf("眠れない"))).toBe(true);
    expect(await verifies(key, signature, bytesOf("眠れた"))).toBe(false);
    refusing.mockRestore();
    expect(await verifies(key, signature, bytesOf("眠れた"))).toBe(false);
  });

  it("is over canonical JSON", () => {
    expect(canonical({ b: [2, { d: null, c: "窓\n" }], a: true })).toBe('{"a":true,"b":[2,{"c":"窓\\n","d":null}]}');
  });
});
