// Small things that stay between visits, sealed: AES-GCM (NIST SP 800-38D) under 32 bytes that only this browser, or
// its owner, has. Browsers offer it only where the connection is TLS, or on the machine itself.
const NONCE = 12;

export const canSeal = (): boolean => typeof (crypto as Partial<Crypto>).subtle !== "undefined";

// What a thief of the database would need for each guess at a password; as slow as the return phrase's.
const ROUNDS = 500_000;

/** 32 bytes, base64, made of a password: PBKDF2 (RFC 8018) with HMAC-SHA-512. The same password gives another key to
 * another account, and for another use. */
export async function keyOfPassword(password: string, userId: string, use: string, rounds = ROUNDS): Promise<string> {
  const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
  const given = await crypto.subtle.importKey("raw", bytes(password), "PBKDF2", false, ["deriveBits"]);
  const slow = { name: "PBKDF2", hash: "SHA-512", salt: bytes(`${use}.v1 ${userId}`), iterations: rounds };
  return toBase64(new Uint8Array(await crypto.subtle.deriveBits(slow, given, 256)));
}

/** `key`: 32 bytes, base64. `use`: what the box is for; it opens for nothing else. Gives base64. */
export async function seal(key: string, use: string, value: unknown): Promise<string> {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE));
  const text = new TextEncoder().encode(JSON.stringify(value));
  const sealed = await crypto.subtle.encrypt(parameters(nonce, use), await keyOf(key), text);
  return toBase64(new Uint8Array([...nonce, ...new Uint8Array(sealed)]));
}

/** Raises for another key, another use, or a box that was changed. */
export async function unseal(key: string, use: string, box: string): Promise<unknown> {
  const bytes = fromBase64(box);
  const opened = await crypto.subtle.decrypt(
    parameters(bytes.slice(0, NONCE), use), await keyOf(key), bytes.slice(NONCE),
  );
  return JSON.parse(new TextDecoder().decode(opened));
}

function parameters(nonce: Uint8Array<ArrayBuffer>, use: string): AesGcmParams {
  return { name: "AES-GCM", iv: nonce, additionalData: new TextEncoder().encode(use) };
}

function keyOf(key: string): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", fromBase64(key), "AES-GCM", false, ["encrypt", "decrypt"]);
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}
