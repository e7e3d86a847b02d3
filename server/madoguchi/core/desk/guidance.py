"""Guidance 案内 as people see it: with what is open now. Every answer that says no carries the part that is."""

from datetime import date, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import hours
from madoguchi.core.desk.hours import Hours
from madoguchi.storage import audit, stream
from madoguchi.storage import guidance as stored
from madoguchi.storage.db import Tx

# For so long a page that can't reach the desk knows which days are public holidays.
HOLIDAYS_AHEAD = timedelta(days=366)
# After this long a number or its hours should be looked at again (domain: "Guidance").
CHECK_AFTER = timedelta(days=90)


class Guidance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way out. open_now is None where the hours can't be known here; checked_on is `YYYY-MM-DD` or None.

    hours: from which a page tells what is open at its own moment, also without a connection.
    """

    id: str
    name: str
    name_easy: str
    phone: str
    hours_text: str
    open_now: bool | None
    checked_on: str | None
    url: str | None = None
    name_en: str = ""
    hours: Hours | None = None


class Holidays(msgspec.Struct, frozen=True):
    """The public holidays among the days from `first` to `last`, which are included."""

    first: date = msgspec.field(name="from")
    last: date = msgspec.field(name="to")
    days: tuple[date, ...]


class GuidanceList(msgspec.Struct, frozen=True):
    """All guidance with what a page needs to tell, later and by itself, what is open.

    made_at: when it was last known to be so, in milliseconds.
    """

    made_at: int
    holidays: Holidays
    guidance: list[Guidance]


Line = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$")]


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an administrator says of one entry. checked: they have just confirmed number and hours.

    hours: opening hours from which pages tell what is open now, or None where they can't be known; hours_text: the
    same in words.
    """

    name: Line
    phone: Annotated[str, Meta(pattern=r"^[0-9*#+][0-9*# +-]{1,29}$")]
    hours_text: Line
    name_easy: Annotated[str, Meta(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = ""
    name_en: Annotated[str, Meta(max_length=100, pattern=r"^[^\x00-\x1f]*$")] = ""
    url: Annotated[str, Meta(max_length=500, pattern=r"^https?://[^\s\x00-\x1f]+$")] | None = None
    hours: Hours | None = None
    checked: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One entry as an administrator sees it. due: nobody has confirmed number and hours for 90 days."""

    id: str
    wording: Wording
    open_now: bool | None
    checked_on: str | None
    due: bool


async def list_hotlines(tx: Tx) -> list[stored.Hotline]:
    """All guidance as it is kept, in the administrator's order."""
    return await stored.list_guidance(tx)


async def list_guidance(tx: Tx, at: datetime) -> list[Guidance]:
    """All guidance, in the administrator's order, as of a moment."""
    return [seen(hotline, at) for hotline in await stored.list_guidance(tx)]


def list_of(hotlines: list[stored.Hotline], at: datetime, read_at: datetime) -> GuidanceList:
    """What a page keeps for when it can't reach the desk. read_at: when the entries were read."""
    return GuidanceList(round(read_at.timestamp() * 1000), holidays(at), [seen(hotline, at) for hotline in hotlines])


def holidays(at: datetime) -> Holidays:
    """The public holidays of the coming year; from the day before, whose hours may go past midnight."""
    today = at.astimezone(hours.TOKYO).date()
    first, last = today - timedelta(1), today + HOLIDAYS_AHEAD
    return Holidays(first, last, hours.public_holidays(first, last))


async def open_now(tx: Tx, at: datetime) -> list[Guidance]:
    """The guidance that somebody answers at this moment."""
    return [entry for entry in await list_guidance(tx, at) if entry.open_now]


async def list_unchecked(tx: Tx, at: datetime) -> list[str]:
    """The ids of entries that nobody has confirmed, or not for a long time."""
    return [entry.id for entry in await stored.list_guidance(tx) if _is_due(entry, at)]


async def list_entries(tx: Tx, at: datetime) -> list[Entry]:
    """All guidance, with its hours, in the administrator's order."""
    return [_entry(hotline, at) for hotline in await stored.list_guidance(tx)]


async def put(tx: Tx, guidance_id: str, wording: Wording, by: str, at: datetime) -> None:
    """Sets an entry, or makes one. A new number or new hours count as unchecked unless they were just confirmed."""
    before = {each.id: each for each in await stored.list_guidance(tx)}.get(guidance_id)
    hotline = stored.Hotline(
        id=guidance_id,
        name=wording.name,
        name_easy=wording.name_easy or wording.name,
        name_en=wording.name_en,
        phone=wording.phone,
        url=wording.url,
        hours=None if wording.hours is None else msgspec.json.encode(wording.hours).decode(),
        hours_text=wording.hours_text,
        checked_on=None,
    )
    if wording.checked:
        hotline = msgspec.structs.replace(hotline, checked_on=at.astimezone(hours.TOKYO).date())
    elif before is not None and _told(before) == _told(hotline):
        hotline = msgspec.structs.replace(hotline, checked_on=before.checked_on)
    await stored.upsert(tx, hotline)
    await stream.publish(tx, stream.Note("desk", "guidance"))
    told = {"name": wording.name, "phone": wording.phone, "hours": wording.hours_text, "checked": wording.checked}
    await audit.append(tx, at, by, "guidance.written", guidance_id, **told)


async def remove(tx: Tx, guidance_id: str, by: str, at: datetime) -> None:
    """Takes an entry away. Raises NotFound, and NotAllowed for the last one: every no carries a way out."""
    ids = await stored.lock_all(tx)
    if guidance_id not in ids:
        raise errors.NotFound("There is no such entry.")
    if len(ids) == 1:
        raise errors.NotAllowed("The last entry stays: people who are turned away need somewhere to go.")
    await stored.delete(tx, guidance_id)
    await stream.publish(tx, stream.Note("desk", "guidance"))
    await audit.append(tx, at, by, "guidance.removed", guidance_id)


async def reorder(tx: Tx, ids: list[str], by: str, at: datetime) -> None:
    """Puts the entries into an order. Raises Conflict if these are not the entries that there are."""
    if sorted(ids) != sorted(await stored.lock_all(tx)):
        raise errors.Conflict("The list has changed meanwhile. Please look again.")
    await stored.update_order(tx, ids)
    await stream.publish(tx, stream.Note("desk", "guidance"))
    await audit.append(tx, at, by, "guidance.ordered", order=ids)


async def confirm(tx: Tx, guidance_id: str, by: str, at: datetime) -> str:
    """Notes that somebody has looked at number and hours; gives the day, `YYYY-MM-DD` in Japan. Raises NotFound."""
    today = at.astimezone(hours.TOKYO).date()
    if not await stored.update_checked(tx, guidance_id, today):
        raise errors.NotFound("There is no such entry.")
    await stream.publish(tx, stream.Note("desk", "guidance"))
    await audit.append(tx, at, by, "guidance.confirmed", guidance_id)
    return today.isoformat()


def seen(hotline: stored.Hotline, at: datetime) -> Guidance:
    """One entry as of a moment."""
    times = None if hotline.hours is None else hours.parse(hotline.hours)
    return Guidance(
        id=hotline.id,
        name=hotline.name,
        name_easy=hotline.name_easy,
        name_en=hotline.name_en,
        phone=hotline.phone,
        url=hotline.url,
        hours_text=hotline.hours_text,
        open_now=None if times is None else times.open_at(at),
        checked_on=hotline.checked_on.isoformat() if hotline.checked_on else None,
        hours=times,
    )


def _entry(hotline: stored.Hotline, at: datetime) -> Entry:
    shown = seen(hotline, at)
    wording = Wording(
        name=hotline.name,
        name_easy=hotline.name_easy,
        name_en=hotline.name_en,
        phone=hotline.phone,
        url=hotline.url,
        hours=None if hotline.hours is None else hours.parse(hotline.hours),
        hours_text=hotline.hours_text,
    )
    return Entry(hotline.id, wording, shown.open_now, shown.checked_on, _is_due(hotline, at))


def _is_due(hotline: stored.Hotline, at: datetime) -> bool:
    today = at.astimezone(hours.TOKYO).date()
    return hotline.checked_on is None or today - hotline.checked_on > CHECK_AFTER


def _told(hotline: stored.Hotline) -> tuple[object, ...]:
    """What somebody has confirmed who has confirmed an entry."""
    return hotline.phone, hotline.url, hotline.hours and hours.parse(hotline.hours), hotline.hours_text
