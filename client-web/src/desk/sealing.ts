// What only the bridges may open: libsodium's sealed box, which PyNaCl's SealedBox opens.

/** A text sealed to a key (X25519, base64), as base64. Rejects where the key is none. */
export async function sealTo(key: string, text: string): Promise<string> {
  // Large, and seldom needed.
  const { default: sodium } = await import("libsodium-wrappers");
  await sodium.ready;
  const { ORIGINAL } = sodium.base64_variants;
  return sodium.to_base64(sodium.crypto_box_seal(text, sodium.from_base64(key, ORIGINAL)), ORIGINAL);
}
