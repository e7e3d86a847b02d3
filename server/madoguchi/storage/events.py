"""Events: immutable, in the order of the stream; and the state and memberships that follow from them."""

import sys
from collections.abc import Sequence

import msgspec

from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage import stream
from madoguchi.storage.db import Tx

COLUMNS = (
    "pos, room_id, event_id, type, state_key, sender, at, body, device_id, txn_id, replaces, unsigned, "
    "relates_to, rel_type"
)
"""The columns that `event_from` takes, in its order."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a room.

    pos: its stream position; at: milliseconds (origin_server_ts)
    body: the event as JSON for clients, without `room_id` and `unsigned`; ciphertext where the room is encrypted
    device_id, txn_id: from which device and under which transaction id it was sent, to show the sender its local echo
    replaces: the state event that it replaces; unsigned: JSON object text, or empty
    relates_to, rel_type: what its content says it relates to (kept when it is stored, not when it is read)
    nonce: what made its id unlike that of an equal event; known while it is being stored, and not read again
    """

    pos: int
    room_id: RoomID
    event_id: EventID
    type: str
    sender: UserID
    at: int
    body: bytes
    state_key: str | None = None
    device_id: str | None = None
    txn_id: str | None = None
    replaces: EventID | None = None
    unsigned: bytes = b""
    relates_to: EventID | None = None
    rel_type: str | None = None
    nonce: str | None = None


def event_from(row: Sequence[object]) -> Event:
    """An event of a row with COLUMNS."""
    (pos, room_id, event_id, type_, state_key, sender, at, body, device_id, txn_id, replaces, unsigned, relates_to,
     rel_type) = row  # fmt: skip
    return Event(
        pos=pos,  # type: ignore[arg-type]
        # Thousands of events in memory share few rooms and types.
        room_id=sys.intern(str(room_id)),
        event_id=event_id,  # type: ignore[arg-type]
        type=sys.intern(str(type_)),
        state_key=state_key,  # type: ignore[arg-type]
        sender=sender,  # type: ignore[arg-type]
        at=at,  # type: ignore[arg-type]
        body=body.encode(),  # type: ignore[attr-defined]
        device_id=device_id,  # type: ignore[arg-type]
        txn_id=txn_id,  # type: ignore[arg-type]
        replaces=replaces,  # type: ignore[arg-type]
        unsigned=unsigned.encode(),  # type: ignore[attr-defined]
        relates_to=relates_to,  # type: ignore[arg-type]
        rel_type=rel_type,  # type: ignore[arg-type]
    )


async def append(
    tx: Tx, events: Sequence[Event], memberships: Sequence["Membership"], *notes: stream.Note
) -> list[Event]:
    """Appends events in their order, makes the state events among them current, and announces all of it.

    Takes the stream positions here: what is given as `pos` does not count. The rooms must exist. Gives the events with
    their positions.
    """
    last = await stream.take(tx, len(events))
    first = last - len(events) + 1
    placed = [msgspec.structs.replace(event, pos=first + number) for number, event in enumerate(events)]
    news = [(event.pos, "event", event.room_id, "") for event in placed]
    await stream.announce(tx, first, last, [*news, *((last, *note) for note in notes)])
    await tx.executemany(
        """
        INSERT INTO events (pos, room_id, event_id, type, state_key, sender, at, body, device_id, txn_id, replaces,
                            unsigned, relates_to, rel_type, nonce)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        """,
        [
            (e.pos, e.room_id, e.event_id, e.type, e.state_key, e.sender, e.at, e.body.decode(), e.device_id, e.txn_id,
             e.replaces, e.unsigned.decode(), e.relates_to, e.rel_type, e.nonce)
            for e in placed
        ],
    )  # fmt: skip
    state = [e for e in placed if e.state_key is not None]
    if state:
        await tx.executemany(
            """
            INSERT INTO current_state (room_id, type, state_key, event_id, pos) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (room_id, type, state_key) DO UPDATE SET event_id = excluded.event_id, pos = excluded.pos
            """,
            [(e.room_id, e.type, e.state_key, e.event_id, e.pos) for e in state],
        )
        await tx.executemany(
            "UPDATE rooms SET state_pos = $2 WHERE room_id = $1",
            list({e.room_id: (e.room_id, e.pos) for e in state}.values()),
        )
    positions = {e.event_id: e.pos for e in placed}
    if memberships:
        await tx.executemany(
            """
            INSERT INTO memberships (room_id, user_id, membership, sender, event_id, pos)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (user_id, room_id) DO UPDATE SET membership = excluded.membership, sender = excluded.sender,
                event_id = excluded.event_id, pos = excluded.pos,
                forgotten = memberships.forgotten AND excluded.membership IN ('leave', 'ban')
            """,
            [(m.room_id, m.user_id, m.membership, m.sender, m.event_id, positions[m.event_id]) for m in memberships],
        )
    return placed


