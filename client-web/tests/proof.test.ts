import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { solve, type Challenge } from "../src/desk/proof";
import { fakeDesk } from "./stand-ins";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

function challengeWith(number: number, salt: string): Challenge {
  return { challenge: sha256(salt + String(number)), salt, maxnumber: 300, signature: "s" };
}

test("the number is found, the last one too; where nothing is asked nothing is computed", async () => {
  for (const number of [0, 127, 128, 300]) expect(await solve(challengeWith(number, "a&"))).toMatchObject({ number });
  expect(await solve({ ...challengeWith(1, "a&"), maxnumber: 0 })).toBeNull();
  expect(await solve({ ...challengeWith(1, "a&"), challenge: sha256("nothing") })).toBeNull();
});

test("who begins brings what was solved meanwhile, and solves anew by themselves when it is too old", async () => {
  const brought: unknown[] = [];
  const desk = fakeDesk({
    "GET /challenge": { body: challengeWith(7, "old&") },
    "POST /cases": (body) => {
      const { proof } = body as { proof?: { salt: string; number: number } };
      brought.push(proof?.number);
      if (proof?.salt === "new&") return { body: { case_id: "c1" } };
      return { status: 403, body: { errcode: "JP_MADOGUCHI_PROOF", challenge: challengeWith(200, "new&") } };
    },
  });
  await desk.prepare();
  expect(await desk.openCase("ja")).toMatchObject({ case_id: "c1" });
  expect(brought).toEqual([7, 200]);
});

test("nobody waits for a challenge that does not come, and a refusal that stays is told", async () => {
  const refusal = { status: 403, body: { errcode: "JP_MADOGUCHI_PROOF", challenge: challengeWith(3, "a&") } };
  const desk = fakeDesk({ "POST /cases": refusal });
  void desk.prepare();
  await expect(desk.openCase("ja")).rejects.toMatchObject({ status: 403 });
  expect(desk.asked.filter((asked) => asked === "POST /cases")).toHaveLength(4);
});
