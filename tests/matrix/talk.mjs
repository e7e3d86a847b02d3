// Two people, a third, and their devices in matrix-js-sdk (Rust cryptography, nothing stored): the whole of encryption.
// In Node the server is argv[2], and argv[3] JSON {mio, ken, sato, password…} of fresh accounts; in a browser both stand
// in `globalThis.stage`, with `say`, which is called after each step (the words of tests/clients.py) and at the end with
// "done" or "FAILED …". Run by test_js_sdk.py in Node, and in Chromium by tests/browser/test_js_sdk_in_chromium.py.

// Node 20 lacks it.
Promise.withResolvers ??= () => {
  let resolve, reject;
  const promise = new Promise((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
};
const stage = globalThis.stage ?? {
  baseUrl: process.argv[2],
  accounts: JSON.parse(process.argv[3]),
  // The SDK writes its log to the console; what this play says goes past it.
  say: (line) => process.stdout.write(`${line}\n`),
  ends: (well) => process.exit(well ? 0 : 1),
};
const { baseUrl, accounts, say } = stage;
for (const level of ["debug", "info", "log", "warn", "error"]) console[level] = () => {};

const { createClient } = await import("../../client-web/node_modules/matrix-js-sdk/lib/index.js");

const MEGOLM = { algorithm: "m.megolm.v1.aes-sha2" };

async function until(what, holds, ms = 30_000) {
  for (const end = Date.now() + ms; ; ) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function fetched(token, path) {
  const answer = await fetch(baseUrl + path, { headers: { Authorization: `Bearer ${token}` } });
  return answer.json();
}

const passwordOf = ({ user_id, password }) => ({
  type: "m.login.password",
  identifier: { type: "m.id.user", user: user_id },
  password,
});

const base64 = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/=+$/, "");
const hashOf = async (data) => base64(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));

/** A file as clients send it in an encrypted room ("Sending encrypted attachments"), and back. */
async function sealed(bytes) {
  const iv = new Uint8Array(16);
  crypto.getRandomValues(iv.subarray(0, 8));
  const key = await crypto.subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt", "decrypt"]);
  const data = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CTR", counter: iv, length: 64 }, key, bytes));
  const jwk = { ...(await crypto.subtle.exportKey("jwk", key)), alg: "A256CTR" };
  return { data, file: { v: "v2", key: jwk, iv: base64(iv), hashes: { sha256: await hashOf(data) } } };
}

async function opened(data, file) {
  if ((await hashOf(data)) !== file.hashes.sha256) throw new Error("the file has been changed");
  const key = await crypto.subtle.importKey("jwk", file.key, { name: "AES-CTR" }, false, ["decrypt"]);
  const counter = Uint8Array.from(atob(file.iv), (char) => char.charCodeAt(0));
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CTR", counter, length: 64 }, key, data));
}

/** A device of an account. `recovery`: the key of the account's secret storage, shared by its devices. */
class Device {
  constructor(account, recovery) {
    this.account = account;
    this.recovery = recovery;
  }

  static async start(account, recovery) {
    const device = new Device(account, recovery);
    device.client = createClient({
      baseUrl,
      userId: account.user_id,
      deviceId: account.device_id,
      accessToken: account.access_token,
      cryptoCallbacks: {
        getSecretStorageKey: async ({ keys }) => recovery.key && [Object.keys(keys)[0], recovery.key],
      },
    });
    await device.client.initRustCrypto({ useIndexedDB: false });
    device.crypto = device.client.getCrypto();
    await device.client.startClient({ initialSyncLimit: 20, threadSupport: true });
    await until("the first sync", () => device.client.isInitialSyncComplete());
    return device;
  }

  /** The same account on a new device. */
  async again() {
    const login = await createClient({ baseUrl }).loginRequest(passwordOf(this.account));
    return Device.start({ ...login, password: this.account.password }, this.recovery);
  }

  async isSignedByItsOwner() {
    // The SDK must have seen the account's keys before it can take the private ones from secret storage.
    await this.crypto.userHasCrossSigningKeys(this.account.user_id, true);
    await this.crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: async (upload) => {
        try {
          return await upload(null);
        } catch (asked) {
          return upload({ ...passwordOf(this.account), session: asked.data.session });
        }
      },
    });
    await until("the device is signed", () => this.sees(this.account));
  }

  /** Whether this device sees a device as signed by its owner. */
  async sees({ user_id, device_id }) {
    return (await this.crypto.getDeviceVerificationStatus(user_id, device_id))?.signedByOwner;
  }

  async keepsSecrets() {
    await this.crypto.bootstrapSecretStorage({
      setupNewKeyBackup: true,
      createSecretStorageKey: async () => {
        const made = await this.crypto.createRecoveryKeyFromPassphrase();
        this.recovery.key = made.privateKey;
        return made;
      },
    });
  }

  events(room) {
    return this.client.getRoom(room)?.getLiveTimeline().getEvents() ?? [];
  }

  reads(room, text) {
    const readable = (event) => event.getContent().body === text && event.isEncrypted() && !event.isDecryptionFailure();
    return until(`${this.account.user_id} reads «${text}»`, () => this.events(room).find(readable));
  }
}