class Membership(msgspec.Struct, frozen=True):
    """That a user is (or was) `join`ed, `invite`d, `leave` (gone), `ban`ned or `knock`ing in a room, since `pos`."""

    room_id: RoomID
    user_id: UserID
    membership: str
    sender: UserID
    event_id: EventID
    pos: int = 0
    forgotten: bool = False


async def insert_transaction(
    tx: Tx, user_id: UserID, device_id: str, scope: str, txn_id: str, event_id: EventID, at: int
) -> EventID | None:
    """Keeps what was sent under a transaction id; gives the earlier event id if there is one (and keeps that)."""
    kept = await tx.fetchval(
        "INSERT INTO transactions VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING event_id",
        user_id, device_id, scope, txn_id, event_id, at,
    )  # fmt: skip
    return None if kept is not None else await get_transaction(tx, user_id, device_id, scope, txn_id)


async def get_transaction(tx: Tx, user_id: UserID, device_id: str, scope: str, txn_id: str) -> EventID | None:
    """The event that was sent under a transaction id."""
    event_id: EventID | None = await tx.fetchval(
        "SELECT event_id FROM transactions WHERE user_id = $1 AND device_id = $2 AND scope = $3 AND txn_id = $4",
        user_id, device_id, scope, txn_id,
    )  # fmt: skip
    return event_id


async def get_event(tx: Tx, room_id: RoomID, event_id: EventID) -> Event | None:
    """One event of a room."""
    row = await tx.fetchrow(f"SELECT {COLUMNS} FROM events WHERE event_id = $1 AND room_id = $2", event_id, room_id)
    return event_from(tuple(row)) if row else None


async def list_events_by_id(tx: Tx, event_ids: Sequence[EventID]) -> list[Event]:
    """Those of the events that exist, in the order of the stream."""
    rows = await tx.fetch(f"SELECT {COLUMNS} FROM events WHERE event_id = ANY($1) ORDER BY pos", event_ids)
    return [event_from(tuple(row)) for row in rows]


