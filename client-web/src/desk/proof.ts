// The work that a page does before a case begins, in place of a captcha: ALTCHA's protocol (version 1), by WebCrypto.

/** Wanted is the number up to `maxnumber` with SHA-256(salt + number) = challenge. 0: nothing is asked. */
export interface Challenge {
  challenge: string;
  salt: string;
  maxnumber: number;
  signature: string;
}

export interface Proof {
  challenge: string;
  salt: string;
  signature: string;
  number: number;
}

// Between two the browser may draw and answer taps.
const AT_ONCE = 128;

/** Null where nothing is asked, or this browser can't compute it (no secure context). */
export async function solve({ challenge, salt, maxnumber, signature }: Challenge): Promise<Proof | null> {
  const subtle = (globalThis.crypto as Partial<Crypto>).subtle;
  if (maxnumber === 0 || !subtle) return null;
  const wanted = parseInt(challenge.slice(0, 8), 16);
  const encoder = new TextEncoder();
  for (let first = 0; first <= maxnumber; first += AT_ONCE) {
    const digests = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, next) => subtle.digest("SHA-256", encoder.encode(salt + String(first + next)))),
    );
    for (const [next, digest] of digests.entries()) {
      if (new DataView(digest).getUint32(0) === wanted && hex(digest) === challenge) {
        return { challenge, salt, signature, number: first + next };
      }
    }
  }
  return null;
}

function hex(digest: ArrayBuffer): string {
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
