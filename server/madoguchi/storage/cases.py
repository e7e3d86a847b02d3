"""Cases 相談 and who looks after them. Nothing here knows what was said."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec

from madoguchi.storage.answers import Answers
from madoguchi.storage.channels import Channel
from madoguchi.storage.db import Tx

State = Literal["arriving", "waiting", "talking", "resting", "closed", "purged"]
Step = Literal[
    "arrived", "accepted", "handed_over", "returned", "called_in", "joined", "stepped_out", "risk", "left", "closed",
    "purged", "move_offered", "move_declined", "moved", "kept", "rested", "woke",
]  # fmt: skip
Risk = Literal["none", "watch", "high", "urgent"]
Part = Literal["counsellor", "helper"]
_RUNNING = "('arriving', 'waiting', 'talking', 'resting')"
# Whether the person of `cases c` has had a case before.
_REPEAT = "EXISTS (SELECT 1 FROM cases e WHERE e.user_id = c.user_id AND e.arrived_at < c.arrived_at)"
# Where the person of `moves m` stands on the way from an app; NULL where nobody has offered them anything.
STANDING = """
    CASE WHEN m.moved_at IS NOT NULL THEN 'moved'
         WHEN m.declined_at IS NOT NULL THEN 'declined'
         WHEN m.opened_at IS NOT NULL THEN 'opened'
         WHEN m.unreachable_at IS NOT NULL THEN 'unreachable'
         WHEN m.notified_at IS NOT NULL THEN 'notified'
         WHEN m.asked_by <> m.ghost THEN 'asked' END
"""


class Case(msgspec.Struct, frozen=True):
    """user_id: the young person or their ghost; channel: the kind of their channel; mode: that channel's mode; team:
    the id of the one that it waits for, if it was handed to one."""

    id: str
    room_id: str
    user_id: str
    channel_id: str
    channel: str
    mode: str
    state: State
    arrived_at: datetime
    waiting_since: datetime
    accepted_at: datetime | None
    closed_at: datetime | None
    risk: Risk = "none"
    team: str | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("arriving", "waiting", "talking", "resting")


class Charge(msgspec.Struct, frozen=True):
    """A case in a counsellor's hands.

    move: where the person stands on the way from an app (storage/moves.py); came_by: the kind of channel that they
    have moved from
    language: of the page on which the person arrived
    part: whether they look after it, or help in it; until: set once it has been handed over, while the successor is on
    the way; team: the id of the one that it waits for then, if it was handed to one; answers: what the person said
    while they waited; repeat: they have had a case before, and previous_shown: let that be seen
    """

    case_id: str
    room_id: str
    user_id: str
    channel: str
    mode: str
    state: State
    accepted_at: datetime
    until: datetime | None
    risk: Risk
    part: Part
    move: str | None
    came_by: str | None
    side_room_id: str | None
    team: str | None
    language: str | None
    answers: Answers | None
    repeat: bool
    previous_shown: bool | None


class Running(msgspec.Struct, frozen=True):
    """A case that has not ended. repeat: the person has had one before; counsellor: who took it last, if anybody; team:
    the id of the one that it waits for, if it was handed to one; accepted: somebody has taken it, now or earlier;
    answers: what the person said while they waited; previous_shown: whether they let their earlier cases be seen, None
    while they have not been asked."""

    case_id: str
    room_id: str
    user_id: str
    channel: str
    mode: str
    state: State
    waiting_since: datetime
    repeat: bool
    counsellor_id: str | None
    counsellor_name: str | None
    risk: Risk
    team: str | None
    accepted: bool
    answers: Answers | None
    previous_shown: bool | None


class Seat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member of staff, or whoever has moved, who should come into a case's room, or leave it. history: whether they
    are given what was said before; person: not of the staff; the case is theirs."""

    case_id: str
    room_id: str
    user_id: str
    history: bool = True
    person: bool = False


