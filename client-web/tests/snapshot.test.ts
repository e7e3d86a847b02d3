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

test("files have their names, pictures what is written under them, places their words", () => {
  const sent = (content: object): MatrixEvent => {
    const event = said("m.room.message", content);
    event.status = EventStatus.SENDING;
    return event;
  };
  const file = { url: "mxc://a/b" };
  const { messages } = snapshot(roomWith([
    sent({ msgtype: "m.audio", body: "voice.m4a", file }),
    sent({ msgtype: "m.file", body: "see below", filename: "leaflet.pdf", file }),
    sent({ msgtype: "m.image", body: "my cat", filename: "cat.jpg", file }),
    sent({ msgtype: "m.image", body: "cat.jpg", file }),
    sent({ msgtype: "m.location", body: "at the station", geo_uri: "geo:1,2" }),
    sent({ msgtype: "m.file", body: "not sealed", url: "mxc://a/b" }),
  ]), ME);
  expect(messages.map(({ kind, body }) => [kind, body])).toEqual([
    ["file", "voice.m4a"], ["file", "leaflet.pdf"], ["picture", "my cat"], ["picture", ""], ["text", "at the station"],
    ["other", ""],
  ]);
});