async function play() {
  const mio = await Device.start(accounts.mio, {});
  const ken = await Device.start(accounts.ken, {});
  for (const device of [mio, ken]) {
    await device.isSignedByItsOwner();
    await device.keepsSecrets();
  }

  const { room_id: room } = await mio.client.createRoom({
    preset: "private_chat",
    name: "as it was",
    invite: [ken.account.user_id],
    initial_state: [{ type: "m.room.encryption", state_key: "", content: MEGOLM }],
  });
  await until("the invitation", () => ken.client.getRoom(room)?.getMyMembership() === "invite");
  await ken.client.joinRoom(room);
  const membership = () => mio.client.getRoom(room)?.getMember(ken.account.user_id)?.membership;
  await until("Ken is there", () => membership() === "join");
  await mio.client.sendTextMessage(room, "hello from Mio");
  await ken.reads(room, "hello from Mio");
  await ken.client.sendTextMessage(room, "hello from Ken");
  await mio.reads(room, "hello from Ken");
  say("encrypted room, both directions");

  await ken.client.sendTyping(room, true, 20_000);
  await until("typing", () => mio.client.getRoom(room).getMember(ken.account.user_id).typing);
  say("typing");
  await mio.client.sendTextMessage(room, "second");
  const second = await ken.reads(room, "second");
  await until("an unread message", () => ken.client.getRoom(room).getUnreadNotificationCount() === 1);
  await ken.client.sendReadReceipt(second);
  const readers = () => mio.client.getRoom(room).getUsersReadUpTo(mio.client.getRoom(room).findEventById(second.getId()));
  await until("the receipt", () => readers().includes(ken.account.user_id));
  await until("nothing unread", () => ken.client.getRoom(room).getUnreadNotificationCount() === 0);
  say("read receipt");

  const picture = crypto.getRandomValues(new Uint8Array(60_000));
  const { data, file } = await sealed(picture);
  const { content_uri: url } = await mio.client.uploadContent(new Blob([data]), { type: "application/octet-stream" });
  const info = { mimetype: "image/png", size: picture.length };
  await mio.client.sendMessage(room, { msgtype: "m.image", body: "picture", file: { ...file, url }, info });
  const shown = await ken.reads(room, "picture");
  const headers = { Authorization: `Bearer ${ken.account.access_token}` };
  const down = await fetch(ken.client.mxcUrlToHttp(shown.getContent().file.url, undefined, undefined, undefined, false, true, true), { headers });
  const got = await opened(new Uint8Array(await down.arrayBuffer()), shown.getContent().file);
  if ((await hashOf(got)) !== (await hashOf(picture))) throw new Error("another picture came");
  say("encrypted attachment, up and down");

  const at = second.getId();
  const corrected = { msgtype: "m.text", body: "* zweite", "m.new_content": { msgtype: "m.text", body: "zweite" } };
  await mio.client.sendMessage(room, { ...corrected, "m.relates_to": { rel_type: "m.replace", event_id: at } });
  const kens = () => ken.client.getRoom(room).findEventById(at);
  await until("the edit", () => kens().getContent().body === "zweite");
  say("edit");
  const heart = { "m.relates_to": { rel_type: "m.annotation", event_id: at, key: "❤" } };
  const reaction = await ken.client.sendEvent(room, "m.reaction", heart);
  const hearts = () => mio.client.getRoom(room).relations.getChildEventsForEvent(at, "m.annotation", "m.reaction");
  await until("the reaction", () => hearts()?.getSortedAnnotationsByKey()?.some(([key]) => key === "❤"));
  if (mio.client.getRoom(room).findEventById(reaction.event_id).isEncrypted()) throw new Error("the reaction is sealed");
  say("reaction");
  await ken.client.redactEvent(room, reaction.event_id);
  await until("the reaction's end", () => !hearts()?.getSortedAnnotationsByKey()?.some(([, by]) => by.size));
  const { event_id: slip } = await mio.client.sendTextMessage(room, "a slip");
  await ken.reads(room, "a slip");
  await mio.client.redactEvent(room, slip);
  await until("the redaction", () => ken.client.getRoom(room).findEventById(slip).isRedacted());
  say("redaction");

  const sato = await Device.start(accounts.sato, {});
  await sato.isSignedByItsOwner();
  await mio.client.invite(room, accounts.sato.user_id);
  await until("Sato's invitation", () => sato.client.getRoom(room)?.getMyMembership() === "invite");
  await sato.client.joinRoom(room);
  await until("Sato is in", () => sato.client.getRoom(room)?.getMyMembership() === "join");
  await sato.client.scrollback(sato.client.getRoom(room), 50);
  await sato.reads(room, "hello from Mio");
  await sato.reads(room, "hello from Ken");
  say("history for whoever is invited");

  // Whoever comes back knows the past already; what has changed in it counts all the same. Members stand in the same
  // state: a client that took an old one for the present would give the keys to whoever was there then.
  await mio.client.setRoomName(room, "as it is now");
  const name = () => sato.client.getRoom(room)?.currentState.getStateEvents("m.room.name", "")?.getContent().name;
  await until("the name", () => name() === "as it is now");
  await sato.client.leave(room);
  await until("Sato is out", () => sato.client.getRoom(room)?.getMyMembership() === "leave");
  await mio.client.invite(room, accounts.sato.user_id);
  await until("Sato is asked back", () => sato.client.getRoom(room)?.getMyMembership() === "invite");
  await sato.client.joinRoom(room);
  await until("Sato is back", () => sato.client.getRoom(room)?.getMyMembership() === "join");
  if (name() !== "as it is now") throw new Error(`the state is an old one: ${name()}`);
  say("the state as it is, for whoever comes back");

  const backedUp = () => fetched(ken.account.access_token, "/_matrix/client/v3/room_keys/version");
  await until("the backup", async () => (await backedUp()).count >= 2);
  const phone = await ken.again();
  say("login by password");
  await phone.isSignedByItsOwner();
  await phone.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
  const { imported } = await phone.crypto.restoreKeyBackup();
  if (imported < 2) throw new Error(`${imported} keys came back`);
  await phone.reads(room, "hello from Mio");
  say("key backup and restore");
  await until("Mio trusts the phone", () => mio.sees(phone.account));
  say("cross-signing and secret storage");
  await mio.client.sendTextMessage(room, "to all");
  await Promise.all([ken.reads(room, "to all"), phone.reads(room, "to all")]);
  say("second device");

  await ken.client.addPushRule("global", "room", room, { actions: [] });
  await until("the push rule", () => phone.client.getRoomPushRule("global", room));
  await ken.client.setRoomTag(room, "m.favourite", { order: 0.5 });
  await until("the tag", () => phone.client.getRoom(room).tags["m.favourite"]);
  say("push rules and tags");

  await phone.crypto.startDehydration({ createNewKey: true });
  const kenOnes = async () => (await mio.crypto.getUserDeviceInfo([ken.account.user_id], true)).get(ken.account.user_id);
  await until("the sleeping device", async () => [...(await kenOnes()).values()].some((device) => device.dehydrated));
  for (const device of [ken, phone]) await device.client.logout(true);
  await mio.client.sendTextMessage(room, "while nobody was there");
  const later = await ken.again();
  await later.isSignedByItsOwner();
  await later.crypto.startDehydration();
  await later.reads(room, "while nobody was there");
  say("messages read that were sent while logged out");
}

play().then(
  () => {
    say("done");
    stage.ends?.(true);
  },
  (error) => {
    say(`FAILED ${error.stack ?? error}`);
    stage.ends?.(false);
  },
);
