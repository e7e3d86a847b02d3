"""Rooms, who is in them, and their aliases."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from madoguchi.ids import EventID, RoomID, UserID
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Membership

_ROOM = "room_id, version, kind, creator, created_at, state_pos, public"
_MEMBERSHIP = "room_id, user_id, membership, sender, event_id, pos, forgotten"


class Room(msgspec.Struct, frozen=True):
    """kind: `plain`, or `case` and `side` for the desk's rooms, where only encrypted content is taken.
    created_at: milliseconds; state_pos: the position of the newest state event."""

    room_id: RoomID
    version: str
    kind: str
    creator: UserID
    created_at: int
    state_pos: int
    public: bool = False


async def insert_room(tx: Tx, room: Room) -> None:
    await tx.execute(
        f"INSERT INTO rooms ({_ROOM}) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        room.room_id, room.version, room.kind, room.creator, room.created_at, room.state_pos, room.public,
    )  # fmt: skip


async def get_room(tx: Tx, room_id: RoomID) -> Room | None:
    row = await tx.fetchrow(f"SELECT {_ROOM} FROM rooms WHERE room_id = $1", room_id)
    return Room(*row) if row else None


async def list_rooms(tx: Tx, room_ids: Sequence[RoomID]) -> list[Room]:
    rows = await tx.fetch(f"SELECT {_ROOM} FROM rooms WHERE room_id = ANY($1)", room_ids)
    return [Room(*row) for row in rows]


async def list_public(tx: Tx) -> list[RoomID]:
    return [row[0] for row in await tx.fetch("SELECT room_id FROM rooms WHERE public ORDER BY created_at")]


async def update_public(tx: Tx, room_id: RoomID, public: bool) -> None:
    await tx.execute("UPDATE rooms SET public = $2 WHERE room_id = $1", room_id, public)


async def get_membership(tx: Tx, room_id: RoomID, user_id: UserID) -> Membership | None:
    row = await tx.fetchrow(
        f"SELECT {_MEMBERSHIP} FROM memberships WHERE user_id = $1 AND room_id = $2",
        user_id, room_id,
    )  # fmt: skip
    return Membership(*row) if row else None


async def was_joined(tx: Tx, room_id: RoomID, user_id: UserID) -> bool:
    """Whether the user has ever been a member: an invitation that was turned down leaves a membership too."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (
            SELECT 1 FROM events
             WHERE room_id = $1 AND type = 'm.room.member' AND state_key = $2
               AND body::json #>> '{content,membership}' = 'join')
        """,
        room_id, user_id,
    )  # fmt: skip
    return found


async def world_readable_since(tx: Tx, room_id: RoomID) -> int | None:
    """The position since which a room's history is open to the world; None if it is not now."""
    pos: int | None = await tx.fetchval(
        """
        SELECT e.pos FROM current_state s JOIN events e ON e.pos = s.pos
         WHERE s.room_id = $1 AND s.type = 'm.room.history_visibility' AND s.state_key = ''
           AND e.body::json #>> '{content,history_visibility}' = 'world_readable'
        """,
        room_id,
    )
    return pos


async def list_memberships(tx: Tx, user_id: UserID) -> list[Membership]:
    """Every room that the user is or was in and has not forgotten."""
    rows = await tx.fetch(
        """
        SELECT room_id, user_id, membership, sender, event_id, pos, forgotten FROM memberships
         WHERE user_id = $1 AND NOT forgotten ORDER BY pos
        """,
        user_id,
    )
    return [Membership(*row) for row in rows]


class Fact(msgspec.Struct, frozen=True):
    """A room as somebody's list of rooms knows it. own: position of their membership; sender: who set it; was_in: they
    are or were joined; removed: somebody else ended it; head: position of its newest event; type: of its create
    event."""

    room_id: RoomID
    membership: str
    own: int
    sender: UserID
    was_in: bool
    removed: bool
    head: int
    encrypted: bool
    type: str | None


