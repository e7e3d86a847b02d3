import { MatrixEvent } from "matrix-js-sdk/lib/matrix.js";
import { describe, expect, test } from "vitest";
import type { EncryptedFile } from "../src/matrix/attachment";
import type { Outgoing } from "../src/matrix/chat";
import { relationOf, sealedOf, voiceIn } from "../src/matrix/sealed";

const FILE = { url: "mxc://desk/1" } as EncryptedFile;
const VOICE = { data: "AAAA", type: "audio/webm", size: 3, ms: 1_234.6, levels: [0, 0.5, 2] };

/** An event as it comes out of its encryption; `beside`: what lay in clear. */
function opened(type: string, content: object, beside: object = {}): MatrixEvent {
  const event = new MatrixEvent({ type, event_id: "$1", room_id: "!r", sender: "@ken:desk", origin_server_ts: 1, content });
  event.makeEncrypted("m.room.encrypted", { algorithm: "m.megolm.v1.aes-sha2", ...beside }, "k", "e");
  return event;
}

const sealed = (what: Exclude<Outgoing, { kind: "withdrawal" }>): MatrixEvent => {
  const { type, content } = sealedOf(what, FILE);
  return opened(type, content);
};

describe("what we say", () => {
  test("is read again as it was meant", () => {
    expect(relationOf(sealed({ kind: "text", body: "うん", answers: "$0" }))).toEqual({ kind: "answer", to: "$0" });
    expect(relationOf(sealed({ kind: "correction", body: "ううん", about: "$0" })))
      .toEqual({ kind: "correction", of: "$0", body: "ううん" });
    expect(relationOf(sealed({ kind: "reaction", key: "🙏", about: "$0" }))).toEqual({ kind: "reaction", to: "$0", key: "🙏" });
    expect(relationOf(sealed({ kind: "text", body: "うん" }))).toBeNull();
    expect(voiceIn(sealed({ kind: "voice", voice: VOICE }).getContent())).toEqual({ ms: 1_235, levels: [0, 0.5, 1] });
  });

  test("calls nobody where it only changes a message", () => {
    const quiet = (what: Parameters<typeof sealedOf>[0]): boolean => sealedOf(what, FILE).quiet;
    expect(quiet({ kind: "reaction", key: "👍", about: "$0" })).toBe(true);
    expect(quiet({ kind: "correction", body: "x", about: "$0" })).toBe(true);
    expect(quiet({ kind: "text", body: "x", answers: "$0" })).toBe(false);
    expect(quiet({ kind: "voice", voice: VOICE })).toBe(false);
  });

  test("fits into an event though a correction has its words twice", () => {
    const { content } = sealedOf({ kind: "correction", body: "🤗".repeat(5_000), about: "$0" }, null);
    expect(JSON.stringify(content).length * 4 / 3).toBeLessThan(60_000);
    expect(JSON.stringify(content)).not.toMatch(/\\ud[89a-f]/);
    expect(content["m.new_content"]).toEqual({ msgtype: "m.text", body: "🤗".repeat(5_000) });
  });

  test("a voice message has the marks of MSC3245 and nothing about the recorder", () => {
    const { content } = sealedOf({ kind: "voice", voice: VOICE }, FILE);
    expect(content).toEqual({
      msgtype: "m.audio", body: "voice.webm", file: FILE, info: { mimetype: "audio/webm", size: 3, duration: 1_235 },
      "org.matrix.msc1767.audio": { duration: 1_235, waveform: [0, 512, 1_024] }, "org.matrix.msc3245.voice": {},
    });
  });
});

describe("what others say", () => {
  const text = { msgtype: "m.text", body: "* x", "m.new_content": { msgtype: "m.text", body: "x" } };

  test("what stands inside goes before what lies beside", () => {
    const inside = { rel_type: "m.replace", event_id: "$inside" };
    const beside = { "m.relates_to": { rel_type: "m.replace", event_id: "$beside" } };
    expect(relationOf(opened("m.room.message", { ...text, "m.relates_to": inside }, beside)))
      .toEqual({ kind: "correction", of: "$inside", body: "x" });
    // Clients there are that put it nowhere else.
    expect(relationOf(opened("m.room.message", text, beside))).toEqual({ kind: "correction", of: "$beside", body: "x" });
    // A server that points one message at another corrects nothing by it.
    expect(relationOf(opened("m.room.message", { msgtype: "m.text", body: "x" }, beside))).toBeNull();
  });

  test.each([
    [{ rel_type: "m.annotation", event_id: "$0", key: "🖕" }],
    [{ rel_type: "m.annotation", event_id: "$0", key: 7 }],
    [{ rel_type: "m.annotation", event_id: ["$0"], key: "👍" }],
    [{ rel_type: "m.annotation", key: "👍" }],
    [{ rel_type: "m.reference", event_id: "$0", key: "👍" }],
    ["nonsense"],
    [null],
  ])("a reaction that is none of ours is none: %j", (relation) => {
    expect(relationOf(opened("m.reaction", { "m.relates_to": relation }))).toBeNull();
  });

  test("a heart without its colour is a heart", () => {
    const relation = { rel_type: "m.annotation", event_id: "$0", key: "❤" };
    expect(relationOf(opened("m.reaction", { "m.relates_to": relation }))).toEqual({ kind: "reaction", to: "$0", key: "❤️" });
  });

  test("a thread's way of naming the message before is no answer", () => {
    const relation = { rel_type: "m.thread", event_id: "$0", is_falling_back: true, "m.in_reply_to": { event_id: "$9" } };
    expect(relationOf(opened("m.room.message", { msgtype: "m.text", body: "x", "m.relates_to": relation }))).toBeNull();
  });

  test.each([
    [{ msgtype: "m.audio", file: {}, "org.matrix.msc3245.voice": {} }, { ms: 0, levels: [] }],
    [{ msgtype: "m.audio", file: {}, info: { duration: 9e99 }, "org.matrix.msc3245.voice": {} }, { ms: 3_600_000, levels: [] }],
    [
      {
        msgtype: "m.audio", file: {}, info: { duration: -5 }, "org.matrix.msc3245.voice": {},
        "org.matrix.msc1767.audio": { duration: "x", waveform: [-1, "y", 1e9, 512] },
      },
      { ms: 0, levels: [0, 0, 1, 0.5] },
    ],
    [{ msgtype: "m.audio", file: {}, body: "song.mp3" }, null],
    [{ msgtype: "m.audio", file: null, "org.matrix.msc3245.voice": {} }, null],
    [{ msgtype: "m.video", file: {}, "org.matrix.msc3245.voice": {} }, null],
    [{ msgtype: "m.audio", url: "mxc://x/y", "org.matrix.msc3245.voice": {} }, null],
  ])("a voice is shown whatever its sender says about it: %j", (content, shown) => {
    expect(voiceIn(content)).toEqual(shown);
  });
});
