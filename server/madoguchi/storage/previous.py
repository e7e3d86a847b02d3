"""That somebody was here before: codes and days of their earlier cases, and whether the person lets them be seen."""

from datetime import date, datetime

import msgspec

from madoguchi.ids import CaseID, UserID
from madoguchi.storage.answers import Topic
from madoguchi.storage.cases import Risk
from madoguchi.storage.db import Tx
from madoguchi.storage.records import Outcome


class Earlier(msgspec.Struct, frozen=True):
    """An earlier case. day: in Japan; minutes: how long somebody was there, None if nobody came; topics, risk, outcome:
    of its record, None without one; transcript: what was said is still kept, for whoever may open it."""

    day: date
    channel: str
    minutes: int | None
    topics: list[Topic] | None
    risk: Risk | None
    outcome: Outcome | None
    transcript: bool


async def list_earlier(tx: Tx, user_id: UserID, before: datetime, most: int) -> list[Earlier]:
    """The cases that somebody had before a moment, the newest first.

    Of one that was purged only that it was; of one that was destroyed because they wished it, nothing.
    """
    rows = await tx.fetch(
        """
        SELECT (c.arrived_at AT TIME ZONE 'Asia/Tokyo')::date AS day, h.kind AS channel,
               round(extract(epoch FROM c.closed_at - c.accepted_at) / 60)::integer AS minutes,
               r.topics, r.risk, r.outcome, c.state <> 'purged' AS transcript
          FROM cases c JOIN channels h ON h.id = c.channel_id
          LEFT JOIN records r ON r.case_id = c.id AND c.state <> 'purged'
         WHERE c.user_id = $1 AND c.arrived_at < $2 AND NOT c.by_wish
         ORDER BY c.arrived_at DESC, c.id LIMIT $3
        """,
        user_id,
        before,
        most,
    )
    return [Earlier(**row) for row in rows]


async def is_shown(tx: Tx, case_id: CaseID) -> bool | None:
    """Whether the person of a case lets its counsellor see when they came before; None while they were not asked."""
    shown: bool | None = await tx.fetchval("SELECT previous_shown FROM cases WHERE id = $1", case_id)
    return shown


async def update_shown(tx: Tx, case_id: CaseID, shown: bool | None) -> None:
    """Notes what the person said to that."""
    await tx.execute("UPDATE cases SET previous_shown = $2 WHERE id = $1", case_id, shown)
