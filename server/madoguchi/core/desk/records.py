"""The record 相談記録 of a case: codes in clear for the statistics, words sealed in the side room.

A record is written by whoever looks after the case, best when they close it; whoever leads the shift looks it through,
and sends it back where something is missing. The words, a note of the counsellor's and one of the reviewer's, are
encrypted events of the case's side room: the server keeps their ids only.
"""

from datetime import date, timedelta
from typing import Literal

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import cases, hours
from madoguchi.ids import CaseID, EventID
from madoguchi.storage import answers as stored_answers
from madoguchi.storage import audit, side_rooms
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import records as stored
from madoguchi.storage.answers import Answers
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx
from madoguchi.storage.records import Codes, Counts, Entry, ListName, Record
from madoguchi.storage.staff import Staff

Verdict = Literal["reviewed", "sent_back"]

# Contacts in which there was no counselling 不成立.
NOT_FORMED = ("silent", "abusive", "thanks", "question")
GRADES = {"elementary": 6, "junior_high": 3, "high": 4, "special_needs": 6, "college": 6}
FOLLOW_UP_WITHIN = timedelta(days=366)
_LISTS = ("topics", "risk_reasons", "actions", "referrals")


class Shown(msgspec.Struct, frozen=True):
    """A case with its record, or with what a new one begins with. answers: what the person said while they waited."""

    case: Case
    record: Record | None
    defaults: Codes
    answers: Answers | None


