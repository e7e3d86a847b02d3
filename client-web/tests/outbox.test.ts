import { describe, expect, test } from "vitest";
import { NotSent } from "../src/matrix/chat";
import { type Draft, Outbox } from "../src/screens/conversation/outbox.svelte";
import { settled } from "./stand-ins";

type Send = (body: string, txn: string) => Promise<string>;

function outbox(send: Send, more: { kept?: readonly Draft[]; keep?: (drafts: readonly Draft[]) => void } = {}): Outbox {
  let next = 0;
  const pause = (): Promise<void> => Promise.resolve();
  return new Outbox({ send, newTxn: () => `t${++next}`, clock: () => 0, pause, ...more });
}

describe("what a person writes", () => {
  test("waits until the keys are ready, then goes out in order", async () => {
    const sent: string[] = [];
    const box = outbox(async (body) => "$" + sent.push(body));
    box.add("one");
    box.add("two");
    await settled();
    expect(sent).toEqual([]);
    box.setReady(true);
    await settled();
    expect(sent).toEqual(["one", "two"]);
    expect(box.drafts.map((draft) => draft.state)).toEqual(["sent", "sent"]);
  });

  test("is tried again with the same transaction id until it is accepted", async () => {
    const txns: string[] = [];
    const box = outbox(async (_body, txn) => {
      txns.push(txn);
      if (txns.length < 4) throw new NotSent(false);
      return "$1";
    });
    box.setReady(true);
    box.add("眠れない");
    await settled();
    expect(txns).toEqual(["t1", "t1", "t1", "t1"]);
    expect(box.drafts[0]?.state).toBe("sent");
  });

  test("is shown as refused when trying again cannot help, and does not stop what comes after", async () => {
    const box = outbox(async (body) => {
      if (body === "bad") throw new NotSent(true);
      return "$1";
    });
    box.setReady(true);
    box.add("bad");
    box.add("good");
    await settled();
    expect(box.drafts.map((draft) => draft.state)).toEqual(["refused", "sent"]);
    box.discard("t1");
    expect(box.drafts.map((draft) => draft.body)).toEqual(["good"]);
  });

  test("is still there after a reload, and goes out with its old transaction id", async () => {
    let kept: readonly Draft[] = [];
    const before = outbox(() => new Promise(() => undefined), { keep: (drafts) => (kept = drafts) });
    before.setReady(true);
    before.add("まだ");
    await settled();
    expect(kept[0]?.state).toBe("sending");
    const txns: string[] = [];
    const after = outbox(async (_body, txn) => "$" + txns.push(txn), { kept });
    after.setReady(true);
    await settled();
    expect(txns).toEqual(["t1"]);
  });

  test("leaves the outbox once the conversation shows it", async () => {
    let kept: readonly Draft[] | null = null;
    const box = outbox(async () => "$1", { keep: (drafts) => (kept = drafts) });
    box.setReady(true);
    box.add("here");
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
    box.add("slowly");
    await settled();
    expect(pauses).toEqual([7_000]);
  });
});
