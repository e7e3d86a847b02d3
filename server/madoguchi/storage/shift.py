"""How a shift stands: what whoever leads it looks at. Metadata only: who wrote when, never what."""

from datetime import datetime

import msgspec

from madoguchi.storage.cases import Part, Risk, State
from madoguchi.storage.db import Tx
from madoguchi.storage.messages import A_MESSAGE


class ShiftCase(msgspec.Struct, frozen=True):
    """A case that has not ended. unanswered_at: milliseconds of the first message of the young person's that no staff
    has answered yet, None where there is none."""

    case_id: str
    channel: str
    mode: str
    state: State
    risk: Risk
    repeat: bool
    waiting_since: datetime
    accepted_at: datetime | None
    unanswered_at: int | None
    team: str | None


class Holder(msgspec.Struct, frozen=True):
    """Somebody who looks after a case, or helps in it."""

    case_id: str
    user_id: str
    name: str
    part: Part


class Hour(msgspec.Struct, frozen=True):
    """What happened in one hour. begins: when it began; left: young people who ended their case before anybody came."""

    begins: datetime
    arrived: int
    accepted: int
    left: int
    closed: int


async def count_dangerous(tx: Tx, since: datetime, at: datetime) -> dict[str, int]:
    """How many of the cases that came into somebody's hands since a moment stood at high risk before they let go of
    them, by user id."""
    rows = await tx.fetch(
        """
        SELECT cs.user_id, count(DISTINCT cs.case_id) AS cases FROM case_staff cs
         WHERE cs.since >= $1 AND EXISTS (
               SELECT 1 FROM case_steps s
                WHERE s.case_id = cs.case_id AND s.step = 'risk' AND s.reason IN ('high', 'urgent')
                  AND s.at <= coalesce(cs.until, $2))
         GROUP BY cs.user_id
        """,
        since,
        at,
    )
    return {row["user_id"]: row["cases"] for row in rows}


async def list_cases(tx: Tx, keeper: str) -> list[ShiftCase]:
    """All cases that have not ended, the most dangerous first, then those that came first."""
    rows = await tx.fetch(
        f"""
        SELECT c.id AS case_id, h.kind AS channel, h.mode, c.state, c.risk,
               coalesce(c.woke_at, c.waiting_since) AS waiting_since, c.accepted_at, c.team,
               EXISTS (SELECT 1 FROM cases e WHERE e.user_id = c.user_id AND e.arrived_at < c.arrived_at) AS repeat,
               (SELECT e.at FROM events e
                 WHERE e.room_id = c.room_id AND e.sender = c.user_id AND e.pos > coalesce(answer.pos, 0)
                   AND {A_MESSAGE}
                 ORDER BY e.pos LIMIT 1) AS unanswered_at
          FROM cases c JOIN channels h ON h.id = c.channel_id
          LEFT JOIN LATERAL (
               SELECT e.pos FROM events e
                WHERE e.room_id = c.room_id AND e.sender NOT IN (c.user_id, $1) AND {A_MESSAGE}
                ORDER BY e.pos DESC LIMIT 1) answer ON true
         WHERE c.state IN ('arriving', 'waiting', 'talking', 'resting')
         ORDER BY array_position(ARRAY['urgent', 'high', 'watch', 'none'], c.risk), c.waiting_since, c.id
        """,
        keeper,
    )
    return [ShiftCase(**row) for row in rows]


async def list_holders(tx: Tx) -> list[Holder]:
    """Who looks after the cases that have not ended, and who helps."""
    rows = await tx.fetch(
        """
        SELECT cs.case_id, cs.user_id, s.name, cs.part FROM case_staff cs
          JOIN cases c ON c.id = cs.case_id JOIN staff s ON s.user_id = cs.user_id
         WHERE cs.until IS NULL AND c.state IN ('arriving', 'waiting', 'talking', 'resting')
         ORDER BY cs.part, cs.since DESC, cs.user_id
        """
    )
    return [Holder(**row) for row in rows]


async def list_hours(tx: Tx, since: datetime, until: datetime) -> list[Hour]:
    """Every hour from `since` (the full hour) until the one that `until` lies in, empty ones too."""
    rows = await tx.fetch(
        """
        SELECT hour AS begins,
               count(*) FILTER (WHERE s.step = 'arrived') AS arrived,
               count(*) FILTER (WHERE s.step = 'accepted') AS accepted,
               count(*) FILTER (WHERE s.step = 'left' AND NOT EXISTS (
                   SELECT 1 FROM case_steps a
                    WHERE a.case_id = s.case_id AND a.step = 'accepted' AND a.id < s.id)) AS left,
               count(*) FILTER (WHERE s.step IN ('closed', 'left')) AS closed
          FROM generate_series($1::timestamptz, $2::timestamptz, interval '1 hour') AS hour
          LEFT JOIN case_steps s ON s.at >= hour AND s.at < hour + interval '1 hour'
         GROUP BY hour ORDER BY hour
        """,
        since,
        until,
    )
    return [Hour(**row) for row in rows]
