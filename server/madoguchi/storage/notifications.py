"""The newest events that somebody else sent into a user's rooms: what a user may have been notified of."""

from madoguchi.storage import stream
from madoguchi.storage.db import Tx
from madoguchi.storage.events import COLUMNS, Event, event_from

_STRETCH = 4_000
_EVENT_COLUMNS = ", ".join(f"e.{column.strip()}" for column in COLUMNS.split(","))


async def list_events_of_others(tx: Tx, user_id: str, before: int, most: int) -> list[Event]:
    """At most `most` events before a position, the newest first, of the rooms that the user is joined to, since they
    joined. An invitation counts as an event of the room it invites to."""
    rooms = await tx.fetch(
        """
        SELECT m.room_id, m.membership = 'join' AS joined,
               -- From the join on, not from a later change of the user's name there.
               CASE WHEN m.membership = 'join' THEN coalesce(
                   (SELECT max(gone.pos) FROM events gone
                     WHERE gone.room_id = m.room_id AND gone.type = 'm.room.member' AND gone.state_key = $1
                       AND gone.body NOT LIKE '%"membership":"join"%'), 0)
               ELSE m.pos - 1 END AS since
          FROM memberships m WHERE m.user_id = $1 AND m.membership IN ('join', 'invite')
        """,
        user_id,
    )
    found: list[Event] = []
    # A stretch of the stream at a time: the newest of all rooms lie near its end, and most rooms are quiet there.
    end = min(before, 1 + await stream.position(tx))
    stretch = _STRETCH
    while rooms and end > 0 and len(found) < most:
        rows = await tx.fetch(
            f"""
            SELECT {_EVENT_COLUMNS} FROM unnest($1::text[], $2::boolean[], $3::bigint[]) AS own(room_id, joined, since)
             CROSS JOIN LATERAL (
                SELECT * FROM events
                 WHERE room_id = own.room_id AND pos > greatest(own.since, $5) AND pos < $6 AND sender <> $4
                   AND (own.joined OR (type = 'm.room.member' AND state_key = $4))
                 ORDER BY pos DESC LIMIT $7
            ) e ORDER BY e.pos DESC LIMIT $7
            """,
            [room["room_id"] for room in rooms],
            [room["joined"] for room in rooms],
            [room["since"] for room in rooms],
            user_id,
            end - 1 - stretch,
            end,
            most - len(found),
        )
        found += [event_from(tuple(row)) for row in rows]
        end, stretch = end - stretch, stretch * 8
    return found


async def list_joined_since(tx: Tx, user_id: str, room_ids: list[str]) -> dict[str, int]:
    """From which position on the user has been joined to each of these rooms, changes of name and picture aside."""
    rows = await tx.fetch(
        """
        SELECT room_id, min(pos) AS pos FROM events joined
         WHERE room_id = ANY($2::text[]) AND type = 'm.room.member' AND state_key = $1
           AND pos > coalesce((SELECT max(gone.pos) FROM events gone
                                WHERE gone.room_id = joined.room_id AND gone.type = 'm.room.member'
                                  AND gone.state_key = $1 AND gone.body NOT LIKE '%"membership":"join"%'), 0)
         GROUP BY room_id
        """,
        user_id,
        room_ids,
    )
    return {row["room_id"]: row["pos"] for row in rows}


async def list_read(tx: Tx, user_id: str, room_ids: list[str], after: int) -> dict[tuple[str, str], int]:
    """How far the user has read, by (room id, thread id): '' counts for all threads, 'main' outside threads.

    Who has written something has read what stood before; that is looked for after the position `after` only.
    """
    rows = await tx.fetch(
        """SELECT room_id, thread_id, max(pos) AS pos FROM (
               SELECT room_id, thread_id, event_pos AS pos FROM receipts
                WHERE user_id = $1 AND room_id = ANY($2::text[])
               UNION ALL
               SELECT room_id, '', pos FROM events
                WHERE sender = $1 AND room_id = ANY($2::text[]) AND pos > $3 AND state_key IS NULL
           ) marks GROUP BY room_id, thread_id""",
        user_id,
        room_ids,
        after,
    )
    return {(row["room_id"], row["thread_id"]): row["pos"] for row in rows}
