"""Cross-signing keys, and the signatures that were added to keys after their upload."""

from collections.abc import Sequence

import msgspec

from madoguchi.storage.db import Tx


class CrossSigningKey(msgspec.Struct, frozen=True):
    """usage: master, self_signing or user_signing. `key` is the JSON object as it was uploaded."""

    user_id: str
    usage: str
    public_key: str
    key: bytes


class Signature(msgspec.Struct, frozen=True):
    """signer_key: `ed25519:KEY`. target_key: a device id, or a cross-signing public key of the target user."""

    signer: str
    signer_key: str
    target: str
    target_key: str
    signature: str


async def lock_cross_signing(tx: Tx, user_id: str) -> None:
    """Lets nobody else change this user's cross-signing keys until the transaction ends."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"cross-signing {user_id}")


async def list_cross_signing_keys(tx: Tx, user_ids: Sequence[str]) -> list[CrossSigningKey]:
    rows = await tx.fetch(
        "SELECT user_id, usage, public_key, key FROM cross_signing_keys WHERE user_id = ANY($1::text[])", user_ids
    )
    return [CrossSigningKey(**row) for row in rows]


async def set_cross_signing_key(tx: Tx, key: CrossSigningKey) -> None:
    await tx.execute(
        """INSERT INTO cross_signing_keys (user_id, usage, public_key, key) VALUES ($1, $2, $3, $4)
           ON CONFLICT (user_id, usage) DO UPDATE SET public_key = excluded.public_key, key = excluded.key""",
        key.user_id,
        key.usage,
        key.public_key,
        key.key,
    )


async def delete_cross_signing_key(tx: Tx, user_id: str, usage: str, public_key: str) -> None:
    """Forgets a key that is being replaced, with the signatures by it and on it."""
    await tx.execute("DELETE FROM cross_signing_keys WHERE user_id = $1 AND usage = $2", user_id, usage)
    await tx.execute(
        """DELETE FROM key_signatures
            WHERE (signer = $1 AND signer_key = $2) OR (target = $1 AND target_key = $3)""",
        user_id,
        f"ed25519:{public_key}",
        public_key,
    )


async def list_signatures(tx: Tx, asker: str, user_ids: Sequence[str]) -> list[Signature]:
    """The signatures on keys of these users that the asker may see: the owners' and the asker's own."""
    rows = await tx.fetch(
        """SELECT signer, signer_key, target, target_key, signature FROM key_signatures
            WHERE target = ANY($2::text[]) AND (signer = target OR signer = $1)""",
        asker,
        user_ids,
    )
    return [Signature(**row) for row in rows]


async def set_signatures(tx: Tx, signatures: Sequence[Signature]) -> None:
    await tx.executemany(
        """INSERT INTO key_signatures (signer, signer_key, target, target_key, signature) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (target, target_key, signer, signer_key) DO UPDATE SET signature = excluded.signature""",
        [(s.signer, s.signer_key, s.target, s.target_key, s.signature) for s in signatures],
    )
