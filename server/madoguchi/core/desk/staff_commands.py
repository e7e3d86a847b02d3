"""Commands of the staff room. Who acts is who sent the event, as the server stored it; what may be done is what the
console may: the same rules, the same steps in the case's log. Each event is obeyed once.
"""

import unicodedata
from datetime import datetime, timedelta
from typing import get_args

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import cases, resting, staff, staff_words, team, teams
from madoguchi.core.desk import settings as desk_settings
from madoguchi.ids import CaseID, EventID
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import db
from madoguchi.storage import events as stored_events
from madoguchi.storage import staff as stored_staff
from madoguchi.storage import staff_room as stored
from madoguchi.storage.cases import Risk
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff
from madoguchi.storage.staff_room import Answer, Card

# Older than that a command is not what anybody wants any more; much older ones are not even answered.
RECENT = timedelta(minutes=10)
FORGOTTEN = timedelta(days=1)
_DO_CASES = ("counsellor", "supervisor", "administrator")
# A handover in the console asks why; here it may be left out.
_NO_REASON = "職員の部屋から"


class _Unclear(Exception):
    """The command does not say what is needed; `answer` says so."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


async def obey(ctx: Context, tx: Tx, event_id: EventID, command: str, words: list[str]) -> Answer | None:
    """Does what somebody said in the staff room; gives what to answer, None for nothing. Again: the same answer.

    Raises NotAllowed for an event that is no encrypted one of the staff room, or while the room is switched off.
    """
    room_id = await stored.get_room(tx)
    event = None if room_id is None else await stored_events.get_event(tx, room_id, event_id)
    settings = await desk_settings.get(tx)
    if event is None or not settings.staff_room:
        raise errors.NotAllowed("Commands are said in the staff room.")
    if event.type != "m.room.encrypted" or b'"ciphertext":' not in event.body:
        raise errors.NotAllowed("A command is an encrypted message.")
    at = ctx.clock.now()
    age = timedelta(milliseconds=ctx.clock.ms() - event.at)
    if age > FORGOTTEN:
        return None
    if not await stored.insert_command(tx, event_id, at):
        return (await stored.get_answer(tx, event_id))[1]
    answer = staff_words.TOO_OLD
    if age <= RECENT:
        mark = db.taken.get()
        try:
            # Of its own: what is refused leaves nothing behind but its answer.
            async with tx.transaction():
                answer = await _do(ctx, tx, event.sender, command, words)
        except (errors.Refused, _Unclear) as refused:
            db.taken.set(mark)
            answer = refused.answer if isinstance(refused, _Unclear) else staff_words.refusal(refused)
    await stored.update_answer(tx, event_id, answer)
    return answer


async def _do(ctx: Context, tx: Tx, sender: str, command: str, words: list[str]) -> Answer:
    me = await stored_staff.get_staff(tx, sender)
    if me is None or me.disabled_at is not None or me.role not in _DO_CASES:
        raise _Unclear(staff_words.NOT_STAFF)
    await staff.seen(ctx, tx, me)
    await stored.insert_cards(tx)
    cards = [card for card in await stored.list_cards(tx) if card.state not in ("closed", "purged")]
    if command == "help":
        return staff_words.HELP
    if command == "queue":
        return await _queue(ctx, tx, me, cards)
    if command == "mine":
        return await _mine(ctx, tx, me, cards)
    if command not in ("accept", "close", "handover", "risk", "rest", "join"):
        return staff_words.UNKNOWN
    card = _card(cards, words)
    case_id, number = card.case_id, card.number
    if command == "accept":
        await cases.accept(ctx, tx, case_id, me.user_id)
        return staff_words.accepted(number)
    if command == "close":
        await cases.close(ctx, tx, case_id, me)
        return staff_words.closed(number)
    if command == "rest":
        await resting.rest(ctx, tx, case_id, me)
        return staff_words.rested(number)
    if command == "join":
        if me.role not in teams.LEADS:
            raise errors.NotAllowed("Only supervisors may do this.")
        await team.join(ctx, tx, case_id, me)
        return staff_words.joined(number)
    if command == "risk":
        risk = _risk(words[1:])
        await team.set_risk(ctx, tx, case_id, me, risk)
        return staff_words.marked(number, risk)
    return await _hand_over(ctx, tx, me, case_id, number, words[1:])


async def _queue(ctx: Context, tx: Tx, me: Staff, cards: list[Card]) -> Answer:
    at = ctx.clock.now()
    reach = await teams.reach(tx, await desk_settings.get(tx), at)
    waiting = [card for card in cards if card.state == "waiting" and reach.includes(me, card.team)]
    return _listed([(card, reach.name(card.team) or "") for card in waiting], at, staff_words.NOBODY_WAITS)


async def _mine(ctx: Context, tx: Tx, me: Staff, cards: list[Card]) -> Answer:
    held = {charge.case_id for charge in await stored_cases.list_charges(tx, me.user_id)}
    return _listed([(card, "") for card in cards if card.case_id in held], ctx.clock.now(), staff_words.NONE_MINE)


def _listed(cards: list[tuple[Card, str]], at: datetime, nothing: Answer) -> Answer:
    return staff_words.listed(cards, at) if cards else nothing


def _card(cards: list[Card], words: list[str]) -> Card:
    """By the number, or by what the console calls a case (the last four letters of its id)."""
    asked = _plain(words[0]).removeprefix("#") if words else ""
    if not asked:
        raise _Unclear(staff_words.NO_NUMBER)
    found = [card for card in cards if str(card.number) == asked]
    found = found or [card for card in cards if card.case_id[-4:].casefold() == asked]
    if len(found) > 1:
        raise _Unclear(staff_words.several([str(card.number) for card in found]))
    if not found:
        raise errors.NotFound("There is no case of that number.")
    return found[0]


def _risk(words: list[str]) -> Risk:
    asked = _plain(words[0]) if words else ""
    for risk in get_args(Risk):
        if asked in (risk, staff_words.RISKS[risk][0]):
            found: Risk = risk
            return found
    raise _Unclear(staff_words.NO_RISK)


async def _hand_over(ctx: Context, tx: Tx, me: Staff, case_id: CaseID, number: int, words: list[str]) -> Answer:
    """To whom the first word names: a user id, a name, a team; the rest is why."""
    if not words:
        raise _Unclear(staff_words.NO_HEIR)
    asked, reason = _plain(words[0]).removeprefix("@"), " ".join(words[1:]) or _NO_REASON
    people = [each for each in await stored_staff.list_staff(tx) if each.disabled_at is None]
    groups = (await desk_settings.get(tx)).teams
    to = [each for each in people if asked in (_plain(each.user_id)[1:], _plain(each.user_id)[1:].partition(":")[0])]
    to = to or [each for each in people if _plain(each.name) == asked]
    to_team = [each for each in groups if asked in (each.id, _plain(each.name))]
    if len(to) + len(to_team) > 1:
        names = [each.user_id for each in to] + [each.name for each in to_team]
        raise _Unclear(staff_words.several(names))
    if to:
        await cases.hand_over(ctx, tx, case_id, me, to[0].user_id, reason[:200])
        return staff_words.handed(number, to[0].name)
    if to_team:
        await team.hand_over_to_team(ctx, tx, case_id, me, to_team[0].id, reason[:200])
        return staff_words.handed(number, to_team[0].name)
    raise _Unclear(staff_words.NO_HEIR)


def _plain(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold().replace(" ", "")
