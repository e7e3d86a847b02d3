"""What has been told to each application service, what waits for it, and what of the house concerns it.

"Its own" are the accounts that the application service itself has made: its user and its ghosts.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from madoguchi.ids import RoomID, UserID
from madoguchi.storage.db import Tx

CHANNEL = "madoguchi_appservices"
_QUEUE = (
    "appservice, began, pos, message_pos, message_user, message_device, txn_id, body, made_at, attempts, error, "
    "failed_at, delivered_at"
)


class Mark(NamedTuple):
    """A place among the messages to devices; what comes after it is still to be brought."""

    pos: int
    user_id: UserID
    device_id: str


class Queue(msgspec.Struct, frozen=True):
    """began: the position at which the server first knew the application service; pos, and `mark` for messages to
    devices: all up to here has been delivered, or is in `body`; txn_id, body, made_at: the transaction under way, if
    there is one; attempts, error, failed_at: how it has failed so far (`error` names a kind of error)
    delivered_at: the last success"""

    appservice: str
    began: int
    pos: int
    message_pos: int
    message_user: UserID
    message_device: str
    txn_id: str | None = None
    body: bytes | None = None
    made_at: datetime | None = None
    attempts: int = 0
    error: str | None = None
    failed_at: datetime | None = None
    delivered_at: datetime | None = None

    @property
    def mark(self) -> Mark:
        return Mark(self.message_pos, self.message_user, self.message_device)


class Presence(msgspec.Struct, frozen=True):
    """Somebody an application service might stand for, in a room. `own`: whether it has made the account."""

    room_id: RoomID
    user_id: UserID
    membership: str
    pos: int
    own: bool


class RoomFacts(msgspec.Struct, frozen=True):
    """kind: see storage/rooms.py."""

    room_id: RoomID
    kind: str
    aliases: list[str]


class Message(msgspec.Struct, frozen=True):
    """A message for a device of its own."""

    user_id: UserID
    device_id: str
    pos: int
    message: bytes


# -- the queue --------------------------------------------------------------------------------------------------------
async def insert_queue(tx: Tx, service: str) -> None:
    """Begins the queue of an application service at the present position, if it has none."""
    await tx.execute(
        """INSERT INTO appservice_queues (appservice, began, pos, message_pos) SELECT $1, pos, pos, pos + 1 FROM stream
           ON CONFLICT DO NOTHING""",
        service,
    )


async def get_queue(tx: Tx, service: str) -> Queue:
    """The queue of an application service, made if need be."""
    await insert_queue(tx, service)
    row = await tx.fetchrow(f"SELECT {_QUEUE} FROM appservice_queues WHERE appservice = $1", service)
    assert row is not None
    return Queue(*row)


async def list_queues(tx: Tx) -> list[Queue]:
    rows = await tx.fetch(f"SELECT {_QUEUE} FROM appservice_queues ORDER BY appservice")
    return [Queue(*row) for row in rows]


async def update_made(tx: Tx, was: Queue, pos: int, mark: Mark, txn_id: str, body: bytes, at: datetime) -> bool:
    """Puts the next transaction under way, which reaches to `pos` and `mark`; False if another process has done so, or
    gone on, already."""
    done: str = await tx.execute(
        """UPDATE appservice_queues SET pos = $6, message_pos = $7, message_user = $8, message_device = $9,
                  txn_id = $10, body = $11, made_at = $12, attempts = 0
            WHERE appservice = $1 AND pos = $2 AND (message_pos, message_user, message_device) = ($3, $4, $5)
              AND body IS NULL""",
        was.appservice, was.pos, *was.mark, pos, *mark, txn_id, body, at,
    )  # fmt: skip
    return done == "UPDATE 1"


async def update_passed(tx: Tx, service: str, pos: int) -> None:
    """Notes that nothing up to a position concerns the application service."""
    await tx.execute(
        "UPDATE appservice_queues SET pos = $2 WHERE appservice = $1 AND body IS NULL AND pos < $2", service, pos
    )


async def update_failed(tx: Tx, service: str, txn_id: str, error: str, at: datetime) -> None:
    await tx.execute(
        """UPDATE appservice_queues SET attempts = attempts + 1, error = $3, failed_at = $4
            WHERE appservice = $1 AND txn_id = $2""",
        service, txn_id, error, at,
    )  # fmt: skip


async def update_delivered(tx: Tx, service: str, txn_id: str, at: datetime) -> bool:
    """The transaction has been taken; False if that was known."""
    done: str = await tx.execute(
        """UPDATE appservice_queues
              SET txn_id = NULL, body = NULL, made_at = NULL, attempts = 0, error = NULL, delivered_at = $3
            WHERE appservice = $1 AND txn_id = $2""",
        service, txn_id, at,
    )  # fmt: skip
    return done == "UPDATE 1"


async def delete_delivered_messages(tx: Tx, service: str) -> None:
    """Forgets the messages to its own devices that transactions have brought it."""
    await tx.execute(
        """DELETE FROM to_device t USING accounts a, appservice_queues q
            WHERE q.appservice = $1 AND a.appservice = $1 AND t.user_id = a.user_id
              AND t.pos > q.began
              AND (t.pos, t.user_id, t.device_id) <= (q.message_pos, q.message_user, q.message_device)""",
        service,
    )


async def nudge(tx: Tx, service: str) -> None:
    """Says that an application service which did not answer is there again."""
    await tx.execute("SELECT pg_notify($1, $2)", CHANNEL, service)


async def try_lock(tx: Tx, service: str) -> bool:
    """Whether this connection is now the one that delivers to the application service, as long as it lasts."""
    held: bool = await tx.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", f"appservice {service}")
    return held


# -- what concerns it -------------------------------------------------------------------------------------------------
async def list_room_facts(tx: Tx, room_ids: Sequence[RoomID]) -> list[RoomFacts]:
    rows = await tx.fetch(
        """SELECT room_id, kind, ARRAY(SELECT alias FROM aliases a WHERE a.room_id = r.room_id) AS aliases
             FROM rooms r WHERE room_id = ANY($1::text[])""",
        room_ids,
    )
    return [RoomFacts(**row) for row in rows]


async def list_present(tx: Tx, service: str, room_ids: Sequence[RoomID], kinds: Sequence[str]) -> list[Presence]:
    """Who with an account of these kinds is, or was, in the rooms."""
    rows = await tx.fetch(
        """SELECT m.room_id, m.user_id, m.membership, m.pos, a.appservice IS NOT DISTINCT FROM $1 AS own
             FROM memberships m JOIN accounts a USING (user_id)
            WHERE m.room_id = ANY($2::text[]) AND a.kind = ANY($3::text[])""",
        service, room_ids, kinds,
    )  # fmt: skip
    return [Presence(**row) for row in rows]


async def list_own_rooms(tx: Tx, service: str) -> list[RoomID]:
    """The rooms that its own users are in."""
    rows = await tx.fetch(
        """SELECT DISTINCT m.room_id FROM memberships m JOIN accounts a USING (user_id)
            WHERE a.appservice = $1 AND m.membership = 'join'""",
        service,
    )
    return [row[0] for row in rows]


async def list_to_device(tx: Tx, service: str, after: Mark, upto: int, limit: int) -> list[Message]:
    """The first `limit` messages to its own devices after a mark, up to a position."""
    rows = await tx.fetch(
        """SELECT t.user_id, t.device_id, t.pos, t.message FROM accounts a JOIN to_device t USING (user_id)
            WHERE a.appservice = $1 AND t.pos >= $2 AND (t.pos, t.user_id, t.device_id) > ($2, $3, $4) AND t.pos <= $5
            ORDER BY t.pos, t.user_id, t.device_id LIMIT $6""",
        service, *after, upto, limit,
    )  # fmt: skip
    return [Message(**row) for row in rows]


async def list_changed_devices(tx: Tx, service: str, after: int, upto: int) -> list[UserID]:
    """Who shares a room with its own users and has changed keys in (after, upto], or shares one only since then."""
    rows = await tx.fetch(
        """
        WITH own AS (SELECT m.room_id, m.pos FROM memberships m JOIN accounts a USING (user_id)
                      WHERE a.appservice = $1 AND m.membership = 'join')
        SELECT c.user_id FROM device_changes c
         WHERE c.pos > $2 AND c.pos <= $3
           AND EXISTS (SELECT 1 FROM memberships m JOIN own USING (room_id)
                        WHERE m.user_id = c.user_id AND m.membership = 'join')
         UNION
        SELECT theirs.user_id FROM own JOIN memberships theirs USING (room_id)
         WHERE theirs.membership = 'join' AND (own.pos > $2 OR theirs.pos > $2)
         ORDER BY 1
        """,
        service, after, upto,
    )  # fmt: skip
    return [row[0] for row in rows]


async def list_parted(tx: Tx, service: str, after: int) -> list[UserID]:
    """Who shares no room with its own users any more, since they, or its last user there, left after a position."""
    rows = await tx.fetch(
        """
        WITH own AS (SELECT m.room_id, m.pos, m.membership FROM memberships m JOIN accounts a USING (user_id)
                      WHERE a.appservice = $1)
        SELECT DISTINCT theirs.user_id FROM own JOIN memberships theirs USING (room_id)
         WHERE ((own.membership = 'join' AND theirs.membership IN ('leave', 'ban') AND theirs.pos > $2)
             OR (own.membership IN ('leave', 'ban') AND own.pos > $2 AND theirs.membership = 'join'))
           AND NOT EXISTS (SELECT 1 FROM memberships m JOIN own o USING (room_id)
                            WHERE m.user_id = theirs.user_id AND m.membership = 'join' AND o.membership = 'join')
         ORDER BY 1
        """,
        service, after,
    )  # fmt: skip
    return [row[0] for row in rows]


async def list_own_devices(
    tx: Tx, service: str, user_ids: Sequence[UserID] | None, limit: int
) -> list[tuple[UserID, str]]:
    """Its own devices that have published keys, of these users (None: of all)."""
    rows = await tx.fetch(
        """SELECT k.user_id, k.device_id FROM accounts a JOIN device_keys k USING (user_id)
            WHERE a.appservice = $1 AND ($2::text[] IS NULL OR a.user_id = ANY($2)) ORDER BY 1, 2 LIMIT $3""",
        service, user_ids, limit,
    )  # fmt: skip
    return [(row[0], row[1]) for row in rows]


# -- its rooms in the directory ---------------------------------------------------------------------------------------
async def set_published(tx: Tx, service: str, network_id: str, room_id: RoomID, published: bool) -> None:
    if published:
        await tx.execute(
            "INSERT INTO appservice_directory VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", service, network_id, room_id
        )
    else:
        await tx.execute(
            "DELETE FROM appservice_directory WHERE appservice = $1 AND network_id = $2 AND room_id = $3",
            service, network_id, room_id,
        )  # fmt: skip


async def list_published(tx: Tx, instance: str | None) -> list[RoomID]:
    """The rooms published for a network ("application service|network id"), or (None) for all networks."""
    rows = await tx.fetch(
        """SELECT DISTINCT room_id FROM appservice_directory
            WHERE $1::text IS NULL OR appservice || '|' || network_id = $1 ORDER BY room_id""",
        instance,
    )
    return [row[0] for row in rows]
