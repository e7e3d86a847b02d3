"""The desk's own settings, which an administrator may change while it runs."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk.hours import ALWAYS, Hours
from madoguchi.storage import audit
from madoguchi.storage import settings as stored
from madoguchi.storage.db import Tx


class Team(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named group of staff. members: user ids."""

    id: Annotated[str, Meta(pattern="^[a-z0-9_-]{1,40}$")]
    name: Annotated[str, Meta(min_length=1, max_length=60)]
    members: Annotated[list[Annotated[str, Meta(max_length=255)]], Meta(max_length=500)]


class DeskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults stand here; the table `desk_settings` holds what differs.

    name: what young people read at the top of the page
    hours: when new cases are taken; running ones go on at any time
    last_acceptance_minutes: new cases are taken until so long before closing
    session_days: an anonymous person without a running case is signed out after so many days without a visit
    most_waiting: no new case is taken while so many wait; 0: any number may
    cases_a_day: how often on one day (in Japan) somebody comes to talk with a new case; 0: as often as they like
    capacity: how many running cases a new counsellor may have at once
    intake: `paused` by whoever leads the shift: no new cases for a while, though the desk is open
    content_days: a closed case's messages, keys and files are destroyed so many days after it was closed
    media_days: its files so many days after; 0: with what was said, and never later
    record_days: the codes of its record; 0: with `metadata_days`, and never before what was said
    metadata_days: who took part and what happened when; 0: never, and never before a month after what was said
    audit_days: the audit log is cut behind what is older; 0: never, and never what is younger than what was said
    wish_days: a person who wishes that what they said is destroyed may take that back for so many days
    teams: groups of staff to which a case can be handed over
    voice_seconds: how long a voice message of the desk's pages may be; 0: they offer none
    questions: whether the page asks those who wait what it is about and which school they go to
    previous_cases: whether a counsellor sees when the person came before, if the person wants it, or never
    staff_room: the room of all staff with the desk's bot; false: the bot says nothing and obeys nobody
    late_minutes: the staff room is told of whoever waits longer; 0: it is not
    unanswered_minutes: whoever leads the shift is shown those who have waited longer for an answer
    rest_after_minutes: a case rests when the person has not answered for so long; 0: never by itself
    rest_days: a case that has rested for so many days is closed
    proof_of_work: up to which number the page of somebody without an account tries before arriving; 0: none is asked
    """

    name: Annotated[str, Meta(min_length=1, max_length=100)] = "相談窓口"
    hours: Hours = ALWAYS
    last_acceptance_minutes: Annotated[int, Meta(ge=0, le=720)] = 0
    session_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    most_waiting: Annotated[int, Meta(ge=0, le=10_000)] = 0
    cases_a_day: Annotated[int, Meta(ge=0, le=100)] = 0
    capacity: Annotated[int, Meta(ge=0, le=100)] = 5
    intake: Literal["open", "paused"] = "open"
    content_days: Annotated[int, Meta(ge=1, le=36500)] = 1825
    media_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    record_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    metadata_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    audit_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    wish_days: Annotated[int, Meta(ge=0, le=90)] = 7
    teams: Annotated[list[Team], Meta(max_length=100)] = []
    voice_seconds: Annotated[int, Meta(ge=0, le=300)] = 120
    questions: bool = True
    previous_cases: Literal["off", "with_consent"] = "off"
    staff_room: bool = True
    late_minutes: Annotated[int, Meta(ge=0, le=1440)] = 10
    unanswered_minutes: Annotated[int, Meta(ge=1, le=1440)] = 5
    rest_after_minutes: Annotated[int, Meta(ge=0, le=10080)] = 60
    rest_days: Annotated[int, Meta(ge=1, le=365)] = 7
    proof_of_work: Annotated[int, Meta(ge=0, le=100_000)] = 10_000

    @property
    def shows_previous(self) -> bool:
        """Whether earlier cases are shown to the counsellor of whoever wants it so."""
        return self.previous_cases == "with_consent"


_names = {field.name: field for field in msgspec.structs.fields(DeskSettings)}


_PERIODS = ("content_days", "media_days", "record_days", "metadata_days", "audit_days")
# When the last traces of a purged case have gone (core/desk/purge.py).
TRACES_DAYS = 30
LEAST_AUDIT_DAYS = 365


def contradiction(wanted: DeskSettings) -> str | None:
    """Why these periods make no sense together; None if they do. 0: no period of its own."""
    content, record, metadata, audit_log = (
        wanted.content_days, wanted.record_days, wanted.metadata_days, wanted.audit_days,
    )  # fmt: skip
    if wanted.media_days > content:
        return f"Files can't outlive what was said with them: at most {content} days (content_days)."
    if record and record < content:
        return f"A record can't go before what it is about: at least {content} days (content_days)."
    if metadata and metadata < content + TRACES_DAYS:
        return f"Who took part is needed until a case's last traces are gone: at least {content + TRACES_DAYS} days."
    if metadata and record > metadata:
        return f"A record can't outlive the case's metadata: at most {metadata} days (metadata_days)."
    if audit_log and audit_log < max(content, LEAST_AUDIT_DAYS):
        least = max(content, LEAST_AUDIT_DAYS)
        return f"Who has looked at what is kept must stay to be seen as long as that: at least {least} days."
    return None


async def get(tx: Tx) -> DeskSettings:
    """The settings as they stand now."""
    found = await stored.get_settings(tx)
    given = {name: msgspec.json.decode(value) for name, value in found.items() if name in _names}
    return msgspec.convert(given, DeskSettings)


async def change(tx: Tx, name: str, value: object, by: str, at: datetime) -> DeskSettings:
    """Sets one setting; gives them all as they stand then. Raises Invalid for a name or value that makes no sense."""
    if name not in _names:
        raise errors.Invalid("There is no setting of that name.")
    try:
        wanted = msgspec.convert({name: value}, DeskSettings)
    except msgspec.ValidationError as wrong:
        raise errors.Invalid(f"This is not a value for {name}: {wrong}") from None
    against = contradiction(msgspec.structs.replace(await get(tx), **{name: getattr(wanted, name)}))
    if against is not None and name in _PERIODS:
        raise errors.Invalid(against)
    await stored.update_setting(tx, name, msgspec.json.encode(value).decode(), by)
    await audit.append(tx, at, by, "setting.changed", name, value=value)
    return await get(tx)
