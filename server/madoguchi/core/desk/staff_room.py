"""The staff room: one encrypted room in which the desk's bot tells who waits, and takes commands from any client.

The bot has an account and a device of its own, in the keeper's process: it opens what is said there, the server can't.
What is to be done in the room follows from how things stand, so the bot may be killed at any point: asked again, the
desk wants the same, and what was said already is not said twice.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat import rooms
from madoguchi.core.chat.rooms import CreateRoom, StateEvent
from madoguchi.core.desk import case_room, staff_words, teams
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.settings import DeskSettings
from madoguchi.core.desk.teams import Reach
from madoguchi.ids import CaseID, EventID, RoomID, UserID
from madoguchi.storage import checks
from madoguchi.storage import staff as stored_staff
from madoguchi.storage import staff_room as stored
from madoguchi.storage.checks import Check
from madoguchi.storage.db import Tx
from madoguchi.storage.staff_room import Answer, Card

LOCALPART = "deskbot"
BOT_NAME = "窓口ボット"
NAME = "職員の部屋"
TOPIC = "!help と書くと、できることが出ます / !help lists what the bot does"


class Saying(msgspec.Struct, frozen=True):
    """What the bot is to say about a case; case_id: empty for an alarm. turn: how often something was said of it, of an
    alarm when it was found; told: its code; edits: the notice that it takes the place of; about: the one that it
    answers."""

    case_id: CaseID
    turn: int
    told: str
    said: Answer
    edits: EventID | None = None
    about: EventID | None = None


class Wishes(msgspec.Struct, frozen=True):
    """What is to be done in the room; room_id: None while the room is switched off, or nobody works here."""

    room_id: RoomID | None = None
    invitations: list[UserID] = []
    removals: list[UserID] = []
    sayings: list[Saying] = []


def bot_id(ctx: Context) -> UserID:
    """The bot's account."""
    return f"@{LOCALPART}:{ctx.settings.server_name}"


async def wishes(ctx: Context, tx: Tx) -> Wishes:
    """How the room should be, and is not yet."""
    settings = await desk_settings.get(tx)
    if not settings.staff_room:
        return Wishes()
    room_id = await stored.get_room(tx) or await _make(ctx, tx)
    if room_id is None:
        return Wishes()
    await stored.delete_cards(tx)
    await stored.insert_cards(tx)
    at = ctx.clock.now()
    reach = await teams.reach(tx, settings, at)
    sayings = [said for card in await stored.list_cards(tx) for said in _sayings(card, settings, reach, at)]
    sayings += [_alarm(check) for check in await checks.list_untold(tx)]
    return Wishes(room_id, await stored.list_invitations(tx), await stored.list_removals(tx), sayings)


async def told(ctx: Context, tx: Tx, case_id: CaseID, code: str, event_id: EventID) -> None:
    """The bot has said something about a case, or an alarm, by this event."""
    kind, _, since = code.partition(":")
    if kind == "alarm":
        name, _, found = since.partition(":")
        if not found.isdecimal() or len(found) > 18:
            raise errors.Invalid("That is no number.")
        await checks.update_told(tx, name, int(found))
    elif kind == "late":
        try:
            await stored.update_late(tx, case_id, datetime.fromisoformat(since))
        except ValueError:
            raise errors.Invalid("That is no moment.") from None
    else:
        await stored.update_told(tx, case_id, code, event_id)


async def _make(ctx: Context, tx: Tx) -> RoomID | None:
    await stored.lock_making(tx)
    known = await stored.get_room(tx)
    if known is not None or all(each.disabled_at is not None for each in await stored_staff.list_staff(tx)):
        return known
    bot = bot_id(ctx)
    wanted = CreateRoom(
        name=NAME,
        topic=TOPIC,
        preset="private_chat",
        room_version=case_room.ROOM_VERSION,
        # The bot invites, and so does any colleague: nobody but staff can be let in (core/chat/membership.py).
        power_level_content_override=case_room.power_levels(bot, []) | {"state_default": 100, "invite": 0},
        initial_state=[StateEvent(type="m.room.guest_access", content={"guest_access": "forbidden"})],
    )
    room_id = await rooms.create_room(ctx, tx, bot, wanted, kind="side", encrypted=True)
    await stored.insert_room(tx, room_id)
    return room_id


def _alarm(check: Check) -> Saying:
    code = f"alarm:{check.name}:{check.found}"
    return Saying("", int(check.at.timestamp()), code, staff_words.alarm(check.name, check.found))


def _sayings(card: Card, settings: DeskSettings, reach: Reach, at: datetime) -> list[Saying]:
    kind: Literal["waiting", "taken", "ended"]
    if card.state == "waiting":
        kind, said = "waiting", staff_words.waiting(card, reach.name(card.team) or "")
        code = f"waiting:{card.risk}:{card.since.isoformat()}"
    elif card.event_id is None:
        # Taken before anybody heard that it waited: there is nothing to correct.
        return []
    elif card.state in ("closed", "purged"):
        kind, said, code = "ended", staff_words.ended(card), "ended"
    elif card.counsellor is None:
        return []
    else:
        kind, said, code = "taken", staff_words.taken(card), f"taken:{card.counsellor}"
    found = []
    if code != card.told:
        # A new wait is told anew, so that it is heard; what has changed about the notice is corrected in it.
        new = kind == "waiting" and not card.told.startswith("waiting")
        found.append(Saying(card.case_id, card.turn, code, said, edits=None if new else card.event_id))
    minutes = settings.late_minutes
    told_of = card.event_id is not None and card.late != card.since
    if kind == "waiting" and minutes and told_of and at - card.since > timedelta(minutes=minutes):
        code = f"late:{card.since.isoformat()}"
        found.append(Saying(card.case_id, 0, code, staff_words.late(card, minutes), about=card.event_id))
    return found