class PastWait(msgspec.Struct, frozen=True):
    """until: when a counsellor came; None while the person still waits."""

    since: datetime
    until: datetime | None
    place: int


_CASE = """
    SELECT c.id, c.room_id, c.user_id, c.channel_id, h.kind AS channel, h.mode, c.state, c.arrived_at, c.waiting_since,
           c.accepted_at, c.closed_at, c.risk, c.team
    FROM cases c JOIN channels h ON h.id = c.channel_id
"""


async def lock_person(tx: Tx, user_id: str) -> None:
    """Lets one arrival of a person at a time go on; the others wait for the end of its transaction."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 4))", user_id)


async def get_case(tx: Tx, case_id: str) -> Case | None:
    """A case by its id."""
    row = await tx.fetchrow(f"{_CASE} WHERE c.id = $1", case_id)
    return Case(**row) if row else None


async def lock_purged(tx: Tx, room_ids: Collection[str]) -> set[str]:
    """Those of the rooms whose cases are purged. None of the others is, before the end of the transaction."""
    rows = await tx.fetch(
        "SELECT room_id, side_room_id, state FROM cases"
        " WHERE room_id = ANY($1::text[]) OR side_room_id = ANY($1::text[]) ORDER BY id FOR SHARE",
        list(room_ids),
    )
    return {row[name] for row in rows if row["state"] == "purged" for name in ("room_id", "side_room_id")} & {*room_ids}


async def lock_case(tx: Tx, case_id: str) -> Case | None:
    """A case, held until the end of the transaction, as it stands once held."""
    # Not FOR UPDATE: whoever holds the stream and writes a row about the case would wait for us, and we for them.
    await tx.execute("SELECT 1 FROM cases WHERE id = $1 FOR NO KEY UPDATE", case_id)
    return await get_case(tx, case_id)


async def get_case_of_room(tx: Tx, room_id: str) -> Case | None:
    """The case that a room belongs to; None for any other room."""
    row = await tx.fetchrow(f"{_CASE} WHERE c.room_id = $1", room_id)
    return Case(**row) if row else None


async def get_running_case(tx: Tx, user_id: str) -> Case | None:
    """The person's case that has not ended."""
    row = await tx.fetchrow(f"{_CASE} WHERE c.user_id = $1 AND c.state IN {_RUNNING}", user_id)
    return Case(**row) if row else None


async def count_waiting(tx: Tx) -> int:
    """How many wait."""
    count: int = await tx.fetchval("SELECT count(*) FROM cases WHERE state = 'waiting'")
    return count


async def count_talked(tx: Tx, user_id: str, since: datetime) -> int:
    """In how many cases that somebody began since a moment a counsellor has come."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM cases WHERE user_id = $1 AND arrived_at >= $2 AND accepted_at IS NOT NULL", user_id, since
    )
    return count


async def get_latest_case(tx: Tx, user_id: str) -> Case | None:
    """The person's newest case, running or not."""
    row = await tx.fetchrow(
        f"{_CASE} WHERE c.user_id = $1 AND c.state <> 'purged' ORDER BY c.arrived_at DESC, c.id LIMIT 1", user_id
    )
    return Case(**row) if row else None


async def insert_case(
    tx: Tx, case_id: str, room_id: str, user_id: str, way: Channel, language: str | None, at: datetime
) -> Case:
    """Puts a new case at the end of the queue, and its arrival on record."""
    await tx.execute(
        """
        WITH arrived AS (
            INSERT INTO cases
                (id, room_id, user_id, channel_id, language, arrived_at, waiting_since, state, place_on_arrival)
            VALUES ($1, $2, $3, $4, $5, $6, $6, 'waiting', (SELECT count(*) + 1 FROM cases WHERE state = 'waiting'))
            RETURNING id, arrived_at, user_id
        )
        INSERT INTO case_steps (case_id, at, step, by_whom) SELECT id, arrived_at, 'arrived', user_id FROM arrived
        """,
        case_id,
        room_id,
        user_id,
        way.id,
        language,
        at,
    )
    return Case(
        id=case_id,
        room_id=room_id,
        user_id=user_id,
        channel_id=way.id,
        channel=way.kind,
        mode=way.mode,
        state="waiting",
        arrived_at=at,
        waiting_since=at,
        accepted_at=None,
        closed_at=None,
    )