async def list_facts(tx: Tx, user_id: UserID) -> list[Fact]:
    """The rooms of `list_memberships`, as a list of rooms knows them."""
    rows = await tx.fetch(
        """
        SELECT m.room_id, m.membership, m.pos, m.sender,
               m.membership = 'join' OR EXISTS (
                   SELECT 1 FROM events e WHERE e.room_id = m.room_id AND e.type = 'm.room.member'
                      AND e.state_key = m.user_id AND e.body::json #>> '{content,membership}' = 'join'),
               m.membership = 'ban' OR (m.membership = 'leave' AND m.sender <> m.user_id),
               (SELECT max(e.pos) FROM events e WHERE e.room_id = m.room_id),
               EXISTS (SELECT 1 FROM current_state s
                        WHERE s.room_id = m.room_id AND s.type = 'm.room.encryption' AND s.state_key = ''),
               (SELECT e.body::json #>> '{content,type}' FROM current_state s JOIN events e ON e.pos = s.pos
                 WHERE s.room_id = m.room_id AND s.type = 'm.room.create' AND s.state_key = '')
          FROM memberships m WHERE m.user_id = $1 AND NOT m.forgotten
        """,
        user_id,
    )
    return [Fact(*row) for row in rows]


async def list_touched(tx: Tx, user_id: UserID, after: int, upto: int) -> list[RoomID]:
    """Of the rooms that the user is in, or has left after `after`: those with an event in after < pos <= upto."""
    rows = await tx.fetch(
        """
        SELECT m.room_id FROM memberships m
         WHERE m.user_id = $1 AND (m.membership IN ('join', 'invite', 'knock') OR m.pos > $2)
           AND EXISTS (SELECT 1 FROM events e WHERE e.room_id = m.room_id AND e.pos > $2 AND e.pos <= $3)
        """,
        user_id, after, upto,
    )  # fmt: skip
    return [row[0] for row in rows]


async def list_joined_rooms(tx: Tx, user_id: UserID) -> list[RoomID]:
    rows = await tx.fetch(
        "SELECT room_id FROM memberships WHERE user_id = $1 AND membership = 'join' ORDER BY pos", user_id
    )
    return [row[0] for row in rows]


async def list_members(tx: Tx, room_id: RoomID, membership: str) -> list[UserID]:
    """The users with this membership, the first to come first."""
    rows = await tx.fetch(
        "SELECT user_id FROM memberships WHERE room_id = $1 AND membership = $2 ORDER BY pos", room_id, membership
    )
    return [row[0] for row in rows]


async def list_shared_users(tx: Tx, user_id: UserID) -> set[UserID]:
    """Who is joined to a room that the user is joined to; the user too if in any room."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT theirs.user_id FROM memberships mine
          JOIN memberships theirs ON theirs.room_id = mine.room_id AND theirs.membership = 'join'
         WHERE mine.user_id = $1 AND mine.membership = 'join'
        """,
        user_id,
    )
    return {row[0] for row in rows}


async def list_acquaintances(tx: Tx, user_id: UserID) -> set[UserID]:
    """Who is joined or invited to a room that the user is joined to; the user too if in any room."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT theirs.user_id FROM memberships mine
          JOIN memberships theirs ON theirs.room_id = mine.room_id AND theirs.membership IN ('join', 'invite')
         WHERE mine.user_id = $1 AND mine.membership = 'join'
        """,
        user_id,
    )
    return {row[0] for row in rows}


async def forget(tx: Tx, room_id: RoomID, user_id: UserID) -> None:
    await tx.execute("UPDATE memberships SET forgotten = true WHERE user_id = $1 AND room_id = $2", user_id, room_id)


async def insert_alias(tx: Tx, alias: str, room_id: RoomID, creator: UserID) -> bool:
    """Whether the alias was free."""
    kept = await tx.fetchval(
        "INSERT INTO aliases (alias, room_id, creator) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING alias",
        alias, room_id, creator,
    )  # fmt: skip
    return kept is not None


