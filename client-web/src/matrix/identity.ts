// An account's identity: its cross-signing keys. Where they are, how a device is signed by them, and how they are kept
// in the account sealed under a secret of their owner's (Client-Server API, "Secret storage", "m.passphrase"), which
// other clients can open, too.
import type { AuthDict, MatrixClient, MatrixError, UIAuthCallback } from "matrix-js-sdk/lib/matrix.js";
import { decodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api/recovery-key.js";
import { deriveRecoveryKeyFromPassphrase } from "matrix-js-sdk/lib/crypto-api/key-passphrase.js";
import type { CryptoApi } from "matrix-js-sdk/lib/crypto-api/index.js";
import type { SecretStorageKeyDescription } from "matrix-js-sdk/lib/secret-storage.js";
import type { IdentityState } from "./chat";

type Key = Uint8Array<ArrayBuffer>;
const MASTER = "m.cross_signing.master";

/** The key of the secret storage as long as this page has it. `id`: null for whichever the account uses. */
export class OwnKey {
  key: Key | null = null;
  id: string | null = null;

  /** For the library's callback. Of a key that is not ours nothing can be opened. */
  readonly find = async ({ keys }: { keys: Record<string, unknown> }): Promise<[string, Key] | null> => {
    const id = this.id ?? Object.keys(keys)[0];
    return this.key && id !== undefined && id in keys ? [id, this.key] : null;
  };
}

export class Identity {
  constructor(private readonly client: MatrixClient, private readonly own: OwnKey) {}

  private get crypto(): CryptoApi {
    const crypto = this.client.getCrypto();
    if (!crypto) throw new Error("The keys are not open.");
    return crypto;
  }

  async state(): Promise<IdentityState> {
    if (await this.isSigned()) return (await this.isKept()) ? "kept" : "here";
    if (!(await this.crypto.userHasCrossSigningKeys(this.client.getSafeUserId(), true))) return "none";
    return (await this.isKept()) ? "sealed" : "lost";
  }

  /** Signs this device. Where the account's keys are nowhere to be had, new ones take their place. */
  async sign(password: string | null): Promise<void> {
    if (await this.isSigned()) return;
    await this.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: this.confirming(password) });
    if (await this.isSigned()) return;
    await this.makeAnew(password);
  }

  /** Opens what is kept in the account and signs this device. Says whether that was the secret: the passphrase, or the
   * recovery key as other clients write it. */
  async open(secret: string): Promise<boolean> {
    const { secretStorage } = this.client;
    const id = await secretStorage.getDefaultKeyId();
    const found = id === null ? null : await secretStorage.getKey(id);
    if (!found) return false;
    for (const key of await keysOf(secret, found[1])) {
      if (!(await secretStorage.checkKey(key, found[1]))) continue;
      Object.assign(this.own, { key, id: found[0] });
      // Without having asked the server first, the library takes the account for one without an identity.
      await this.crypto.userHasCrossSigningKeys(this.client.getSafeUserId(), true);
      await this.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: this.confirming(null) });
      return this.isSigned();
    }
    return false;
  }

  /** Keeps in the account, under this secret, the keys that this device has. */
  async keep(secret: string): Promise<void> {
    const made = await this.crypto.createRecoveryKeyFromPassphrase(secret);
    Object.assign(this.own, { key: made.privateKey, id: null });
    await this.crypto.bootstrapSecretStorage({ createSecretStorageKey: async () => made, setupNewSecretStorage: true });
  }

  /** New keys in the place of what there was, kept under this secret. */
  async renew(secret: string, password: string | null): Promise<void> {
    const made = await this.crypto.createRecoveryKeyFromPassphrase(secret);
    const { secretStorage } = this.client;
    // First the new place: into the old one nothing could be put without its key.
    const { keyId } = await secretStorage.addKey("m.secret_storage.v1.aes-hmac-sha2", {
      key: made.privateKey, ...(made.keyInfo?.passphrase ? { passphrase: made.keyInfo.passphrase } : {}),
    });
    Object.assign(this.own, { key: made.privateKey, id: keyId });
    await secretStorage.setDefaultKeyId(keyId);
    await this.makeAnew(password);
  }

  /** The first upload needs no confirmation. To replace an identity the server asks for the password. */
  confirming(password: string | null): UIAuthCallback<void> {
    return async (request) => {
      try {
        await request(null);
      } catch (error) {
        const session = (error as MatrixError).data?.["session"] as string | undefined;
        if ((error as MatrixError).httpStatus !== 401 || password === null || session === undefined) throw error;
        const identifier = { type: "m.id.user", user: this.client.getSafeUserId() };
        await request({ type: "m.login.password", identifier, password, session } as AuthDict);
      }
    };
  }

  private async makeAnew(password: string | null): Promise<void> {
    await this.crypto.bootstrapCrossSigning({
      authUploadDeviceSigningKeys: this.confirming(password), setupNewCrossSigning: true,
    });
    if (!(await this.isSigned())) throw new Error("This device could not be cross-signed.");
  }

  private async isSigned(): Promise<boolean> {
    const userId = this.client.getSafeUserId();
    // Asked of the server now: with an older picture of this account the library drops the keys it is about to make.
    await this.crypto.userHasCrossSigningKeys(userId, true);
    const device = await this.crypto.getDeviceVerificationStatus(userId, this.client.getDeviceId() ?? "");
    return device?.signedByOwner ?? false;
  }

  private async isKept(): Promise<boolean> {
    const id = await this.client.secretStorage.getDefaultKeyId();
    const under = id === null ? null : await this.client.secretStorage.isStored(MASTER);
    return id !== null && under !== null && id in under;
  }
}

async function keysOf(secret: string, { passphrase }: SecretStorageKeyDescription): Promise<Key[]> {
  const found: Key[] = [];
  if (passphrase) {
    const { salt, iterations, bits } = passphrase;
    found.push((await deriveRecoveryKeyFromPassphrase(secret, salt, iterations, bits)) as Key);
  }
  try {
    found.push(decodeRecoveryKey(secret) as Key);
  } catch {
    // It is not a recovery key.
  }
  return found;
}
