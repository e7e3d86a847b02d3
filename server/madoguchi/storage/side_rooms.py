"""Side rooms: the staff's own room of a case, and who is to be in it. Nothing here knows what is written there."""

from datetime import datetime

import msgspec

from madoguchi.ids import CaseID, RoomID, UserID
from madoguchi.storage.cases import Seat
from madoguchi.storage.db import Tx

# Whoever has the case, and whoever leads the shift. Somebody who is no longer either is taken out; who has handed the
# case over, when they leave its room: until then they may tell their successor the rest.
_MAY = """
    s.disabled_at IS NULL AND p.until IS NULL AND (
        s.role IN ('supervisor', 'administrator') OR EXISTS (
            SELECT 1 FROM case_staff h WHERE h.case_id = p.case_id AND h.user_id = p.user_id
               AND (h.until IS NULL OR (h.succeeded_by IS NOT NULL AND c.state <> 'closed' AND EXISTS (
                    SELECT 1 FROM memberships o
                     WHERE o.room_id = c.room_id AND o.user_id = p.user_id AND o.membership = 'join')))))
"""
_SEATS = f"""
    SELECT c.id AS case_id, c.side_room_id AS room_id, p.user_id, {_MAY} AS may,
           coalesce(m.membership, 'leave') AS membership
      FROM side_seats p JOIN cases c ON c.id = p.case_id JOIN staff s ON s.user_id = p.user_id
      LEFT JOIN memberships m ON m.room_id = c.side_room_id AND m.user_id = p.user_id
     WHERE c.state <> 'purged'
"""


class SideRoom(msgspec.Struct, frozen=True):
    """A case's side room."""

    case_id: CaseID
    room_id: RoomID


async def get_room_of(tx: Tx, case_id: CaseID) -> RoomID | None:
    """The side room of a case; None while nobody has needed one."""
    room_id: RoomID | None = await tx.fetchval("SELECT side_room_id FROM cases WHERE id = $1", case_id)
    return room_id


async def get_by_room(tx: Tx, room_id: RoomID) -> SideRoom | None:
    """Whose side room a room is; None for any other room."""
    row = await tx.fetchrow("SELECT id AS case_id, side_room_id AS room_id FROM cases WHERE side_room_id = $1", room_id)
    return SideRoom(**row) if row else None


async def update_room_of(tx: Tx, case_id: CaseID, room_id: RoomID) -> None:
    """Notes a case's side room."""
    await tx.execute("UPDATE cases SET side_room_id = $2 WHERE id = $1", case_id, room_id)


async def insert_seat(tx: Tx, case_id: CaseID, user_id: UserID, at: datetime) -> bool:
    """Lets somebody into a side room; False if they were to be in it already."""
    done: str = await tx.execute(
        """
        INSERT INTO side_seats (case_id, user_id, since) VALUES ($1, $2, $3)
        ON CONFLICT (case_id, user_id) DO UPDATE SET since = excluded.since, until = NULL
         WHERE side_seats.until IS NOT NULL
        """,
        case_id,
        user_id,
        at,
    )
    return done == "INSERT 0 1"


async def insert_seat_beside(tx: Tx, case_id: CaseID, user_id: UserID, at: datetime) -> None:
    """Lets somebody who comes into a case into its side room too, if there is one."""
    await tx.execute(
        """
        INSERT INTO side_seats (case_id, user_id, since)
        SELECT id, $2, $3 FROM cases WHERE id = $1 AND side_room_id IS NOT NULL
        ON CONFLICT (case_id, user_id) DO UPDATE SET since = excluded.since, until = NULL
         WHERE side_seats.until IS NOT NULL
        """,
        case_id,
        user_id,
        at,
    )


async def update_seat_ended(tx: Tx, case_id: CaseID, user_id: UserID, at: datetime) -> None:
    """Somebody is not to be in a side room any more."""
    await tx.execute(
        "UPDATE side_seats SET until = $3 WHERE case_id = $1 AND user_id = $2 AND until IS NULL", case_id, user_id, at
    )


async def update_old_seats_ended(tx: Tx, at: datetime, before: datetime) -> int:
    """Ends the seats of ended cases that began before a moment. Gives how many."""
    done: str = await tx.execute(
        """
        UPDATE side_seats p SET until = $1 FROM cases c
         WHERE c.id = p.case_id AND c.state IN ('closed', 'purged') AND p.until IS NULL AND p.since < $2
        """,
        at,
        before,
    )
    return int(done.rpartition(" ")[2])


async def delete_left_seats(tx: Tx) -> None:
    """Forgets the ended seats of those who are out."""
    await tx.execute(
        """
        DELETE FROM side_seats p USING cases c
         WHERE c.id = p.case_id AND p.until IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM memberships m
                WHERE m.room_id = c.side_room_id AND m.user_id = p.user_id AND m.membership IN ('invite', 'join'))
        """
    )


async def list_invitations(tx: Tx) -> list[Seat]:
    """Staff who are to be in a side room and are neither invited to it nor in it."""
    rows = await tx.fetch(
        f"""
        SELECT case_id, room_id, user_id FROM ({_SEATS}) seats
         WHERE may AND membership IN ('leave', 'knock') ORDER BY case_id, user_id
        """
    )
    return [Seat(**row) for row in rows]


async def list_removals(tx: Tx) -> list[Seat]:
    """Staff in a side room, or invited to it, who are not to be there any more."""
    rows = await tx.fetch(
        f"""
        SELECT case_id, room_id, user_id FROM ({_SEATS}) seats
         WHERE NOT may AND membership IN ('invite', 'join') ORDER BY case_id, user_id
        """
    )
    return [Seat(**row) for row in rows]
