"""The vault's rows: one public key, sealed session keys, openings; and what a transcript is made from."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from madoguchi.storage import wrapping
from madoguchi.storage.db import Tx

# A key and the message that it opens come by two roads.
PATIENCE_MS = 5 * 60 * 1000


class Vault(msgspec.Struct, frozen=True):
    """The vault of this desk. public_key: X25519, 32 bytes; key_id: its short name, on every sealed key; signing_key:
    what transcripts are verified with (Ed25519, 32 bytes), None until a vault of an older version is opened."""

    key_id: str
    public_key: bytes
    shares: int
    threshold: int
    created_at: datetime
    signing_key: bytes | None = None


class SealedKey(msgspec.Struct, frozen=True):
    """A Megolm session sealed to the vault; first_index: the first message index it opens."""

    room_id: str
    session_id: str
    sender_key: str
    first_index: int
    sealed: bytes


class WrappedKey(msgspec.Struct, frozen=True):
    """A sealed key as it lies here. wrapped: what the keeper sealed, wrapped in the room's key (storage/wrapping.py);
    wrapping: which one that is; key: that one, None where this database does not have it; at: since when it is so."""

    room_id: str
    session_id: str
    wrapped: bytes
    wrapping: UUID
    key: bytes | None
    at: datetime


class StoredEvent(msgspec.Struct, frozen=True):
    """An event as stored; at: ms since 1970; body and unsigned: JSON text (ciphertext, for what people wrote)."""

    event_id: str
    type: str
    state_key: str | None
    sender: str
    at: int
    body: str
    unsigned: str


class CaseRoom(msgspec.Struct, frozen=True):
    """Which room to open. case_id and user_id (the young person or ghost) are None for a room that is no case's.

    side: whether it is the staff's own room of the case; side_room_id: that room, where it is another one.
    """

    room_id: str
    case_id: str | None
    user_id: str | None
    channel: str | None
    side: bool = False
    side_room_id: str | None = None


_VAULT = "SELECT key_id, public_key, shares, threshold, created_at, signing_key FROM vault"


async def get_vault(tx: Tx) -> Vault | None:
    """The vault, or None before `madoguchi vault init`."""
    row = await tx.fetchrow(_VAULT)
    return Vault(**row) if row else None


async def keep_vault(tx: Tx) -> Vault | None:
    """The same; its key is not exchanged before the end of the transaction."""
    row = await tx.fetchrow(_VAULT + " FOR KEY SHARE")
    return Vault(**row) if row else None


async def lock_vault(tx: Tx) -> Vault | None:
    """The same, to exchange its key: nobody puts a key in before the end of the transaction."""
    row = await tx.fetchrow(_VAULT + " FOR UPDATE")
    return Vault(**row) if row else None


async def insert_vault(tx: Tx, key_id: str, public_key: bytes, signing_key: bytes, shares: int, threshold: int) -> bool:
    """Keep the public keys of a new vault. False, and nothing changed, when there is a vault already."""
    done = await tx.fetchval(
        "INSERT INTO vault (key_id, public_key, signing_key, shares, threshold) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (only_one) DO NOTHING RETURNING true",
        key_id, public_key, signing_key, shares, threshold,
    )  # fmt: skip
    return bool(done)


async def update_vault(tx: Tx, key_id: str, public_key: bytes, signing_key: bytes, shares: int, threshold: int) -> None:
    """Put a new key in the place of the old one; until the end of the transaction sealed keys may name either."""
    await tx.execute("SET CONSTRAINTS vault_keys_key_id_fkey DEFERRED")
    await tx.execute(
        "UPDATE vault SET key_id = $1, public_key = $2, signing_key = $3, shares = $4, threshold = $5,"
        " created_at = now()",
        key_id, public_key, signing_key, shares, threshold,
    )  # fmt: skip


async def set_signing_key(tx: Tx, signing_key: bytes) -> None:
    """Keep what transcripts are verified with, where an older version's vault has none."""
    await tx.execute("UPDATE vault SET signing_key = $1 WHERE signing_key IS NULL", signing_key)


_WRAPPED = """
    SELECT k.room_id, k.session_id, k.sealed AS wrapped, k.wrapping, w.key, k.stored_at AS at
      FROM vault_keys k LEFT JOIN wrapping_keys w ON w.id = k.wrapping
"""