async def get_alias(tx: Tx, alias: str) -> tuple[RoomID, UserID] | None:
    """The room an alias points at, and who made it."""
    row = await tx.fetchrow("SELECT room_id, creator FROM aliases WHERE alias = $1", alias)
    return (row[0], row[1]) if row else None


async def delete_alias(tx: Tx, alias: str) -> None:
    await tx.execute("DELETE FROM aliases WHERE alias = $1", alias)


async def move_aliases(tx: Tx, room_id: RoomID, to: RoomID) -> None:
    """Lets all aliases of one room lead to another."""
    await tx.execute("UPDATE aliases SET room_id = $2 WHERE room_id = $1", room_id, to)


async def list_aliases(tx: Tx, room_id: RoomID) -> list[str]:
    return [row[0] for row in await tx.fetch("SELECT alias FROM aliases WHERE room_id = $1 ORDER BY alias", room_id)]


# What a young person reports from the page; a Matrix client says nothing of the kind.
ReportKind = Literal["hurtful", "sexual", "contact", "doubt", "other"]


class Report(msgspec.Struct, frozen=True):
    """That somebody reported a room, an event in it, or a person. at, seen_at: milliseconds; reasoned: they gave a
    reason, which is not kept; case_id: the case whose room it is; about: who sent the reported event, or is reported,
    and about_name what they are called at the desk; seen_by: who has looked into it."""

    id: int
    at: int
    reporter: UserID
    room_id: RoomID | None
    event_id: EventID | None
    about: UserID | None
    reasoned: bool
    case_id: str | None
    kind: ReportKind | None
    about_name: str | None
    seen_by: UserID | None
    seen_at: int | None


# Whom a report is about does not see it.
_REPORT = """
    SELECT r.id, r.at, r.reporter, r.room_id, r.event_id, r.user_id AS about, r.reasoned, c.id AS case_id, r.kind,
           s.name AS about_name, r.seen_by, r.seen_at
      FROM reports r LEFT JOIN cases c USING (room_id) LEFT JOIN staff s ON s.user_id = r.user_id
     WHERE r.user_id IS DISTINCT FROM $1
"""


async def list_reports(tx: Tx, viewer: UserID, before: int, most: int, *, unseen: bool) -> list[Report]:
    """Reports with an id below `before` that are not about the viewer, the newest first. unseen: only those that
    nobody has looked into."""
    only = "AND r.seen_at IS NULL" if unseen else ""
    rows = await tx.fetch(f"{_REPORT} AND r.id < $2 {only} ORDER BY r.id DESC LIMIT $3", viewer, before, most)
    return [Report(**row) for row in rows]


async def get_report(tx: Tx, report_id: int, viewer: UserID) -> Report | None:
    """A report; None also where it is about the viewer."""
    row = await tx.fetchrow(f"{_REPORT} AND r.id = $2", viewer, report_id)
    return Report(**row) if row else None


async def count_reports(tx: Tx, room_id: RoomID, reporter: UserID) -> int:
    """How often somebody has reported a room or what is in it."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM reports WHERE room_id = $1 AND reporter = $2", room_id, reporter
    )
    return count


async def update_report_seen(tx: Tx, report_id: int, by: UserID, at: int) -> None:
    """Notes who has looked into a report, and when."""
    await tx.execute("UPDATE reports SET seen_by = $2, seen_at = $3 WHERE id = $1", report_id, by, at)


async def insert_report(
    tx: Tx,
    at: int,
    reporter: UserID,
    room_id: RoomID | None,
    event_id: EventID | None,
    user_id: UserID | None,
    reasoned: bool,
    kind: ReportKind | None = None,
) -> None:
    """Keeps that something was reported; `reasoned`: whether the reporter gave a reason (which is not kept)."""
    await tx.execute(
        """
        INSERT INTO reports (at, reporter, room_id, event_id, user_id, reasoned, kind)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        at, reporter, room_id, event_id, user_id, reasoned, kind,
    )  # fmt: skip
