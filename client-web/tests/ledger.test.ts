import { expect, test } from "vitest";
import { LedgerModel } from "../src/screens/admin/ledger.svelte";
import { Desk, DeskError, type LedgerSeen } from "../src/desk/api";

function seen(seq: number, drift: number): LedgerSeen {
  const change = { kind: "added", kind_name: "new", section: "s", about: "a", before: [], after: [], matters: true } as const;
  return {
    seq, day: "2026-11-29", sections: [], signature: "s", public_key: "k", drift: Array(drift).fill(change),
    days: [{ seq, day: "2026-11-29", at: 1, changes: drift }],
  };
}

class Stage extends Desk {
  left = 2;
  known = false;
  acknowledged: number[] = [];

  override async ledger(): Promise<LedgerSeen> {
    if (!this.known) throw new DeskError(404, "M_NOT_FOUND", {});
    return seen(7, this.left);
  }

  override async acknowledgeLedger(seq: number): Promise<unknown> {
    this.acknowledged.push(seq);
    this.left = 0;
    return {};
  }
}

test("before the first night there is none; drift stands until somebody says that they have looked", async () => {
  const desk = new Stage();
  const model = new LedgerModel(desk);
  await model.look("ja");
  expect([model.none, model.trouble]).toEqual([true, null]);
  await model.acknowledge("ja");
  expect(desk.acknowledged).toEqual([]);
  desk.known = true;
  await model.look("ja");
  expect([model.none, model.seen?.drift.length]).toEqual([false, 2]);
  await model.acknowledge("ja");
  expect([desk.acknowledged, model.seen?.drift.length]).toEqual([[7], 0]);
  // What is refused later is a trouble, and what was shown stays.
  desk.known = false;
  await model.look("ja", "2026-11-28");
  expect([model.none, model.trouble, model.seen?.seq]).toEqual([false, expect.stringContaining("(M_NOT_FOUND)"), 7]);
});
