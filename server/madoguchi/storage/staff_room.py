"""The staff room: where it is, who is in it, what its bot has said of which case, and which commands were obeyed."""

from datetime import datetime

import msgspec

from madoguchi.storage.cases import Risk, State
from madoguchi.storage.db import Tx


class Card(msgspec.Struct, frozen=True):
    """What stands about a case in the staff room, and how the case stands.

    event_id: of the notice; told: what it says, as a code; turn: how often that has changed; late: of which wait it was
    said that it is long; since: when the person began to wait; counsellor: who took the case last
    """

    case_id: str
    number: int
    event_id: str | None
    told: str
    turn: int
    late: datetime | None
    state: State
    channel: str
    risk: Risk
    team: str | None
    since: datetime
    repeat: bool
    counsellor: str | None


class Answer(msgspec.Struct, frozen=True):
    """Japanese first, then English."""

    ja: str
    en: str


async def get_room(tx: Tx) -> str | None:
    """The staff room; None while nobody has needed it."""
    room_id: str | None = await tx.fetchval("SELECT room_id FROM staff_room")
    return room_id


async def lock_making(tx: Tx) -> None:
    """Lets one at a time make the staff room."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('staff room', 5))")


async def insert_room(tx: Tx, room_id: str) -> None:
    """Notes the staff room."""
    await tx.execute("INSERT INTO staff_room (room_id) VALUES ($1)", room_id)


async def list_invitations(tx: Tx) -> list[str]:
    """Staff who are not in the room and have not left it themselves."""
    rows = await tx.fetch(
        """
        SELECT s.user_id FROM staff s CROSS JOIN staff_room r
          LEFT JOIN memberships m ON m.room_id = r.room_id AND m.user_id = s.user_id
         WHERE s.disabled_at IS NULL
           AND (m.membership IS NULL OR (m.membership = 'leave' AND m.sender <> m.user_id))
         ORDER BY s.added_at, s.user_id
        """
    )
    return [row["user_id"] for row in rows]


async def list_removals(tx: Tx) -> list[str]:
    """Who is in the room, or invited, and no longer works here."""
    rows = await tx.fetch(
        """
        SELECT s.user_id FROM staff s CROSS JOIN staff_room r
          JOIN memberships m ON m.room_id = r.room_id AND m.user_id = s.user_id AND m.membership IN ('invite', 'join')
         WHERE s.disabled_at IS NOT NULL ORDER BY s.user_id
        """
    )
    return [row["user_id"] for row in rows]


async def insert_cards(tx: Tx) -> None:
    """Gives every running case a number."""
    await tx.execute(
        """
        INSERT INTO staff_room_cards (case_id)
        SELECT c.id FROM cases c
         WHERE c.state IN ('waiting', 'talking', 'resting')
           AND NOT EXISTS (SELECT 1 FROM staff_room_cards k WHERE k.case_id = c.id)
         ORDER BY c.arrived_at, c.id
        ON CONFLICT DO NOTHING
        """
    )


async def delete_cards(tx: Tx) -> None:
    """Forgets the cards of ended cases of which all is said."""
    await tx.execute(
        """
        DELETE FROM staff_room_cards k USING cases c
         WHERE c.id = k.case_id AND c.state IN ('closed', 'purged') AND (k.event_id IS NULL OR k.told = 'ended')
        """
    )


async def delete_card(tx: Tx, case_id: str) -> None:
    """Forgets the card of a case."""
    await tx.execute("DELETE FROM staff_room_cards WHERE case_id = $1", case_id)


async def list_cards(tx: Tx) -> list[Card]:
    """All cards: those who wait in the order of the queue, first."""
    rows = await tx.fetch(
        """
        SELECT k.case_id, k.number, k.event_id, k.told, k.turn, k.late, c.state, h.kind AS channel, c.risk, c.team,
               coalesce(c.woke_at, c.waiting_since) AS since,
               EXISTS (SELECT 1 FROM cases e WHERE e.user_id = c.user_id AND e.arrived_at < c.arrived_at) AS repeat,
               (SELECT s.name FROM case_staff cs JOIN staff s USING (user_id)
                 WHERE cs.case_id = c.id AND cs.until IS NULL
                 ORDER BY cs.part, cs.since DESC, s.user_id LIMIT 1) AS counsellor
          FROM staff_room_cards k JOIN cases c ON c.id = k.case_id JOIN channels h ON h.id = c.channel_id
         ORDER BY c.state <> 'waiting', c.waiting_since, c.id
        """
    )
    return [Card(**row) for row in rows]


async def update_told(tx: Tx, case_id: str, told: str, event_id: str) -> None:
    """Notes what the notice about a case says now, and which event it is."""
    await tx.execute(
        "UPDATE staff_room_cards SET told = $2, event_id = $3, turn = turn + 1 WHERE case_id = $1",
        case_id,
        told,
        event_id,
    )


async def update_late(tx: Tx, case_id: str, since: datetime) -> None:
    """Notes of which wait it was said that it is long."""
    await tx.execute("UPDATE staff_room_cards SET late = $2 WHERE case_id = $1", case_id, since)


async def get_answer(tx: Tx, event_id: str) -> tuple[bool, Answer | None]:
    """Whether an event was obeyed already, and what was answered."""
    row = await tx.fetchrow("SELECT answer FROM staff_room_commands WHERE event_id = $1", event_id)
    if row is None:
        return False, None
    return True, None if row["answer"] is None else msgspec.json.decode(row["answer"], type=Answer)


async def insert_command(tx: Tx, event_id: str, at: datetime) -> bool:
    """Takes an event for a command; False if it was one already. Of two at once the second waits for the first."""
    done: str = await tx.execute(
        "INSERT INTO staff_room_commands (event_id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING", event_id, at
    )
    return done == "INSERT 0 1"


async def update_answer(tx: Tx, event_id: str, answer: Answer) -> None:
    """Notes what was answered."""
    await tx.execute(
        "UPDATE staff_room_commands SET answer = $2 WHERE event_id = $1", event_id, msgspec.json.encode(answer).decode()
    )


async def delete_commands(tx: Tx, before: datetime) -> int:
    """Forgets commands of before a moment. Gives how many."""
    done: str = await tx.execute("DELETE FROM staff_room_commands WHERE at < $1", before)
    return int(done.rpartition(" ")[2])
