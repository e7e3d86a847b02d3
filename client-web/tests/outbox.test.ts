import { describe, expect, test } from "vitest";
import { NotSent, type Outgoing } from "../src/matrix/chat";
import { type Draft, Outbox } from "../src/screens/conversation/outbox.svelte";
import { settled } from "./stand-ins";

type Send = (what: Outgoing, txn: string) => Promise<string>;

const text = (body: string): Outgoing => ({ kind: "text", body });
const bodyOf = (what: Outgoing): string => (what.kind === "text" ? what.body : what.kind);

function outbox(send: Send, more: { kept?: readonly Draft[]; keep?: (drafts: readonly Draft[]) => void } = {}): Outbox {
  let next = 0;
  const pause = (): Promise<void> => Promise.resolve();
  return new Outbox({ send, newTxn: () => `t${++next}`, clock: () => 0, pause, ...more });
}

describe("what a person writes", () => {
  test("waits until the keys are ready, then goes out in order", async () => {
    const sent: string[] = [];
    const box = outbox(async (what) => "$" + sent.push(bodyOf(what)));
    box.add(text("one"));
    box.add(text("two"));
    await settled();
    expect(sent).toEqual([]);
    box.setReady(true);
    await settled();
    expect(sent).toEqual(["one", "two"]);
    expect(box.drafts.map((draft) => draft.state)).toEqual(["sent", "sent"]);
  });

  test("is tried again with the same transaction id until it is accepted", async () => {
    const txns: string[] = [];
    const box = outbox(async (_what, txn) => {
      txns.push(txn);
      if (txns.length < 4) throw new NotSent(false);
      return "$1";
    });
    box.setReady(true);
    box.add(text("眠れない"));
    await settled();
    expect(txns).toEqual(["t1", "t1", "t1", "t1"]);
    expect(box.drafts[0]?.state).toBe("sent");
  });

  test("is shown as refused when trying again cannot help, and does not stop what comes after", async () => {
    const box = outbox(async (what) => {
      if (bodyOf(what) === "bad") throw new NotSent(true);
      return "$1";
    });
    box.setReady(true);
    box.add(text("bad"));
    box.add(text("good"));
    await settled();
    expect(box.drafts.map((draft) => draft.state)).toEqual(["refused", "sent"]);
    box.discard("t1");
    expect(box.drafts.map(({ what }) => bodyOf(what))).toEqual(["good"]);
  });

  test("is still there after a reload, and goes out with its old transaction id", async () => {
    let kept: readonly Draft[] = [];
    const before = outbox(() => new Promise(() => undefined), { keep: (drafts) => (kept = drafts) });
    before.setReady(true);
    before.add(text("まだ"));
    await settled();
    expect(kept[0]?.state).toBe("sending");
    const txns: string[] = [];
    const after = outbox(async (_what, txn) => "$" + txns.push(txn), { kept });
    after.setReady(true);
    await settled();
    expect(txns).toEqual(["t1"]);
  });

  test("is not lost when the page was upgraded meanwhile", async () => {
    const rest = { at: 0, state: "waiting", eventId: null } as const;
    const picture = { data: "AAAA", width: 1, height: 1, size: 3 };
    const old = [{ txn: "o1", body: "まだ", ...rest }, { txn: "o2", body: "", picture, ...rest }];
    const sent: Outgoing[] = [];
    const box = outbox(async (what) => "$" + sent.push(what), { kept: old as unknown as Draft[] });
    box.setReady(true);
    await settled();
    expect(sent).toEqual([text("まだ"), { kind: "picture", picture }]);
  });

  test("leaves the outbox once the conversation shows it", async () => {
    let kept: readonly Draft[] | null = null;
    const box = outbox(async () => "$1", { keep: (drafts) => (kept = drafts) });
    box.setReady(true);
    box.add(text("here"));
    await settled();
    box.settle((draft) => draft.eventId === "$1");
    expect(box.drafts).toEqual([]);
    expect(kept).toEqual([]);
  });

  test("waits for as long as the server asks", async () => {
    const pauses: number[] = [];
    let tries = 0;
    const box = new Outbox({
      send: async () => {
        tries += 1;
        if (tries === 1) throw new NotSent(false, 7_000);
        return "$1";
      },
      pause: async (ms) => void pauses.push(ms),
    });
    box.setReady(true);
    box.add(text("slowly"));
    await settled();
    expect(pauses).toEqual([7_000]);
  });
});
