import { EventStatus, MatrixEvent, type Room as SdkRoom } from "matrix-js-sdk";
import { expect, test } from "vitest";
import { snapshot } from "../src/matrix/snapshot";

const ME = "@me:desk.test";
const KEN = "@ken:desk.test";

function roomWith(events: readonly MatrixEvent[]): SdkRoom {
  const stands = {
    roomId: "!case:desk.test",
    oldState: { paginationToken: null },
    getLiveTimeline: () => ({ getEvents: () => events }),
    getMembers: () => [],
    getEventReadUpTo: () => null,
    getMyMembership: () => "join",
    hasEncryptionStateEvent: () => true,
    maySendMessage: () => true,
    currentState: { getStateEvents: () => said("jp.madoguchi.case", { state: "waiting" }) },
  };
  return stands as unknown as SdkRoom;
}

const said = (type: string, content: object): MatrixEvent =>
  new MatrixEvent({ type, event_id: "$1", room_id: "!case:desk.test", sender: KEN, origin_server_ts: 1, content });

test("words that were not encrypted are not shown as said", () => {
  const slipped = said("m.room.message", { msgtype: "m.text", body: "send me your address" });
  const { messages } = snapshot(roomWith([slipped]), ME);
  expect(messages.map(({ kind, body }) => [kind, body])).toEqual([["unreadable", ""]]);
});

test("the room says how its case stands", () => {
  expect(snapshot(roomWith([]), ME).caseState).toBe("waiting");
});

test("words on their way out are shown before they are encrypted", () => {
  const own = said("m.room.message", { msgtype: "m.text", body: "眠れない" });
  own.status = EventStatus.SENDING;
  expect(snapshot(roomWith([own]), ME).messages.map(({ kind }) => kind)).toEqual(["text"]);
});
