"""Counting for the statistics: cases of a span of time, by what is known of them and what their records say."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from madoguchi.storage.db import Tx


class Groups(msgspec.Struct, frozen=True):
    """How many cases fall into a group: of all that came, of those answered, of those with a record."""

    accesses: int
    answered: int
    recorded: int


class Spread(msgspec.Struct, frozen=True):
    """Seconds."""

    mean: float
    median: float
    longest: float


class Spreads(msgspec.Struct, frozen=True):
    """Of those answered, and of those with a record; None where there is nothing to measure."""

    answered: Spread | None
    recorded: Spread | None


class Hour(msgspec.Struct, frozen=True):
    """An hour of the day over the whole span. lines: hours in which a case was looked after, added up, so that two at
    once count twice; cases: how many different ones; staff: hours in which a member of staff had a case, added up."""

    hour: int
    lines: int
    cases: int
    staff: int


class Counted(msgspec.Struct, frozen=True):
    """All that is counted. people: different persons; held_people: those with a case in which there was counselling;
    by: dimension -> key -> cases; chosen: dimension -> key -> cases with a record that names it."""

    total: Groups
    people: Groups
    held: int
    held_people: int
    by: dict[str, dict[str, Groups]]
    chosen: dict[str, dict[str, int]]
    waits: Spreads
    durations: Spreads
    hours: list[Hour]


# One row a case that came in the span, in Japan's time; what has no record says so everywhere with a dash. Who has
# moved came by where they were first, as the person they were there.
_CASES = """
    WITH base AS MATERIALIZED (
        SELECT coalesce(p.user_id, c.user_id) AS person,
               h.kind AS channel,
               to_char(c.arrived_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM-DD') AS day,
               to_char(c.arrived_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM') AS month,
               to_char(c.arrived_at AT TIME ZONE 'Asia/Tokyo', 'ID') AS weekday,
               to_char(c.arrived_at AT TIME ZONE 'Asia/Tokyo', 'HH24') AS hour,
               c.accepted_at IS NOT NULL AS answered,
               c.accepted_at IS NOT NULL AND r.case_id IS NOT NULL AS recorded,
               extract(epoch FROM c.accepted_at - c.arrived_at)::float8 AS waited,
               extract(epoch FROM c.closed_at - c.accepted_at)::float8 AS lasted,
               CASE WHEN c.accepted_at IS NULL THEN '-'
                    ELSE width_bucket(extract(epoch FROM c.accepted_at - c.arrived_at) / 60,
                                      ARRAY[1, 5, 15, 30, 60]::numeric[])::text END AS waiting,
               CASE WHEN c.accepted_at IS NULL THEN '-' WHEN c.closed_at IS NULL THEN 'running'
                    ELSE width_bucket(extract(epoch FROM c.closed_at - c.accepted_at) / 60,
                                      ARRAY[10, 30, 60, 90]::numeric[])::text END AS duration,
               coalesce(r.contact, '-') AS contact, coalesce(r.visit, '-') AS visit, coalesce(r.age, '-') AS age,
               coalesce(r.school, '-') AS school,
               coalesce(r.school || '.' || coalesce(r.grade::text, 'unknown'), '-') AS grade,
               coalesce(r.gender, '-') AS gender,
               CASE WHEN r.case_id IS NULL THEN '-' ELSE coalesce(r.prefecture::text, 'unknown') END AS prefecture,
               coalesce(r.risk, '-') AS risk, coalesce(r.attitude, '-') AS attitude,
               coalesce(r.consent, '-') AS consent,
               coalesce(r.outcome, '-') AS outcome, coalesce(r.ended_by, '-') AS ended_by,
               r.topics, r.risk_reasons, r.actions, r.referrals,
               r.case_id IS NOT NULL AND c.accepted_at IS NOT NULL AND r.contact <> ALL ($3::text[]) AS held
          FROM cases c
          LEFT JOIN past_persons p ON p.case_id = c.id AND p.number = 1
          JOIN channels h ON h.id = coalesce(p.channel_id, c.channel_id)
          LEFT JOIN records r ON r.case_id = c.id
         WHERE c.arrived_at >= $1 AND c.arrived_at < $2
    )
"""
SINGLE = (
    "channel", "day", "month", "weekday", "hour", "waiting", "duration", "contact", "visit", "age", "school", "grade",
    "gender", "prefecture", "risk", "attitude", "consent", "outcome", "ended_by",
)  # fmt: skip
SEVERAL = ("topics", "risk_reasons", "actions", "referrals")


_BY = f"""
    SELECT CASE {" ".join(f"WHEN grouping({name}) = 0 THEN '{name}'" for name in SINGLE)} END AS dimension,
           coalesce({", ".join(SINGLE)}) AS key, count(*) AS accesses, count(*) FILTER (WHERE answered) AS answered,
           count(*) FILTER (WHERE recorded) AS recorded
      FROM base GROUP BY GROUPING SETS ({", ".join(f"({name})" for name in SINGLE)})
"""
_CHOSEN = " UNION ALL ".join(
    f"SELECT '{name}' AS dimension, key, count(*) AS cases FROM base, unnest({name}) AS key WHERE recorded GROUP BY key"
    for name in SEVERAL
)


def _spread(what: str, of: str) -> str:
    return f"""
        CASE WHEN count({what}) FILTER (WHERE {of}) > 0 THEN json_build_object(
            'mean', avg({what}) FILTER (WHERE {of}), 'longest', max({what}) FILTER (WHERE {of}),
            'median', percentile_cont(0.5) WITHIN GROUP (ORDER BY {what}) FILTER (WHERE {of})) END
    """


_TOTALS = f"""
    SELECT json_build_object('accesses', count(*), 'answered', count(*) FILTER (WHERE answered),
                             'recorded', count(*) FILTER (WHERE recorded)) AS total,
           json_build_object('accesses', count(DISTINCT person),
                             'answered', count(DISTINCT person) FILTER (WHERE answered),
                             'recorded', count(DISTINCT person) FILTER (WHERE recorded)) AS people,
           count(*) FILTER (WHERE held) AS held, count(DISTINCT person) FILTER (WHERE held) AS held_people,
           json_build_object('answered', {_spread("waited", "answered")},
                             'recorded', {_spread("waited", "recorded")}) AS waits,
           json_build_object('answered', {_spread("lasted", "answered")},
                             'recorded', {_spread("lasted", "recorded")}) AS durations
      FROM base
"""


class _Group(Groups, frozen=True, kw_only=True):
    dimension: str
    key: str


class _Choice(msgspec.Struct, frozen=True):
    dimension: str
    key: str
    cases: int


class _Totals(msgspec.Struct, frozen=True):
    total: Groups
    people: Groups
    held: int
    held_people: int
    waits: Spreads
    durations: Spreads


async def count(tx: Tx, since: datetime, until: datetime, now: datetime, not_formed: Sequence[str]) -> Counted:
    """Counts the cases that came from a moment on and before another.

    now: until when a running case has lasted; not_formed: contacts in which there was no counselling
    """
    # One statement, so that the cases are gathered once and all figures are of the same moment.
    row = await tx.fetchrow(
        f"""
        {_CASES}
        SELECT (SELECT coalesce(json_agg(g), '[]') FROM ({_BY}) g) AS groups,
               (SELECT coalesce(json_agg(c), '[]') FROM ({_CHOSEN}) c) AS choices,
               (SELECT row_to_json(t) FROM ({_TOTALS}) t) AS totals
        """,
        since,
        until,
        list(not_formed),
    )
    assert row is not None
    totals = msgspec.json.decode(row["totals"], type=_Totals)
    by: dict[str, dict[str, Groups]] = {name: {} for name in SINGLE}
    for each in msgspec.json.decode(row["groups"], type=list[_Group]):
        by[each.dimension][each.key] = each
    chosen: dict[str, dict[str, int]] = {name: {} for name in SEVERAL}
    for choice in msgspec.json.decode(row["choices"], type=list[_Choice]):
        chosen[choice.dimension][choice.key] = choice.cases
    return Counted(
        **msgspec.structs.asdict(totals), by=by, chosen=chosen, hours=await _hours(tx, since, min(until, now))
    )


async def _hours(tx: Tx, since: datetime, until: datetime) -> list[Hour]:
    """Every hour of the day, of what went on in the span, whenever it began."""
    rows = await tx.fetch(
        """
        WITH held AS (
            SELECT cs.case_id, cs.user_id, slot
              FROM case_staff cs JOIN cases c ON c.id = cs.case_id,
                   generate_series(
                       date_trunc('hour', greatest(cs.since, $1)),
                       least(coalesce(cs.until, c.closed_at, $2), coalesce(c.closed_at, $2), $2),
                       interval '1 hour') AS slot
             WHERE cs.since < $2 AND coalesce(least(cs.until, c.closed_at), $2) > $1
        )
        SELECT hour, count(DISTINCT (case_id, slot)) FILTER (WHERE slot IS NOT NULL) AS lines,
               count(DISTINCT case_id) AS cases,
               count(DISTINCT (user_id, slot)) FILTER (WHERE slot IS NOT NULL) AS staff
          FROM generate_series(0, 23) AS hour
          LEFT JOIN held ON extract(hour FROM slot AT TIME ZONE 'Asia/Tokyo') = hour
         GROUP BY hour ORDER BY hour
        """,
        since,
        until,
    )
    return [Hour(**row) for row in rows]