async def list_events_after(tx: Tx, room_id: RoomID, after: int, upto: int, limit: int) -> list[Event]:
    """The first `limit` events of a room with after < pos <= upto, oldest first."""
    rows = await tx.fetch(
        f"SELECT {COLUMNS} FROM events WHERE room_id = $1 AND pos > $2 AND pos <= $3 ORDER BY pos LIMIT $4",
        room_id, after, upto, limit,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_events_before(tx: Tx, room_id: RoomID, before: int, down_to: int, limit: int) -> list[Event]:
    """The last `limit` events of a room with down_to < pos < before, newest first."""
    rows = await tx.fetch(
        f"SELECT {COLUMNS} FROM events WHERE room_id = $1 AND pos < $2 AND pos > $3 ORDER BY pos DESC LIMIT $4",
        room_id, before, down_to, limit,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_range(tx: Tx, first: int, last: int) -> list[Event]:
    """All events, of whatever room, with first <= pos <= last."""
    rows = await tx.fetch(f"SELECT {COLUMNS} FROM events WHERE pos BETWEEN $1 AND $2 ORDER BY pos", first, last)
    return [event_from(tuple(row)) for row in rows]


async def list_first_after(tx: Tx, after: int, upto: int, limit: int) -> list[Event]:
    """The first `limit` events, of whatever room, with after < pos <= upto."""
    rows = await tx.fetch(
        f"SELECT {COLUMNS} FROM events WHERE pos > $1 AND pos <= $2 ORDER BY pos LIMIT $3", after, upto, limit
    )
    return [event_from(tuple(row)) for row in rows]


async def list_newest(tx: Tx, room_ids: Sequence[RoomID], upto: int, limit: int) -> list[Event]:
    """The newest `limit` events of each room at a position, oldest first within a room."""
    rows = await tx.fetch(
        f"""
        SELECT {", ".join("e." + c for c in COLUMNS.split(", "))}
          FROM unnest($1::text[]) AS r(room_id)
         CROSS JOIN LATERAL (
            SELECT * FROM events WHERE events.room_id = r.room_id AND pos <= $2 ORDER BY pos DESC LIMIT $3
         ) e ORDER BY e.room_id, e.pos
        """,
        room_ids, upto, limit,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_current_state(tx: Tx, room_ids: Sequence[RoomID]) -> list[Event]:
    """The current state events of several rooms."""
    rows = await tx.fetch(
        f"""
        SELECT {", ".join("e." + c for c in COLUMNS.split(", "))}
          FROM current_state s JOIN events e ON e.pos = s.pos WHERE s.room_id = ANY($1)
        """,
        room_ids,
    )
    return [event_from(tuple(row)) for row in rows]


async def list_some_state(tx: Tx, room_id: RoomID, types: Sequence[str], members: Sequence[UserID]) -> list[Event]:
    """Of the current state: the events of these types, and the membership events of these users."""
    rows = await tx.fetch(
        f"""
        SELECT {", ".join("e." + c for c in COLUMNS.split(", "))}
          FROM current_state s JOIN events e ON e.pos = s.pos
         WHERE s.room_id = $1 AND (s.type = ANY($2) OR (s.type = 'm.room.member' AND s.state_key = ANY($3)))
        """,
        room_id, types, members,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_state_at(
    tx: Tx, room_id: RoomID, at: int, type_: str | None = None, state_key: str | None = None
) -> list[Event]:
    """The state of a room at a position: the last event up to it per type and state key."""
    rows = await tx.fetch(
        f"""
        SELECT DISTINCT ON (type, state_key) {COLUMNS} FROM events
         WHERE room_id = $1 AND state_key IS NOT NULL AND pos <= $2
           AND ($3::text IS NULL OR type = $3) AND ($4::text IS NULL OR state_key = $4)
         ORDER BY type, state_key, pos DESC
        """,
        room_id, at, type_, state_key,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_state_between(tx: Tx, room_id: RoomID, after: int, before: int) -> list[Event]:
    """What changed in a room's state with after < pos < before: the last event per type and state key."""
    rows = await tx.fetch(
        f"""
        SELECT DISTINCT ON (type, state_key) {COLUMNS} FROM events
         WHERE room_id = $1 AND state_key IS NOT NULL AND pos > $2 AND pos < $3
         ORDER BY type, state_key, pos DESC
        """,
        room_id, after, before,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_state_changes(tx: Tx, room_id: RoomID, after: int, upto: int) -> list[Event]:
    """Every state event of a room with after < pos <= upto, oldest first."""
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS} FROM events
         WHERE room_id = $1 AND state_key IS NOT NULL AND pos > $2 AND pos <= $3 ORDER BY pos
        """,
        room_id, after, upto,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_history_of(tx: Tx, room_id: RoomID, type_: str, state_key: str) -> list[Event]:
    """Every event that one piece of state has had, oldest first."""
    rows = await tx.fetch(
        f"SELECT {COLUMNS} FROM events WHERE room_id = $1 AND type = $2 AND state_key = $3 ORDER BY pos",
        room_id, type_, state_key,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_related(
    tx: Tx,
    room_id: RoomID,
    event_id: EventID,
    rel_type: str | None,
    type_: str | None,
    after: int,
    before: int,
    limit: int,
    newest_first: bool,
) -> list[Event]:
    """The events that relate to one, with after < pos < before."""
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS} FROM events
         WHERE relates_to = $1 AND room_id = $2 AND ($3::text IS NULL OR rel_type = $3)
           AND ($4::text IS NULL OR type = $4) AND pos > $5 AND pos < $6
         ORDER BY pos {"DESC" if newest_first else "ASC"} LIMIT $7
        """,
        event_id, room_id, rel_type, type_, after, before, limit,
    )  # fmt: skip
    return [event_from(tuple(row)) for row in rows]


async def list_thread_roots(
    tx: Tx, room_id: RoomID, before: int, limit: int, sender: UserID | None
) -> list[tuple[int, Event]]:
    """The roots of threads, those with the newest reply first: (position of the newest reply, root).

    `sender`: only threads that this user has taken part in.
    """
    rows = await tx.fetch(
        f"""
        SELECT t.newest, {", ".join("e." + c for c in COLUMNS.split(", "))}
          FROM (SELECT relates_to, max(pos) AS newest, bool_or(sender = $4) AS own FROM events
                 WHERE room_id = $1 AND rel_type = 'm.thread' GROUP BY relates_to) t
          JOIN events e ON e.event_id = t.relates_to AND e.room_id = $1
         WHERE t.newest < $2 AND ($4::text IS NULL OR t.own OR e.sender = $4)
         ORDER BY t.newest DESC LIMIT $3
        """,
        room_id, before, limit, sender,
    )  # fmt: skip
    return [(row[0], event_from(tuple(row)[1:])) for row in rows]


async def first_at_or_after(tx: Tx, room_id: RoomID, at: int) -> Event | None:
    """The first event of a room at or after a moment (milliseconds)."""
    row = await tx.fetchrow(
        f"SELECT {COLUMNS} FROM events WHERE room_id = $1 AND at >= $2 ORDER BY at, pos LIMIT 1", room_id, at
    )
    return event_from(tuple(row)) if row else None


async def last_at_or_before(tx: Tx, room_id: RoomID, at: int) -> Event | None:
    """The last event of a room at or before a moment (milliseconds)."""
    row = await tx.fetchrow(
        f"SELECT {COLUMNS} FROM events WHERE room_id = $1 AND at <= $2 ORDER BY at DESC, pos DESC LIMIT 1", room_id, at
    )
    return event_from(tuple(row)) if row else None


async def get_nonce(tx: Tx, event_id: EventID) -> str | None:
    """What made an event's id unlike that of an equal one; None where it is redacted, or older than this was kept."""
    nonce: str | None = await tx.fetchval("SELECT nonce FROM events WHERE event_id = $1", event_id)
    return nonce


async def redact(tx: Tx, event_id: EventID, body: bytes, unsigned: bytes, content_hash: bytes | None) -> None:
    """Overwrites an event with what redaction leaves of it, also where a later state event quotes it.

    `content_hash`: of what it said, which its id is made of; the first one given stays.
    """
    await tx.execute(
        """
        UPDATE events SET body = $2, unsigned = $3, relates_to = NULL, rel_type = NULL, nonce = NULL,
                          content_hash = coalesce(content_hash, $4)
         WHERE event_id = $1
        """,
        event_id, body.decode(), unsigned.decode(), content_hash,
    )  # fmt: skip
    await tx.execute(
        "UPDATE events SET unsigned = '' WHERE replaces = $1 AND unsigned NOT LIKE '{\"redacted_because\":%'", event_id
    )


async def last_of_types(tx: Tx, room_id: RoomID, types: Sequence[str], upto: int) -> int | None:
    """The position of the newest event of one of these types in a room, at or before a position."""
    # Piece by piece: asked for in one, a planner may go through the events of all rooms to find it.
    while rows := await tx.fetch(
        "SELECT pos, type FROM events WHERE room_id = $1 AND pos <= $2 ORDER BY pos DESC LIMIT 500", room_id, upto
    ):
        for pos, type_ in rows:
            if type_ in types:
                return int(pos)
        upto = rows[-1][0] - 1
    return None
