import sodium from "libsodium-wrappers";
import { expect, test } from "vitest";
import { sealTo } from "../src/desk/sealing";
import { BOT_TOKEN, opening } from "../src/screens/admin/accounts";

const GIVEN = { secret: " s ", token: "t\n", lineChannelId: "" };

test("what opens an account is what the bridges read, and nothing more", () => {
  expect(opening("line", GIVEN, true)).toEqual({ channel_secret: "s", access_token: "t" });
  const short = { secret: "s", token: "", lineChannelId: "165" };
  expect(opening("line", short, true)).toEqual({ channel_secret: "s", channel_id: "165" });
  expect(opening("telegram", GIVEN, true)).toEqual({ bot_token: "t" });
  const called = opening("telegram", GIVEN, false);
  expect(called["webhook_secret"]).toMatch(/^[0-9a-f]{64}$/);
  expect(opening("telegram", GIVEN, false)["webhook_secret"]).not.toBe(called["webhook_secret"]);
});

test("a bot's token is known by its looks", () => {
  const token = new RegExp(`^(?:${BOT_TOKEN})$`, "v");
  expect(token.test("123456:" + "A_-9".repeat(8))).toBe(true);
  for (const none of ["", "123456", "x:" + "A".repeat(35), "1:" + "A".repeat(19)]) expect(token.test(none)).toBe(false);
});

test("only whom it is sealed to opens it", async () => {
  await sodium.ready;
  const [bridges, other] = [sodium.crypto_box_keypair(), sodium.crypto_box_keypair()];
  const { ORIGINAL } = sodium.base64_variants;
  const sealed = await sealTo(sodium.to_base64(bridges.publicKey, ORIGINAL), "{\"bot_token\":\"鍵\"}");
  const opened = (by: typeof bridges): string =>
    sodium.to_string(sodium.crypto_box_seal_open(sodium.from_base64(sealed, ORIGINAL), by.publicKey, by.privateKey));
  expect(opened(bridges)).toBe("{\"bot_token\":\"鍵\"}");
  expect(() => opened(other)).toThrow();
  await expect(sealTo("no key", "x")).rejects.toThrow();
});
