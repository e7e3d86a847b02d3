// Two people and their devices in matrix-js-sdk (Rust cryptography, nothing stored): the whole of encryption, against
// the server at argv[2]. argv[3]: JSON {mio, ken, password…} of two fresh accounts. Prints one line for each act; exits
// with 1 where one fails. Run by test_js_sdk.py.

// Node 20 lacks it.
Promise.withResolvers ??= () => {
  let resolve, reject;
  const promise = new Promise((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
};
// The SDK writes its log to the console; what this play says goes past it.
const say = (line) => process.stdout.write(`${line}\n`);
for (const level of ["debug", "info", "log", "warn", "error"]) console[level] = () => {};

const { createClient } = await import("../../client-web/node_modules/matrix-js-sdk/lib/index.js");

const baseUrl = process.argv[2];
const accounts = JSON.parse(process.argv[3]);
const MEGOLM = { algorithm: "m.megolm.v1.aes-sha2" };

async function until(what, holds, ms = 30_000) {
  for (const end = Date.now() + ms; ; ) {
    const value = await holds();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function fetched(token, method, path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(baseUrl + path, { method, headers, body: body && JSON.stringify(body) });
  return answer.json();
}

const passwordOf = ({ user_id, password }) => ({
  type: "m.login.password",
  identifier: { type: "m.id.user", user: user_id },
  password,
});

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
    const login = await fetched(null, "POST", "/_matrix/client/v3/login", passwordOf(this.account));
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
  say("both are cross-signed and keep their secrets");

  const { room_id: room } = await mio.client.createRoom({
    preset: "private_chat",
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
  say("they read each other");

  await ken.client.sendTyping(room, true, 20_000);
  await until("typing", () => mio.client.getRoom(room).getMember(ken.account.user_id).typing);
  await mio.client.sendTextMessage(room, "second");
  const second = await ken.reads(room, "second");
  await until("an unread message", () => ken.client.getRoom(room).getUnreadNotificationCount() === 1);
  await ken.client.sendReadReceipt(second);
  const readers = () => mio.client.getRoom(room).getUsersReadUpTo(mio.client.getRoom(room).findEventById(second.getId()));
  await until("the receipt", () => readers().includes(ken.account.user_id));
  await until("nothing unread", () => ken.client.getRoom(room).getUnreadNotificationCount() === 0);
  say("typing, receipts and unread counts are seen");

  const backedUp = () => fetched(ken.account.access_token, "GET", "/_matrix/client/v3/room_keys/version");
  await until("the backup", async () => (await backedUp()).count >= 2);
  const phone = await ken.again();
  await phone.isSignedByItsOwner();
  await phone.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
  const { imported } = await phone.crypto.restoreKeyBackup();
  if (imported < 2) throw new Error(`${imported} keys came back`);
  await phone.reads(room, "hello from Mio");
  await until("Mio trusts the phone", () => mio.sees(phone.account));
  await mio.client.sendTextMessage(room, "to all");
  await Promise.all([ken.reads(room, "to all"), phone.reads(room, "to all")]);
  say("a new device reads the history from the backup");

  await ken.client.addPushRule("global", "room", room, { actions: [] });
  await until("the push rule", () => phone.client.getRoomPushRule("global", room));
  await ken.client.setRoomTag(room, "m.favourite", { order: 0.5 });
  await until("the tag", () => phone.client.getRoom(room).tags["m.favourite"]);
  say("push rules and tags reach the other device");

  await phone.crypto.startDehydration({ createNewKey: true });
  const kens = async () => (await mio.crypto.getUserDeviceInfo([ken.account.user_id], true)).get(ken.account.user_id);
  await until("the sleeping device", async () => [...(await kens()).values()].some((device) => device.dehydrated));
  for (const device of [ken, phone]) await device.client.logout(true);
  await mio.client.sendTextMessage(room, "while nobody was there");
  const later = await ken.again();
  await later.isSignedByItsOwner();
  await later.crypto.startDehydration();
  await later.reads(room, "while nobody was there");
  say("what was written while nobody was logged in is read by the next device");
}

play().then(
  () => process.exit(0),
  (error) => {
    say(`FAILED ${error.stack ?? error}`);
    process.exit(1);
  },
);