async def list_all_keys(tx: Tx) -> list[WrappedKey]:
    """Every sealed key."""
    return [WrappedKey(**row) for row in await tx.fetch(_WRAPPED)]


async def update_keys(tx: Tx, key_id: str, sealed: Sequence[tuple[str, str, bytes]]) -> None:
    """(room id, session id, sealed to the key `key_id` and wrapped as before) in the place of what was there; a purged
    one stays gone."""
    await tx.executemany(
        "UPDATE vault_keys SET key_id = $1, sealed = $4 WHERE room_id = $2 AND session_id = $3",
        [(key_id, *key) for key in sealed],
    )


async def delete_keys_of_others(tx: Tx, key_id: str) -> int:
    """Take out what is not sealed to the key `key_id`; gives how many that were."""
    done: str = await tx.execute("DELETE FROM vault_keys WHERE key_id <> $1", key_id)
    return int(done.split()[-1])


async def put_keys(tx: Tx, key_id: str, keys: Sequence[SealedKey]) -> None:
    """Keep sealed keys, wrapped. The same again changes nothing; one that opens earlier messages replaces a later one,
    and any replaces one that nobody can open."""
    around = await wrapping.keys_of(tx, {key.room_id for key in keys})
    await tx.executemany(
        "INSERT INTO vault_keys (key_id, room_id, session_id, sender_key, first_index, wrapping, sealed)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (room_id, session_id, key_id) DO UPDATE"
        # Not `EXCLUDED.sealed`: `serve` puts keys in, and has no right to read any.
        " SET sealed = $7, wrapping = EXCLUDED.wrapping, first_index = EXCLUDED.first_index, stored_at = now()"
        " WHERE vault_keys.sender_key = EXCLUDED.sender_key AND (vault_keys.first_index > EXCLUDED.first_index"
        " OR NOT EXISTS (SELECT FROM wrapping_keys w WHERE w.id = vault_keys.wrapping))",
        [
            (
                key_id, key.room_id, key.session_id, key.sender_key, key.first_index,
                around[key.room_id].id, wrapping.wrap(around[key.room_id].key, key.sealed),
            )
            for key in keys
            if key.room_id in around
        ],
    )  # fmt: skip


async def list_keys(tx: Tx, room_id: str, key_id: str) -> list[WrappedKey]:
    """The room's sealed keys that this vault can open."""
    rows = await tx.fetch(_WRAPPED + " WHERE k.room_id = $1 AND k.key_id = $2 ORDER BY k.stored_at", room_id, key_id)
    return [WrappedKey(**row) for row in rows]


class Gap(msgspec.Struct, frozen=True):
    """A Megolm session of a case that the vault does not have, or has from a later message on only; events: how many of
    its messages the vault can't open; at: of the first of them, ms since 1970."""

    case_id: str
    room_id: str
    session_id: str
    sender: str
    events: int
    at: int


# Which message of its session an event is: that stands in clear at the beginning of its ciphertext (Megolm, "Message
# format": a version, 0x08, a number of seven bits a byte). NULL for what is no such message.
_INDEX = """
    CASE WHEN said.begins ~ '^Aw[g-j][A-Za-z0-9+/]{9}$' THEN (
        SELECT sum((get_byte(head, n) & 127)::bigint << (7 * (n - 2)))
          FROM (SELECT decode(said.begins, 'base64') AS head) h, generate_series(2, 6) n
         WHERE n <= (SELECT min(last) FROM generate_series(2, 6) last WHERE get_byte(head, last) < 128)) END
"""


