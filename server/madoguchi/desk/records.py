"""Records 相談記録: what counsellors note of their cases, and what supervisors look through."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.core.desk import records as rules
from madoguchi.core.desk.records import Verdict
from madoguchi.desk.permissions import caller
from madoguchi.storage import records as stored
from madoguchi.storage.answers import Answers
from madoguchi.storage.cases import Risk
from madoguchi.storage.records import Codes, Counts, ListName, RecordState
from madoguchi.web.endpoint import Call

EventRef = Annotated[str, Meta(pattern=r"^\$[A-Za-z0-9_/+-]{1,100}$")]


class WriteRecord(Codes, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """note_event: the event in the case's side room that holds the words, encrypted; never the words themselves."""

    note_event: EventRef | None = None


class Review(msgspec.Struct, forbid_unknown_fields=True):
    """note_event: the event in the case's side room that says what is missing."""

    verdict: Verdict
    note_event: EventRef | None = None


class RecordSeen(msgspec.Struct, frozen=True):
    """Moments are milliseconds."""

    state: RecordState
    codes: Codes
    note_event: str | None
    written_by: str
    written_at: int
    changed_at: int
    reviewed_by: str | None
    reviewed_at: int | None
    review_event: str | None
    followed_up_at: int | None


class RecordOfCase(msgspec.Struct, frozen=True):
    """record: None while none is written; defaults: what a new one begins with; answers: what of it the person said
    themselves while they waited, None for nothing."""

    case_id: str
    channel: str
    arrived_at: int
    accepted_at: int | None
    closed_at: int | None
    record: RecordSeen | None
    defaults: Codes
    answers: Answers | None


class RecordsQuery(msgspec.Struct):
    """list: which; mine: only the caller's own; skip: how many to pass over."""

    list: ListName = "to_write"
    mine: bool = True
    skip: Annotated[int, Meta(ge=0, le=100_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class RecordEntry(msgspec.Struct, frozen=True):
    """state: None while there is no record; by: whose it is, or would be; follow_up: YYYY-MM-DD; goes_at: when
    the case is destroyed, where its person wishes it (milliseconds)."""

    case_id: str
    channel: str
    arrived_at: int
    closed_at: int | None
    risk: Risk
    state: RecordState | None
    by: str | None
    by_name: str | None
    follow_up: str | None
    goes_at: int | None


class Records(msgspec.Struct, frozen=True):
    """counts: how long the lists are that ask for something."""

    records: list[RecordEntry]
    counts: Counts


async def get_record(call: Call, case_id: str) -> RecordOfCase:
    """The record of a case, without its words. Each reading stands in the audit log."""
    shown = await rules.read(call.ctx, call.tx, case_id, await caller(call, call.tx))
    case = shown.case
    return RecordOfCase(
        case_id=case.id,
        channel=case.channel,
        arrived_at=_required_ms(case.arrived_at),
        accepted_at=_ms(case.accepted_at),
        closed_at=_ms(case.closed_at),
        record=None if shown.record is None else _seen(shown.record),
        defaults=shown.defaults,
        answers=shown.answers,
    )


async def put_record(call: Call, case_id: str, body: WriteRecord) -> RecordSeen:
    """Writes the record of a case, running or ended, or writes it anew until it has been looked through."""
    codes = Codes(**{name: getattr(body, name) for name in Codes.__struct_fields__})
    by = await caller(call, call.tx)
    return _seen(await rules.write(call.ctx, call.tx, case_id, by, codes, body.note_event))


async def review_record(call: Call, case_id: str, body: Review) -> RecordSeen:
    """Looks the record of an ended case through: it is good, or goes back to whoever wrote it."""
    by = await caller(call, call.tx)
    return _seen(await rules.review(call.ctx, call.tx, case_id, by, body.verdict, body.note_event))


async def follow_up_record(call: Call, case_id: str) -> RecordSeen:
    """Notes that somebody has looked again, as the record asked for."""
    return _seen(await rules.followed_up(call.ctx, call.tx, case_id, await caller(call, call.tx)))


async def list_records(call: Call, query: RecordsQuery) -> Records:
    """Records to be written, looked through, corrected or followed up: one's own, or everybody's for supervisors."""
    by = await caller(call, call.tx)
    found = await rules.entries(call.ctx, call.tx, query.list, by, query.mine, query.skip, query.limit)
    return Records([_entry(each) for each in found], await rules.counts(call.ctx, call.tx, by, query.mine))


def _seen(record: stored.Record) -> RecordSeen:
    return RecordSeen(
        state=record.state,
        codes=record.codes,
        note_event=record.note_event,
        written_by=record.written_by,
        written_at=_required_ms(record.written_at),
        changed_at=_required_ms(record.changed_at),
        reviewed_by=record.reviewed_by,
        reviewed_at=_ms(record.reviewed_at),
        review_event=record.review_event,
        followed_up_at=_ms(record.followed_up_at),
    )


def _entry(entry: stored.Entry) -> RecordEntry:
    return RecordEntry(
        case_id=entry.case_id,
        channel=entry.channel,
        arrived_at=_required_ms(entry.arrived_at),
        closed_at=_ms(entry.closed_at),
        risk=entry.risk,
        state=entry.state,
        by=entry.by_id,
        by_name=entry.by_name,
        follow_up=None if entry.follow_up is None else entry.follow_up.isoformat(),
        goes_at=_ms(entry.goes_at),
    )


def _ms(at: datetime | None) -> int | None:
    return None if at is None else _required_ms(at)


def _required_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