async def update_accepted(tx: Tx, case_id: str, at: datetime) -> bool:
    """Takes a case out of the queue; False if it does not wait (any more). Of two at once exactly one gets True."""
    done = await tx.execute(
        """
        UPDATE cases SET state = 'talking', accepted_at = coalesce(accepted_at, $2), team = NULL
         WHERE id = $1 AND state = 'waiting'
        """,
        case_id,
        at,
    )
    return bool(done == "UPDATE 1")


async def update_handed_to_team(tx: Tx, case_id: str, team_id: str) -> None:
    """Puts a case back into the queue for a team, at the place of its arrival."""
    await tx.execute(
        "UPDATE cases SET state = 'waiting', team = $2, resting_since = NULL WHERE id = $1", case_id, team_id
    )


async def is_handing_over(tx: Tx, case_id: str, user_id: str) -> bool:
    """Whether somebody has handed a case over and was the last to have it."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (
            SELECT 1 FROM case_staff cs
             WHERE cs.case_id = $1 AND cs.user_id = $2 AND cs.succeeded_by IS NOT NULL AND cs.until = (
                   SELECT max(until) FROM case_staff WHERE case_id = $1 AND succeeded_by IS NOT NULL))
        """,
        case_id,
        user_id,
    )
    return found


async def update_returned(tx: Tx, case_id: str) -> None:
    """Puts a case back into the queue, at the place of its arrival."""
    await tx.execute("UPDATE cases SET state = 'waiting' WHERE id = $1", case_id)


async def update_closed(tx: Tx, case_id: str, at: datetime, by: str) -> None:
    """Ends a case."""
    await tx.execute(
        "UPDATE cases SET state = 'closed', closed_at = $2, closed_by = $3, resting_since = NULL WHERE id = $1",
        case_id,
        at,
        by,
    )


async def insert_step(
    tx: Tx, case_id: str, at: datetime, step: Step, by: str, to: str | None = None, reason: str | None = None
) -> None:
    """Writes down what happened to a case."""
    await tx.execute(
        "INSERT INTO case_steps (case_id, at, step, by_whom, to_whom, reason) VALUES ($1, $2, $3, $4, $5, $6)",
        case_id,
        at,
        step,
        by,
        to,
        reason,
    )


async def get_arrival(tx: Tx, key_hash: bytes, since: datetime) -> str | None:
    """The user id that an arrival under this key made since a moment."""
    user_id: str | None = await tx.fetchval(
        "SELECT user_id FROM arrivals WHERE key_hash = $1 AND at >= $2", key_hash, since
    )
    return user_id


async def insert_arrival(tx: Tx, key_hash: bytes, user_id: str, at: datetime) -> None:
    """Remembers what an arrival made; one long ago under the same key is forgotten."""
    await tx.execute(
        """
        INSERT INTO arrivals (key_hash, user_id, at) VALUES ($1, $2, $3)
        ON CONFLICT (key_hash) DO UPDATE SET user_id = excluded.user_id, at = excluded.at
        """,
        key_hash,
        user_id,
        at,
    )


async def delete_arrivals(tx: Tx, before: datetime) -> int:
    """Forgets arrivals that nobody repeats any more. Gives how many."""
    done: str = await tx.execute("DELETE FROM arrivals WHERE at < $1", before)
    return int(done.rpartition(" ")[2])


async def get_closed_by(tx: Tx, case_id: str) -> str | None:
    """Who ended a case; None while it runs."""
    by: str | None = await tx.fetchval("SELECT closed_by FROM cases WHERE id = $1", case_id)
    return by


# Who looks after a case