async def list_gaps(tx: Tx, key_id: str, before: int) -> list[Gap]:
    """Sessions in which something was said in a case before a moment (ms) and whose key the vault does not have, or has
    from a later message on only.

    What was taken back needs none, and of a purged case there is nothing left.
    """
    rows = await tx.fetch(
        f"""
        SELECT c.id AS case_id, said.room_id, said.session_id, min(said.sender) AS sender, count(*) AS events,
               min(said.at) AS at
          FROM (SELECT e.room_id, e.sender, e.at, e.body::json #>> '{{content,session_id}}' AS session_id,
                       left(e.body::json #>> '{{content,ciphertext}}', 12) AS begins FROM events e
                 WHERE e.type = 'm.room.encrypted' AND e.at < $2) said
          JOIN (SELECT id, state, room_id FROM cases
                UNION ALL SELECT id, state, side_room_id FROM cases WHERE side_room_id IS NOT NULL) c
            ON c.room_id = said.room_id
          LEFT JOIN (vault_keys k JOIN wrapping_keys w ON w.id = k.wrapping)
            ON k.room_id = said.room_id AND k.session_id = said.session_id AND k.key_id = $1
         WHERE said.session_id IS NOT NULL AND c.state <> 'purged'
           AND (k.first_index IS NULL OR (k.first_index > 0 AND {_INDEX} < k.first_index))
         GROUP BY c.id, said.room_id, said.session_id ORDER BY min(said.at), said.session_id
        """,
        key_id,
        before,
    )
    return [Gap(**row) for row in rows]


async def count_waiting(tx: Tx, user_id: str) -> int:
    """How many messages wait on the server for somebody's devices: for the keeper, keys among them."""
    return int(await tx.fetchval("SELECT count(*) FROM to_device WHERE user_id = $1", user_id))


async def count_keys(tx: Tx) -> int:
    """How many session keys are sealed, and can be unwrapped here."""
    return int(await tx.fetchval("SELECT count(*) FROM vault_keys k JOIN wrapping_keys w ON w.id = k.wrapping"))


async def find_room(tx: Tx, case_or_room: str) -> CaseRoom | None:
    """The room of a case id, or a room by its own id."""
    row = await tx.fetchrow(
        "SELECT rooms.room_id, c.id AS case_id, c.user_id, channels.kind AS channel,"
        " rooms.kind = 'side' AS side, nullif(c.side_room_id, rooms.room_id) AS side_room_id"
        " FROM rooms LEFT JOIN cases c ON c.room_id = rooms.room_id OR c.side_room_id = rooms.room_id"
        " LEFT JOIN channels ON channels.id = c.channel_id"
        " WHERE rooms.room_id = coalesce((SELECT room_id FROM cases WHERE id = $1), $1)",
        case_or_room,
    )
    return CaseRoom(**row) if row else None


async def list_events(tx: Tx, room_id: str) -> list[StoredEvent]:
    """Everything in the room, oldest first."""
    rows = await tx.fetch(
        "SELECT event_id, type, state_key, sender, at, body, unsigned FROM events WHERE room_id = $1 ORDER BY pos",
        room_id,
    )
    return [StoredEvent(**row) for row in rows]


async def list_staff_names(tx: Tx, user_ids: Sequence[str]) -> dict[str, str]:
    """User id → name of those among them who are or were staff."""
    rows = await tx.fetch("SELECT user_id, name FROM staff WHERE user_id = ANY($1::text[])", list(user_ids))
    return {row["user_id"]: row["name"] for row in rows}


async def list_cases_of(tx: Tx, since: datetime, before: datetime) -> list[str]:
    """The ids of the cases that came in the span and are not purged, the oldest first."""
    rows = await tx.fetch(
        "SELECT id FROM cases WHERE arrived_at >= $1 AND arrived_at < $2 AND state <> 'purged' ORDER BY arrived_at, id",
        since, before,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def has_record(tx: Tx, record: bytes) -> bool:
    """Whether the openings of a record (its SHA-256) are written down already."""
    return bool(await tx.fetchval("SELECT exists(SELECT FROM vault_openings WHERE record = $1)", record))


class Opened(msgspec.Struct, frozen=True):
    """A room that was opened: how many entries it has and how many could not be read."""

    case_id: str | None
    room_id: str
    entries: int
    unreadable: int


async def insert_opening(
    tx: Tx,
    at: datetime,
    by_whom: str,
    reason: str,
    holders: Sequence[str],
    opened: Opened,
    manifest: bytes | None = None,
    record: bytes | None = None,
) -> None:
    """Write down that somebody opened a room's transcript.

    manifest: SHA-256 of what was signed, if files were made; record: SHA-256 of the opening record it was taken from.
    """
    await tx.execute(
        "INSERT INTO vault_openings (at, by_whom, reason, holders, case_id, room_id, events, unreadable, manifest,"
        " record) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        at, by_whom, reason, list(holders), opened.case_id, opened.room_id, opened.entries, opened.unreadable,
        manifest, record,
    )  # fmt: skip
