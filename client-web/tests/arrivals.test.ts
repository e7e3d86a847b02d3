import { expect, test } from "vitest";
import type { OwnCase } from "../src/desk/api";
import { Arrivals } from "../src/screens/counsellor/arrivals";
import { ROOM, said } from "./stand-ins";

const OWN: OwnCase = {
  case_id: "c1", room_id: ROOM, user_id: "@person:desk", channel: "web", mode: "open", state: "talking", accepted_at: 100,
  ghost: false, handing_over: false, risk: "none", helping: false, side_room_id: null, team: null, move: null,
  came_by: null, language: null, answers: null, previous: false,
};

test("what somebody said while waiting is no reply, however late it is opened", () => {
  const arrivals = new Arrivals();
  expect(arrivals.newReply(OWN, [])).toBe(false);
  const waiting = said("だれかいますか", OWN.user_id, { at: 50 });
  expect(arrivals.newReply(OWN, [waiting])).toBe(false);
  const then = said("聞いて", OWN.user_id, { at: 150 });
  expect(arrivals.newReply(OWN, [waiting, then])).toBe(true);
  expect(arrivals.newReply(OWN, [waiting, then])).toBe(false);
});
