import { describe, expect, test } from "vitest";
import { DeskError, type Disclosure, type Identity } from "../src/desk/api";
import { Disclosures, type Requests } from "../src/screens/disclosures/disclosures.svelte";
import { factsOf, stampOf } from "../src/screens/disclosures/facts";

const REQUEST: Disclosure = {
  id: "d", case_id: "c", kind: "life_at_risk", state: "asked", reason: "r", reference: "", side_room: false,
  asked_by: { id: "@ken:x", name: "健" }, asked_at: 0, ends_at: 1, decided_by: null, decided_at: null, handover: null,
  refusal: null, opened_at: null, done_at: null, may_decide: true, may_withdraw: false, may_look: false,
  may_finish: false,
};
const IDENTITY: Identity = {
  desk: "窓口", case_id: "c", channel: "web", state: "talking", user_id: "@a:x", since: 0, arrived_at: 0, seen_at: null,
  said_at: null, names: [], known: null, addresses: [], apps: [], ends_at: 1,
};

function desk(answers: Partial<Requests>): Requests {
  const nothing = (): Promise<never> => Promise.reject(new Error("not asked for"));
  return {
    disclosures: () => Promise.resolve([REQUEST]), askForCourt: nothing, askWho: nothing, approveDisclosure: nothing,
    refuseDisclosure: nothing, finishDisclosure: nothing, lookAtIdentity: nothing, ...answers,
  };
}

describe("requests", () => {
  test("count what the caller decides, and which lives are at risk now", async () => {
    const over: Disclosure = { ...REQUEST, id: "over", state: "expired", may_decide: false };
    const own: Disclosure = { ...REQUEST, id: "own", kind: "own" };
    const requests = new Disclosures(desk({ disclosures: () => Promise.resolve([REQUEST, over, own]) }));
    expect([requests.toDecide, requests.urgentToDecide]).toEqual([0, 0]);
    await requests.read();
    expect([requests.toDecide, requests.urgentToDecide]).toEqual([2, 1]);
    expect(requests.urgent.map(({ id }) => id)).toEqual(["d"]);
    expect(requests.ofCase("c")?.id).toBe("d");
    expect(requests.ofCase("another")).toBeNull();
  });

  test("a line that was lost is no trouble, a refusal is told, and what is known stays", async () => {
    let failure = new DeskError(0, "OFFLINE");
    const requests = new Disclosures(desk({
      disclosures: () => Promise.reject(failure),
      approveDisclosure: () => Promise.reject(new DeskError(409, "M_CONFLICT", { error: "Somebody else has to approve." })),
    }));
    await requests.read();
    expect([requests.list, requests.trouble]).toEqual([null, null]);
    failure = new DeskError(403, "M_FORBIDDEN", { error: "No." });
    await requests.read();
    expect(requests.trouble).toBe("この役割では、いまこの操作はできません。(No.)");
    expect(await requests.approve("d", null)).toBe(false);
    expect([requests.trouble, requests.working]).toEqual([expect.stringContaining("(Somebody else has to approve.)"), false]);
  });

  test("who somebody is goes from the page when it ends and when one signs out", async () => {
    const requests = new Disclosures(desk({
      lookAtIdentity: () => Promise.resolve(IDENTITY), finishDisclosure: () => Promise.resolve([]),
    }));
    await requests.look(REQUEST);
    expect(requests.shown?.identity.user_id).toBe("@a:x");
    await requests.finish("d");
    expect(requests.shown).toBeNull();
    await requests.look(REQUEST);
    requests.forget();
    expect([requests.shown, requests.list]).toEqual([null, null]);
  });
});

describe("what is known of somebody", () => {
  const say = (key: string): string => key;

  test("is told without what is not known", () => {
    const facts = factsOf(IDENTITY, say, (kind) => kind.toUpperCase());
    expect(facts.map(({ name }) => name)).toEqual(["person.channel", "person.account", "person.since", "person.arrived"]);
    const known = { age: "13_15", school: "unknown", grade: null, gender: "not_given", prefecture: 12 } as const;
    const more = factsOf({ ...IDENTITY, known, apps: ["line"], names: ["みお"] }, say, (kind) => kind.toUpperCase());
    expect(more.slice(0, 3).map(({ value }) => value)).toEqual(["みお", "record.age.13_15", "prefecture.12"]);
    expect(more.find(({ name }) => name === "person.apps")?.value).toBe("LINE");
  });

  test("has moments in Japan's time, to the second", () => {
    expect(stampOf(Date.UTC(2026, 10, 29, 15, 4, 5))).toBe("2026/11/30 00:04:05 JST");
  });
});