async def list_counsellors(tx: Tx, case_id: str) -> list[tuple[str, str]]:
    """(user id, name) of those who look after a case now or help in it, who took it last first."""
    rows = await tx.fetch(
        """
        SELECT s.user_id, s.name FROM case_staff cs JOIN staff s USING (user_id)
        WHERE cs.case_id = $1 AND cs.until IS NULL ORDER BY cs.part, cs.since DESC, s.user_id
        """,
        case_id,
    )
    return [(row["user_id"], row["name"]) for row in rows]


async def list_running_cases_of_staff(tx: Tx, user_id: str) -> list[str]:
    """The ids of the running cases that a member of staff looks after, in one order for all who lock them."""
    rows = await tx.fetch(
        f"""
        SELECT c.id FROM case_staff cs JOIN cases c ON c.id = cs.case_id
        WHERE cs.user_id = $1 AND cs.until IS NULL AND c.state IN {_RUNNING} ORDER BY c.id
        """,
        user_id,
    )
    return [row["id"] for row in rows]


async def count_charges(tx: Tx, user_id: str) -> int:
    """How many cases a member of staff looks after that take a place: not those that rest, nor where they only help."""
    count: int = await tx.fetchval(
        f"""
        SELECT count(*) FROM case_staff cs JOIN cases c ON c.id = cs.case_id
        WHERE cs.user_id = $1 AND cs.until IS NULL AND cs.part = 'counsellor' AND c.state IN {_RUNNING}
          AND c.state <> 'resting'
        """,
        user_id,
    )
    return count


async def insert_counsellor(tx: Tx, case_id: str, user_id: str, at: datetime, part: Part = "counsellor") -> None:
    """Gives a case into somebody's hands."""
    await tx.execute(
        "INSERT INTO case_staff (case_id, user_id, since, part) VALUES ($1, $2, $3, $4)", case_id, user_id, at, part
    )


async def get_part(tx: Tx, case_id: str, user_id: str) -> Part | None:
    """Whether somebody looks after a case now, or helps in it; None for neither."""
    part: Part | None = await tx.fetchval(
        "SELECT part FROM case_staff WHERE case_id = $1 AND user_id = $2 AND until IS NULL", case_id, user_id
    )
    return part


async def update_part(tx: Tx, case_id: str, user_id: str, part: Part) -> None:
    """Makes a counsellor of a helper, or the other way round."""
    await tx.execute(
        "UPDATE case_staff SET part = $3 WHERE case_id = $1 AND user_id = $2 AND until IS NULL", case_id, user_id, part
    )


async def update_promoted(tx: Tx, case_id: str) -> None:
    """Where only helpers are left, the one who has helped longest looks after the case from now on."""
    await tx.execute(
        """
        UPDATE case_staff SET part = 'counsellor' WHERE case_id = $1 AND until IS NULL
           AND NOT EXISTS (
               SELECT 1 FROM case_staff c WHERE c.case_id = $1 AND c.until IS NULL AND c.part = 'counsellor')
           AND user_id = (SELECT user_id FROM case_staff WHERE case_id = $1 AND until IS NULL
                          ORDER BY since, user_id LIMIT 1)
        """,
        case_id,
    )


async def update_risk(tx: Tx, case_id: str, risk: Risk) -> None:
    """Notes how dangerous a case stands."""
    await tx.execute("UPDATE cases SET risk = $2 WHERE id = $1", case_id, risk)


async def update_counsellor_ended(tx: Tx, case_id: str, user_id: str, at: datetime, successor: str | None) -> None:
    """Takes a case out of somebody's hands. They leave the room once the successor is in it, or at once without one."""
    await tx.execute(
        """
        UPDATE case_staff SET until = $3, succeeded_by = $4 WHERE case_id = $1 AND user_id = $2 AND until IS NULL
        """,
        case_id,
        user_id,
        at,
        successor,
    )


