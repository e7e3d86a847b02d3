import { describe, expect, it, vi } from "vitest";
import { type Evidence, NotSafe } from "../src/matrix/chat";
import { Conversation } from "../src/screens/conversation/conversation.svelte";
import { colourOf, STANDS_MS } from "../src/screens/conversation/evidence";
import { FakeChat, KEEPER, KEN, ME, ROOM, roomWith } from "./stand-ins";

const PEOPLE: Evidence["people"] = [
  { userId: ME, standing: "self", role: null }, { userId: KEN, standing: "roster", role: "counsellor" },
  { userId: KEEPER, standing: "roster", role: "keeper" },
];
const SURE: Evidence = {
  roster: { kind: "good", number: 1, issuedAt: "2026-11-29T00:00:00Z", staff: [] },
  people: PEOPLE, leftOut: [], fault: null,
};
const BROKEN: Evidence = { ...SURE, fault: { kind: "identity", about: KEN } };

describe("the lock", () => {
  it("is sure only when everything is: encrypted, a roster, no app in between", () => {
    expect(colourOf(roomWith([], { evidence: SURE }), false)).toBe("sure");
    expect(colourOf(roomWith([], { evidence: SURE }), true)).toBe("unsure");
    expect(colourOf(roomWith([], { evidence: SURE, encrypted: false }), false)).toBe("unsure");
    expect(colourOf(roomWith([], { evidence: { ...SURE, roster: { kind: "none" } } }), false)).toBe("unsure");
    expect(colourOf(roomWith([], { evidence: null }), false)).toBe("unsure");
    expect(colourOf(roomWith([], { evidence: { ...SURE, leftOut: [KEN] } }), false)).toBe("unsure");
    expect(colourOf(roomWith([], { evidence: BROKEN }), false)).toBe("refused");
  });

  it("tells once of a device that nobody signed, if it stays, and goes on sending to the others", async () => {
    vi.useFakeTimers();
    const told: unknown[] = [];
    const chat = new FakeChat();
    const conversation = new Conversation({ roomId: ROOM, onfault: (fault) => told.push(fault) });
    const added: Evidence = { ...SURE, leftOut: [KEN] };
    chat.rooms.set(ROOM, roomWith([], { evidence: SURE }));
    conversation.attach(chat);
    // Whoever signs in somewhere has a device a moment before they have signed it.
    for (const [evidence, for_ms] of [[added, STANDS_MS / 2], [SURE, STANDS_MS], [added, STANDS_MS / 2]] as const) {
      chat.shows(roomWith([], { evidence }));
      await vi.advanceTimersByTimeAsync(for_ms);
    }
    expect(told).toEqual([]);
    chat.shows(roomWith([], { evidence: { ...added, people: [] } }));
    await vi.advanceTimersByTimeAsync(STANDS_MS);
    chat.shows(roomWith([], { evidence: SURE }));
    chat.shows(roomWith([], { evidence: added }));
    await vi.advanceTimersByTimeAsync(STANDS_MS);
    expect(told).toEqual([{ kind: "device", about: KEN }]);
    expect(conversation.fault).toBeNull();
    conversation.text = "眠れない";
    conversation.send();
    await vi.advanceTimersByTimeAsync(1);
    expect(chat.words).toEqual(["眠れない"]);
    conversation.detach();
    vi.useRealTimers();
  });

  it("tells why nothing is sent once that stands, holds what is written, and sends it when it is mended", async () => {
    vi.useFakeTimers();
    const told: unknown[] = [];
    const chat = new FakeChat();
    let safe = false;
    chat.sending = async (_what, txn) => {
      if (!safe) throw new NotSafe({ kind: "identity", about: KEN });
      return "$of-" + txn;
    };
    const conversation = new Conversation({ roomId: ROOM, onfault: (fault) => told.push(fault) });
    chat.rooms.set(ROOM, roomWith([], { evidence: BROKEN }));
    conversation.attach(chat);
    conversation.text = "眠れない";
    conversation.send();
    await vi.advanceTimersByTimeAsync(STANDS_MS / 2);
    expect(conversation.fault).toBeNull();
    await vi.advanceTimersByTimeAsync(STANDS_MS);
    expect(conversation.fault).toEqual({ kind: "identity", about: KEN });
    expect(conversation.drafts).toHaveLength(1);
    expect(chat.sent).toEqual([]);
    safe = true;
    chat.shows(roomWith([], { evidence: SURE }));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(conversation.fault).toBeNull();
    expect(chat.words).toEqual(["眠れない"]);
    // It breaks again: known already.
    chat.shows(roomWith([], { evidence: BROKEN }));
    await vi.advanceTimersByTimeAsync(STANDS_MS);
    expect(conversation.fault?.kind).toBe("identity");
    expect(told).toEqual([{ kind: "identity", about: KEN }]);
    conversation.detach();
    vi.useRealTimers();
  });
});
