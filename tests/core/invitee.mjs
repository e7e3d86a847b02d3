// The Matrix sdk's own OlmMachine as somebody invited: says its keys, takes one JSON line, says what it could open.
// Run with client-web as working directory, whose node_modules hold the crypto that the web client ships.
import { createRequire } from "node:module";
import readline from "node:readline";

const require = createRequire(`${process.cwd()}/package.json`);
const sdk = require("@matrix-org/matrix-sdk-crypto-wasm");

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

await sdk.initAsync();
const [user, device, inviter] = ["@ken:x", "KEN", "@keeper:x"];
const machine = await sdk.OlmMachine.initialize(new sdk.UserId(user), new sdk.DeviceId(device));
let upload = null;
for (const request of await machine.outgoingRequests()) {
  if (request.type !== sdk.RequestType.KeysUpload) continue;
  upload = JSON.parse(request.body);
  const answer = { one_time_key_counts: { signed_curve25519: 50 } };
  await machine.markRequestAsSent(request.id, request.type, JSON.stringify(answer));
}
const bootstrap = await machine.bootstrapCrossSigning(true);
say({
  upload,
  cross_signing: JSON.parse(bootstrap.uploadSigningKeysRequest.body),
  signatures: JSON.parse(bootstrap.uploadSignaturesRequest.body),
});

const told = JSON.parse((await lines.next()).value);
const query = machine.queryKeysForUsers([new sdk.UserId(inviter)]);
await machine.markRequestAsSent(query.id, query.type, JSON.stringify(told.query));
await machine.receiveSyncChanges(JSON.stringify([told.to_device]), new sdk.DeviceLists(), new Map(), undefined);
const room = new sdk.RoomId(told.room_id);
const gift = await machine.getReceivedRoomKeyBundleData(room, new sdk.UserId(inviter));
const url = gift?.url;
if (gift) await machine.receiveRoomKeyBundle(gift, Uint8Array.from(Buffer.from(told.bundle, "base64")));
try {
  const settings = new sdk.DecryptionSettings(sdk.TrustRequirement.Untrusted);
  const opened = await machine.decryptRoomEvent(JSON.stringify(told.event), room, settings);
  say({ url, body: JSON.parse(opened.event).content.body });
} catch (error) {
  say({ url, error: String(error) });
}
process.exit(0);