async def update_all_ended(tx: Tx, user_id: str, at: datetime) -> None:
    """Takes every case out of somebody's hands, closed ones too."""
    await tx.execute("UPDATE case_staff SET until = $2 WHERE user_id = $1 AND until IS NULL", user_id, at)


# The queue


async def list_running(tx: Tx) -> list[Running]:
    """All cases that have not ended, those who wait in the order of the queue."""
    rows = await tx.fetch(
        f"""
        SELECT c.id AS case_id, c.room_id, c.user_id, h.kind AS channel, h.mode, c.state,
               coalesce(c.woke_at, c.waiting_since) AS waiting_since,
               {_REPEAT} AS repeat,
               s.user_id AS counsellor_id, s.name AS counsellor_name, c.risk, c.team,
               c.accepted_at IS NOT NULL AS accepted, a.topics, a.school, a.grade, c.previous_shown
        FROM cases c JOIN channels h ON h.id = c.channel_id LEFT JOIN case_answers a ON a.case_id = c.id
        LEFT JOIN LATERAL (
            SELECT s.user_id, s.name FROM case_staff cs JOIN staff s USING (user_id)
            WHERE cs.case_id = c.id AND cs.until IS NULL ORDER BY cs.part, cs.since DESC, s.user_id LIMIT 1
        ) s ON true
        WHERE c.state IN {_RUNNING} ORDER BY c.waiting_since, c.id
        """
    )
    return [Running(**_with_answers(row)) for row in rows]


async def list_charges(tx: Tx, user_id: str) -> list[Charge]:
    """The running cases that a member of staff looks after, and those handed over whose room they have not left yet."""
    rows = await tx.fetch(
        f"""
        SELECT c.id AS case_id, c.room_id, c.user_id, h.kind AS channel, h.mode, c.state,
               cs.since AS accepted_at, cs.until,
               c.risk, cs.part,
               -- Who made a code for themselves on the page is offered nothing and needs no bridge.
               CASE WHEN h.kind IN ('web', 'matrix') AND m.asked_by = m.ghost AND m.moved_at IS NULL THEN NULL
                    ELSE {STANDING} END AS move,
               (SELECT b.kind FROM past_persons p JOIN channels b ON b.id = p.channel_id
                 WHERE p.case_id = c.id AND p.channel_id <> c.channel_id ORDER BY p.until DESC LIMIT 1) AS came_by,
               c.side_room_id, c.team, c.language, a.topics, a.school, a.grade, {_REPEAT} AS repeat,
               c.previous_shown
        FROM case_staff cs JOIN cases c ON c.id = cs.case_id JOIN channels h ON h.id = c.channel_id
        LEFT JOIN moves m ON m.case_id = c.id LEFT JOIN case_answers a ON a.case_id = c.id
        WHERE cs.user_id = $1 AND c.state IN {_RUNNING}
          AND (cs.until IS NULL OR (cs.succeeded_by IS NOT NULL AND NOT EXISTS (
                 SELECT 1 FROM case_staff later
                 WHERE later.case_id = cs.case_id AND later.user_id = cs.user_id AND later.since > cs.since)
               AND EXISTS (
                 SELECT 1 FROM memberships m
                 WHERE m.room_id = c.room_id AND m.user_id = cs.user_id AND m.membership = 'join')))
        ORDER BY cs.since, c.id
        """,
        user_id,
    )
    return [Charge(**_with_answers(row)) for row in rows]


def _with_answers(row: asyncpg.Record) -> dict[str, Any]:
    found = dict(row)
    topics, school, grade = found.pop("topics"), found.pop("school"), found.pop("grade")
    return found | {"answers": None if topics is None else Answers(topics, school, grade)}


