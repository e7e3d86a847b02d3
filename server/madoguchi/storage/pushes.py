"""What waits to be told to push gateways, and how far the stream has been looked at for it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage.db import Tx
from madoguchi.storage.push import Pusher

_pusher = msgspec.json.Decoder(Pusher)


class Due(msgspec.Struct, frozen=True):
    """Something that a user is to be told of. room_id: '' for nothing but how much is unread; event_id: None then.
    tweaks: JSON. only_app: the one app whose pushers are to tell it; None = all."""

    user_id: UserID
    room_id: RoomID
    event_id: EventID | None
    pos: int
    tweaks: str
    only_app: str | None = None


class Push(msgspec.Struct, frozen=True):
    """One of them on its way to one pusher. since: when it was first to be told; attempts: failures so far.

    told_pos, told_at: of the last that the pusher was told, where that is kept.
    """

    user_id: UserID
    room_id: RoomID
    event_id: EventID | None
    pos: int
    tweaks: str
    attempts: int
    since: datetime
    told_pos: int
    told_at: datetime | None
    pusher: Pusher


async def try_lock(tx: Tx) -> bool:
    """Whether this connection is now the one that pushes, as long as it lasts."""
    held: bool = await tx.fetchval("SELECT pg_try_advisory_lock(hashtextextended('pushes', 0))")
    return held


async def lock_position(tx: Tx) -> int:
    """Up to which position all has been looked at; held until the end of the transaction."""
    pos: int = await tx.fetchval("SELECT pos FROM push_position FOR UPDATE")
    return pos


async def update_position(tx: Tx, pos: int) -> None:
    await tx.execute("UPDATE push_position SET pos = $1", pos)


async def has_pushers(tx: Tx) -> bool:
    """Whether anybody has a pusher at all."""
    found: bool = await tx.fetchval("SELECT EXISTS (SELECT 1 FROM pushers)")
    return found


async def list_watchers(tx: Tx, room_ids: Sequence[RoomID]) -> list[tuple[RoomID, UserID]]:
    """(room, user) for those who are in the rooms, or invited, and have a pusher."""
    rows = await tx.fetch(
        """
        SELECT m.room_id, m.user_id FROM memberships m
         WHERE m.room_id = ANY($1::text[]) AND m.membership IN ('join', 'invite')
           AND EXISTS (SELECT 1 FROM pushers p WHERE p.user_id = m.user_id)
        """,
        room_ids,
    )
    return [(row[0], row[1]) for row in rows]


async def list_readers(tx: Tx, after: int, upto: int) -> list[UserID]:
    """Those with a pusher who have read on in (after, upto]."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT p.user_id FROM pushers p JOIN receipts r USING (user_id) WHERE r.pos > $1 AND r.pos <= $2
        """,
        after, upto,
    )  # fmt: skip
    return [row[0] for row in rows]


async def insert_pushes(tx: Tx, due: Sequence[Due], now: datetime) -> None:
    """Puts each on its way to all pushers of its user; a newer one takes the place of an older of the same room."""
    await tx.execute(
        """
        INSERT INTO pushes (user_id, app_id, pushkey, room_id, event_id, pos, tweaks, since, due_at)
        SELECT d.user_id, p.app_id, p.pushkey, d.room_id, d.event_id, d.pos, d.tweaks, $6, $6
          FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $7::text[])
               AS d(user_id, room_id, event_id, pos, tweaks, only_app)
          JOIN pushers p ON p.user_id = d.user_id AND (d.only_app IS NULL OR d.only_app = p.app_id)
        ON CONFLICT (user_id, app_id, pushkey, room_id) DO UPDATE
           SET event_id = excluded.event_id, pos = excluded.pos, tweaks = excluded.tweaks
        """,
        [each.user_id for each in due],
        [each.room_id for each in due],
        [each.event_id for each in due],
        [each.pos for each in due],
        [each.tweaks for each in due],
        now,
        [each.only_app for each in due],
    )


async def list_due(tx: Tx, now: datetime, most: int) -> list[Push]:
    """What is due, the longest waiting first."""
    rows = await tx.fetch(
        """
        SELECT s.user_id, s.room_id, s.event_id, s.pos, s.tweaks, s.attempts, s.since, p.told_pos, p.told_at, p.pusher
          FROM pushes s JOIN pushers p USING (user_id, app_id, pushkey)
         WHERE s.due_at <= $1 ORDER BY s.due_at, s.pos LIMIT $2
        """,
        now, most,
    )  # fmt: skip
    return [Push(**{**row, "pusher": _pusher.decode(row["pusher"])}) for row in rows]


async def next_due(tx: Tx) -> datetime | None:
    """When the next is due; None if none waits."""
    due: datetime | None = await tx.fetchval("SELECT min(due_at) FROM pushes")
    return due


async def delete_push(tx: Tx, push: Push) -> None:
    """It has been told, or is given up; a newer one that has taken its place stays, and is due at once."""
    key = (push.user_id, push.pusher.app_id, push.pusher.pushkey, push.room_id)
    await tx.execute(
        "DELETE FROM pushes WHERE user_id = $1 AND app_id = $2 AND pushkey = $3 AND room_id = $4 AND pos = $5",
        *key, push.pos,
    )  # fmt: skip
    await tx.execute(
        """
        UPDATE pushes SET attempts = 0, since = now(), due_at = now()
         WHERE user_id = $1 AND app_id = $2 AND pushkey = $3 AND room_id = $4
        """,
        *key,
    )


async def update_told(tx: Tx, push: Push, at: datetime) -> None:
    """Notes that a pusher has been told of something."""
    await tx.execute(
        "UPDATE pushers SET told_pos = $4, told_at = $5 WHERE user_id = $1 AND app_id = $2 AND pushkey = $3",
        push.user_id, push.pusher.app_id, push.pusher.pushkey, push.pos, at,
    )  # fmt: skip


async def update_put_off(tx: Tx, push: Push, due_at: datetime) -> None:
    """It is not time to tell it yet."""
    await tx.execute(
        """
        UPDATE pushes SET due_at = $5
         WHERE user_id = $1 AND app_id = $2 AND pushkey = $3 AND room_id = $4
        """,
        push.user_id, push.pusher.app_id, push.pusher.pushkey, push.room_id, due_at,
    )  # fmt: skip


async def update_failed(tx: Tx, push: Push, due_at: datetime) -> None:
    """It could not be told, and is tried again."""
    await tx.execute(
        """
        UPDATE pushes SET attempts = attempts + 1, due_at = $5
         WHERE user_id = $1 AND app_id = $2 AND pushkey = $3 AND room_id = $4
        """,
        push.user_id, push.pusher.app_id, push.pusher.pushkey, push.room_id, due_at,
    )  # fmt: skip
