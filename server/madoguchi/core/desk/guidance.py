"""Guidance 案内 as people see it: with what is open now. Every answer that says no carries the part that is."""

from datetime import datetime, timedelta

import msgspec

from madoguchi import errors
from madoguchi.core.desk import hours
from madoguchi.storage import guidance as stored
from madoguchi.storage.db import Tx

# After this long a number or its hours should be looked at again (domain: "Guidance").
CHECK_AFTER = timedelta(days=90)


class Guidance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way out. open_now is None where the hours can't be known here; checked_on is `YYYY-MM-DD` or None."""

    id: str
    name: str
    name_easy: str
    phone: str
    hours_text: str
    open_now: bool | None
    checked_on: str | None
    url: str | None = None


async def list_guidance(tx: Tx, at: datetime) -> list[Guidance]:
    """All guidance, in the administrator's order, as of a moment."""
    return [_seen(hotline, at) for hotline in await stored.list_guidance(tx)]


async def open_now(tx: Tx, at: datetime) -> list[Guidance]:
    """The guidance that somebody answers at this moment."""
    return [entry for entry in await list_guidance(tx, at) if entry.open_now]


async def list_unchecked(tx: Tx, at: datetime) -> list[str]:
    """The ids of entries that nobody has confirmed, or not for a long time."""
    today = at.astimezone(hours.TOKYO).date()
    return [
        entry.id
        for entry in await stored.list_guidance(tx)
        if entry.checked_on is None or today - entry.checked_on > CHECK_AFTER
    ]


async def confirm(tx: Tx, guidance_id: str, at: datetime) -> str:
    """Notes that somebody has looked at number and hours; gives the day, `YYYY-MM-DD` in Japan. Raises NotFound."""
    today = at.astimezone(hours.TOKYO).date()
    if not await stored.update_checked(tx, guidance_id, today):
        raise errors.NotFound("There is no such entry.")
    return today.isoformat()


def _seen(hotline: stored.Hotline, at: datetime) -> Guidance:
    return Guidance(
        id=hotline.id,
        name=hotline.name,
        name_easy=hotline.name_easy,
        phone=hotline.phone,
        url=hotline.url,
        hours_text=hotline.hours_text,
        open_now=None if hotline.hours is None else hours.parse(hotline.hours).open_at(at),
        checked_on=hotline.checked_on.isoformat() if hotline.checked_on else None,
    )