async def list_recent_waits(tx: Tx, since: datetime, most: int) -> list[PastWait]:
    """The newest waits that ended with a counsellor since a moment, and those of everybody who waits now."""
    rows = await tx.fetch(
        """
        (SELECT arrived_at AS since, accepted_at AS until, place_on_arrival AS place FROM cases
         WHERE accepted_at >= $1 ORDER BY accepted_at DESC LIMIT $2)
        UNION ALL
        (SELECT coalesce(woke_at, waiting_since), NULL, place_on_arrival FROM cases WHERE state = 'waiting'
         ORDER BY waiting_since, id LIMIT $2)
        """,
        since,
        most,
    )
    return [PastWait(**row) for row in rows]


# What the keeper has to bring about in the rooms


async def list_invitations(tx: Tx) -> list[Seat]:
    """Staff who look after an open case and are neither invited to its room nor in it; and whoever has moved there.

    Whoever has moved to an app gets no history: their bridge has to carry on, not to read what was said elsewhere.
    """
    rows = await tx.fetch(
        f"""
        SELECT c.id AS case_id, c.room_id, cs.user_id
        FROM case_staff cs JOIN cases c ON c.id = cs.case_id
        LEFT JOIN memberships m ON m.room_id = c.room_id AND m.user_id = cs.user_id
        WHERE cs.until IS NULL AND c.state IN {_RUNNING} AND coalesce(m.membership, 'leave') IN ('leave', 'knock')
        ORDER BY cs.since, c.id
        """
    )
    moved = await tx.fetch(
        f"""
        SELECT c.id AS case_id, c.room_id, c.user_id, a.kind NOT IN ('ghost', 'appservice') AS history,
               true AS person
        FROM (SELECT case_id, max(until) AS at FROM past_persons GROUP BY case_id) moved
        JOIN cases c ON c.id = moved.case_id JOIN accounts a ON a.user_id = c.user_id
        LEFT JOIN memberships m ON m.room_id = c.room_id AND m.user_id = c.user_id
        WHERE c.state IN {_RUNNING} AND coalesce(m.membership, 'leave') = 'leave'
        ORDER BY moved.at, c.id
        """
    )
    rows = [*moved, *rows]
    return [Seat(**row) for row in rows]


async def list_removals(tx: Tx) -> list[Seat]:
    """Staff in the room of a case, or invited to it, who no longer look after it; and those as whom its person came
    before they moved.

    Somebody who has handed a case over stays until whoever looks after it now is in the room (helpers are not enough),
    and a ghost until the person is.
    """
    rows = await tx.fetch(
        """
        SELECT DISTINCT c.id AS case_id, c.room_id, cs.user_id
        FROM case_staff cs JOIN cases c ON c.id = cs.case_id
        JOIN memberships m ON m.room_id = c.room_id AND m.user_id = cs.user_id AND m.membership IN ('invite', 'join')
        WHERE cs.until IS NOT NULL AND c.state <> 'purged'
          AND NOT EXISTS (SELECT 1 FROM case_staff again
                          WHERE again.case_id = cs.case_id AND again.user_id = cs.user_id AND again.since > cs.since)
          AND (cs.succeeded_by IS NULL OR c.state = 'closed' OR EXISTS (
                 SELECT 1 FROM case_staff now JOIN memberships n
                 ON n.room_id = c.room_id AND n.user_id = now.user_id AND n.membership = 'join'
                 WHERE now.case_id = cs.case_id AND now.until IS NULL AND now.part = 'counsellor'))
        ORDER BY c.id, cs.user_id
        """
    )
    moved = await tx.fetch(
        """
        SELECT c.id AS case_id, c.room_id, p.user_id
        FROM past_persons p JOIN cases c ON c.id = p.case_id
        JOIN memberships m ON m.room_id = c.room_id AND m.user_id = p.user_id AND m.membership IN ('invite', 'join')
        WHERE p.user_id <> c.user_id AND c.state <> 'purged' AND (c.state = 'closed' OR EXISTS (
            SELECT 1 FROM memberships n
            WHERE n.room_id = c.room_id AND n.user_id = c.user_id AND n.membership = 'join'))
        ORDER BY c.id, p.user_id
        """
    )
    rows = [*rows, *moved]
    return [Seat(**row) for row in rows]
