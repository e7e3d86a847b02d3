import { describe, expect, test } from "vitest";
import type { Deletion } from "../src/desk/api";
import { OwnRecord } from "../src/screens/youth/ownrecord.svelte";
import { fakeDesk } from "./stand-ins";

const NONE: Deletion = {
  state: "none", asked_at: null, due_at: null, done_at: null, receipt: null, kept: null, days: 7, running: true,
  destroyed: null,
};
const ASKED: Deletion = { ...NONE, state: "asked", asked_at: 1, due_at: 2, receipt: "R", running: false };

describe("one's own record", () => {
  test("a wish ends the case that runs, and can be taken back", async () => {
    const bodies: unknown[] = [];
    const own = new OwnRecord(fakeDesk({
      "GET /cases/mine/deletion": { body: NONE },
      "POST /cases/mine/deletion": (body) => {
        bodies.push(body);
        return { body: ASKED };
      },
      "DELETE /cases/mine/deletion": { body: { ...NONE, running: false } },
    }));
    await own.look();
    own.sure = true;
    await own.ask();
    expect(bodies).toEqual([{ end: true }]);
    expect([own.deletion?.state, own.sure, own.trouble]).toEqual(["asked", false, null]);
    await own.takeBack();
    expect(own.deletion?.state).toBe("none");
  });

  test("what has to be kept says why", async () => {
    let held = false;
    const own = new OwnRecord(fakeDesk({
      "GET /cases/mine/deletion": () => ({ body: { ...NONE, kept: held ? "court" : null } }),
      "POST /cases/mine/deletion": () => {
        held = true;
        return { status: 409, body: { errcode: "JP_MADOGUCHI_KEPT", error: "", reason: "court" } };
      },
    }));
    await own.look();
    await own.ask();
    expect([own.deletion?.kept, own.trouble]).toEqual(["court", null]);
  });

  test("without a connection it says so, and keeps what is known", async () => {
    const own = new OwnRecord(fakeDesk({ "GET /cases/mine/deletion": { body: NONE }, "POST /cases/mine/deletion": "offline" }));
    await own.look();
    await own.ask();
    expect([own.deletion, own.trouble]).toEqual([NONE, "unreachable"]);
  });
});
