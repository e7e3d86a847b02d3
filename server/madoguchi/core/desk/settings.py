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
    capacity: how many running cases a new counsellor may have at once
    intake: `paused` by whoever leads the shift: no new cases for a while, though the desk is open
    content_days: a closed case's messages, keys and files are destroyed so many days after it was closed
    wish_days: a person who wishes that what they said is destroyed may take that back for so many days
    teams: groups of staff to which a case can be handed over
    voice_seconds: how long a voice message of the desk's pages may be; 0: they offer none
    questions: whether the page asks those who wait what it is about and which school they go to
    previous_cases: whether a counsellor sees when the person came before, if the person wants it, or never
    staff_room: the room of all staff with the desk's bot; false: the bot says nothing and obeys nobody
    late_minutes: the staff room is told of whoever waits longer; 0: it is not
    rest_after_minutes: a case rests when the person has not answered for so long; 0: never by itself
    rest_days: a case that has rested for so many days is closed
    proof_of_work: up to which number the page of somebody without an account tries before arriving; 0: none is asked
    """

    name: Annotated[str, Meta(min_length=1, max_length=100)] = "相談窓口"
    hours: Hours = ALWAYS
    last_acceptance_minutes: Annotated[int, Meta(ge=0, le=720)] = 0
    session_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    capacity: Annotated[int, Meta(ge=0, le=100)] = 5
    intake: Literal["open", "paused"] = "open"
    content_days: Annotated[int, Meta(ge=1, le=36500)] = 1825
    wish_days: Annotated[int, Meta(ge=0, le=90)] = 7
    teams: Annotated[list[Team], Meta(max_length=100)] = []
    voice_seconds: Annotated[int, Meta(ge=0, le=300)] = 120
    questions: bool = True
    previous_cases: Literal["off", "with_consent"] = "off"
    staff_room: bool = True
    late_minutes: Annotated[int, Meta(ge=0, le=1440)] = 10
    rest_after_minutes: Annotated[int, Meta(ge=0, le=10080)] = 60
    rest_days: Annotated[int, Meta(ge=1, le=365)] = 7
    proof_of_work: Annotated[int, Meta(ge=0, le=100_000)] = 10_000

    @property
    def shows_previous(self) -> bool:
        """Whether earlier cases are shown to the counsellor of whoever wants it so."""
        return self.previous_cases == "with_consent"


_names = {field.name: field for field in msgspec.structs.fields(DeskSettings)}


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
        msgspec.convert({name: value}, DeskSettings)
    except msgspec.ValidationError as wrong:
        raise errors.Invalid(f"This is not a value for {name}: {wrong}") from None
    await stored.update_setting(tx, name, msgspec.json.encode(value).decode(), by)
    await audit.append(tx, at, by, "setting.changed", name, value=value)
    return await get(tx)