async def read(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> Shown:
    """The record of a case, for whoever has the case and whoever leads the shift.

    Each reading stands in the audit log, also that of the person's earlier record, from which a new one takes over what
    it begins with. Raises NotAllowed, NotFound.
    """
    case, _ = await cases.lock_of(tx, case_id, by)
    record = await stored.get_record(tx, case_id)
    answers = await stored_answers.get_answers(tx, case_id)
    said = answers if answers is not None and answers.given else None
    earlier = None
    if record is not None:
        await _note_read(ctx, tx, record, case_id, by)
    elif (earlier := await stored.get_earlier(tx, case.user_id, case.arrived_at)) is not None:
        await audit.append(tx, ctx.clock.now(), by.user_id, "record.carried_over", case_id)
    return Shown(case, record, await _defaults(tx, case, earlier or Codes(), said), said)


async def write(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, codes: Codes, note_event: EventID | None) -> Record:
    """Writes the record of a case that was looked after, or writes it anew.

    note_event: the event of the case's side room that holds the words, sent by `by` (or the one that stands already).
    Raises Invalid for codes that do not fit together, Conflict for a case that nobody has looked after and for a record
    that has been looked through, NotAllowed, NotFound.
    """
    case, _ = await cases.lock_of(tx, case_id, by)
    if case.accepted_at is None:
        raise errors.Conflict("Nobody has looked after this case.")
    today = _today(ctx)
    _check(codes, today)
    before = await stored.get_record(tx, case_id)
    if before is not None and before.state == "reviewed":
        raise errors.Conflict("This record has been looked through. Ask for it to be sent back.")
    if note_event is not None and (before is None or note_event != before.note_event):
        await _check_event(tx, case_id, note_event, by)
    at = ctx.clock.now()
    await stored.put_record(tx, case_id, codes, note_event, by.user_id, at)
    await audit.append(tx, at, by.user_id, "record.written", case_id)
    return await _existing(tx, case_id)


async def review(
    ctx: Context, tx: Tx, case_id: CaseID, by: Staff, verdict: Verdict, note_event: EventID | None
) -> Record:
    """Looks a record through: it is good, or goes back to whoever wrote it. Nobody looks through their own.

    Raises Conflict while the case runs, NotAllowed, NotFound, Invalid for a note that is not the reviewer's.
    """
    case, _ = await cases.lock_of(tx, case_id, by)
    record = await stored.get_record(tx, case_id)
    if record is None:
        raise errors.NotFound("This case has no record.")
    if record.written_by == by.user_id:
        raise errors.NotAllowed("Somebody else looks your records through.")
    if case.running:
        raise errors.Conflict("This case has not ended.")
    if note_event is not None:
        await _check_event(tx, case_id, note_event, by)
    at = ctx.clock.now()
    await stored.update_reviewed(tx, case_id, verdict, by.user_id, at, note_event)
    await audit.append(tx, at, by.user_id, f"record.{verdict}", case_id)
    return await _existing(tx, case_id)


async def followed_up(ctx: Context, tx: Tx, case_id: CaseID, by: Staff) -> Record:
    """Notes that somebody has looked again, as the record asked for; twice does no more. Raises Conflict for a record
    that does not ask for it, NotAllowed, NotFound."""
    await cases.lock_of(tx, case_id, by)
    record = await stored.get_record(tx, case_id)
    if record is None:
        raise errors.NotFound("This case has no record.")
    if record.codes.follow_up is None:
        raise errors.Conflict("This record asks for no follow-up.")
    if record.followed_up_at is not None:
        await _note_read(ctx, tx, record, case_id, by)
        return record
    at = ctx.clock.now()
    await stored.update_followed_up(tx, case_id, at)
    await audit.append(tx, at, by.user_id, "record.followed_up", case_id)
    return await _existing(tx, case_id)


async def entries(ctx: Context, tx: Tx, name: ListName, by: Staff, mine: bool, skip: int, most: int) -> list[Entry]:
    """A list of what is to be done: one's own, or everybody's for whoever leads the shift. Raises NotAllowed."""
    return await stored.list_entries(tx, name, _whose(by, mine), skip, most)


async def counts(ctx: Context, tx: Tx, by: Staff, mine: bool) -> Counts:
    """How long the lists are. Raises NotAllowed."""
    return await stored.count_entries(tx, _whose(by, mine), _today(ctx))


def formed(codes: Codes) -> bool:
    """Whether there was counselling 成立."""
    return codes.contact not in NOT_FORMED


def _whose(by: Staff, mine: bool) -> str | None:
    if mine:
        return by.user_id
    if by.role not in ("supervisor", "administrator"):
        raise errors.NotAllowed("Only supervisors may see everybody's records.")
    return None


def _check(codes: Codes, today: date) -> None:
    for name in _LISTS:
        if len(set(getattr(codes, name))) != len(getattr(codes, name)):
            raise errors.Invalid(f"{name} names something twice.")
    if formed(codes) and not codes.topics:
        raise errors.Invalid("A record of counselling names a topic.")
    if codes.grade is not None and codes.grade > GRADES.get(codes.school, 0):
        raise errors.Invalid("This school has no such grade.")
    if codes.risk == "none" and codes.risk_reasons:
        raise errors.Invalid("Reasons are given for a risk that is set.")
    if codes.follow_up is not None and abs(codes.follow_up - today) > FOLLOW_UP_WITHIN:
        raise errors.Invalid("A follow-up is within a year.")


async def _check_event(tx: Tx, case_id: CaseID, event_id: EventID, by: Staff) -> None:
    room_id = await side_rooms.get_room_of(tx, case_id)
    if room_id is None or not await stored.has_sent(tx, room_id, event_id, by.user_id):
        raise errors.Invalid("note_event is an encrypted event that you have sent in the case's side room.")


async def _note_read(ctx: Context, tx: Tx, record: Record, case_id: CaseID, by: Staff) -> None:
    act = "record.read" if record.written_by != by.user_id else "record.read_own"
    await audit.append(tx, ctx.clock.now(), by.user_id, act, case_id)


async def _defaults(tx: Tx, case: Case, known: Codes, said: Answers | None) -> Codes:
    """What is known already: of the case, of the person from the record of an earlier one, and by their own answers."""
    if said is not None:
        known = msgspec.structs.replace(known, topics=said.topics)
    if said is not None and said.school is not None:
        known = msgspec.structs.replace(known, school=said.school, grade=said.grade)
    came_before = await stored.count_earlier(tx, case.user_id, case.arrived_at) > 0
    ended_by = await stored_cases.get_closed_by(tx, case.id)
    return msgspec.structs.replace(
        known,
        visit="repeat" if came_before else "first",
        risk=case.risk,
        ended_by={case.user_id: "person", cases.BY_THE_CLOCK: "silence"}.get(ended_by or "", "agreed"),
    )


async def _existing(tx: Tx, case_id: CaseID) -> Record:
    record = await stored.get_record(tx, case_id)
    assert record is not None
    return record


def _today(ctx: Context) -> date:
    return ctx.clock.now().astimezone(hours.TOKYO).date()
