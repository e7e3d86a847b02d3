"""Records 相談記録: codes only, each from a closed list. The words lie encrypted in the case's side room."""

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi.ids import CaseID, EventID, RoomID, UserID
from madoguchi.storage.answers import OwnSchool, Topic
from madoguchi.storage.cases import Risk
from madoguchi.storage.db import Tx

RecordState = Literal["written", "sent_back", "reviewed"]
Contact = Literal["self", "about_child", "emergency", "silent", "abusive", "thanks", "question"]
Visit = Literal["first", "repeat", "unknown"]
Age = Literal["to_9", "10_12", "13_15", "16_17", "18_19", "from_20", "unknown"]
School = Literal[OwnSchool, "unknown"]
Gender = Literal["female", "male", "other", "not_given"]
RiskReason = Literal["ideation", "plan", "self_harm", "attempt", "violence", "runaway", "alone", "other"]
Attitude = Literal["calmer", "same", "worse", "unknown"]
Action = Literal["listened", "advised", "informed", "safety", "consulted", "emergency"]
Referral = Literal["telephone", "interview", "school", "child_centre", "medical", "police", "support"]
Consent = Literal["not_asked", "given", "refused"]
Outcome = Literal["settled", "continues", "referred", "broken_off"]
EndedBy = Literal["agreed", "person", "counsellor", "silence"]
ListName = Literal["to_write", "to_review", "sent_back", "follow_up", "reviewed"]


class Codes(msgspec.Struct, frozen=True, kw_only=True):
    """What a record says, without words. Defaults: what is so most often.

    grade: 1 to 6, of the schools that have grades; prefecture: by JIS X 0401, None if not known; follow_up: on which
    day somebody should look again
    """

    contact: Contact = "self"
    visit: Visit = "unknown"
    age: Age = "unknown"
    school: School = "unknown"
    grade: Annotated[int, Meta(ge=1, le=6)] | None = None
    gender: Gender = "not_given"
    prefecture: Annotated[int, Meta(ge=1, le=47)] | None = None
    topics: list[Topic] = msgspec.field(default_factory=list)
    risk: Risk = "none"
    risk_reasons: list[RiskReason] = msgspec.field(default_factory=list)
    attitude: Attitude = "unknown"
    actions: list[Action] = msgspec.field(default_factory=list)
    referrals: list[Referral] = msgspec.field(default_factory=list)
    consent: Consent = "not_asked"
    outcome: Outcome = "settled"
    ended_by: EndedBy = "agreed"
    follow_up: date | None = None


class Record(msgspec.Struct, frozen=True):
    """A record as it stands. note_event, review_event: the side room's events that hold the words."""

    case_id: CaseID
    state: RecordState
    codes: Codes
    note_event: EventID | None
    written_by: UserID
    written_at: datetime
    changed_at: datetime
    reviewed_by: UserID | None
    reviewed_at: datetime | None
    review_event: EventID | None
    followed_up_at: datetime | None


class Entry(msgspec.Struct, frozen=True):
    """A line of a list. state: None while there is no record; by_id, by_name: whose it is, or would be; goes_at: when
    the case is destroyed, where its person wishes it."""

    case_id: CaseID
    channel: str
    arrived_at: datetime
    closed_at: datetime | None
    risk: Risk
    state: RecordState | None
    by_id: UserID | None
    by_name: str | None
    follow_up: date | None
    goes_at: datetime | None = None


class Counts(msgspec.Struct, frozen=True):
    """How many each list holds, of those that ask for something to be done."""

    to_write: int
    to_review: int
    sent_back: int
    follow_up: int


_CODES = tuple(Codes.__struct_fields__)
_FIXED = (
    "case_id", "state", "note_event", "written_by", "written_at", "changed_at", "reviewed_by", "reviewed_at",
    "review_event", "followed_up_at",
)  # fmt: skip


async def get_record(tx: Tx, case_id: CaseID) -> Record | None:
    """The record of a case; None while there is none. Whoever changes it holds the case."""
    row = await tx.fetchrow(f"SELECT {', '.join((*_FIXED, *_CODES))} FROM records WHERE case_id = $1", case_id)
    if row is None:
        return None
    return Record(codes=Codes(**{name: row[name] for name in _CODES}), **{name: row[name] for name in _FIXED})


async def put_record(
    tx: Tx, case_id: CaseID, codes: Codes, note_event: EventID | None, by: UserID, at: datetime
) -> None:
    """Writes a record, or writes it anew: it is to be looked through then. The case no longer waits for one."""
    values = msgspec.structs.astuple(codes)
    places = ", ".join(f"${number}" for number in range(5, 5 + len(_CODES)))
    changes = ", ".join(f"{name} = excluded.{name}" for name in (*_CODES, "note_event", "written_by", "changed_at"))
    await tx.execute(
        f"""
        INSERT INTO records (case_id, state, note_event, written_by, written_at, changed_at, {', '.join(_CODES)})
        VALUES ($1, 'written', $2, $3, $4, $4, {places})
        ON CONFLICT (case_id) DO UPDATE SET state = 'written', {changes},
               followed_up_at = CASE WHEN records.follow_up IS NOT DISTINCT FROM excluded.follow_up
                                     THEN records.followed_up_at END
        """,
        case_id, note_event, by, at, *values,
    )  # fmt: skip
    await tx.execute("UPDATE cases SET record_due = false WHERE id = $1", case_id)


async def update_reviewed(
    tx: Tx, case_id: CaseID, state: RecordState, by: UserID, at: datetime, review_event: EventID | None
) -> None:
    """Notes that somebody has looked a record through."""
    await tx.execute(
        """
        UPDATE records SET state = $2, reviewed_by = $3, reviewed_at = $4, changed_at = $4, review_event = $5
         WHERE case_id = $1
        """,
        case_id, state, by, at, review_event,
    )  # fmt: skip


async def update_purged(tx: Tx, case_id: CaseID) -> None:
    """Takes from a record what led to words that are destroyed, and to a day that nobody can follow up any more."""
    await tx.execute(
        "UPDATE records SET note_event = NULL, review_event = NULL, follow_up = NULL WHERE case_id = $1", case_id
    )


async def delete_record(tx: Tx, case_id: CaseID) -> int:
    """Destroys a record; none is to be written any more. Gives how many there were."""
    await tx.execute("UPDATE cases SET record_due = false WHERE id = $1", case_id)
    done: str = await tx.execute("DELETE FROM records WHERE case_id = $1", case_id)
    return int(done.rpartition(" ")[2])


async def update_followed_up(tx: Tx, case_id: CaseID, at: datetime) -> None:
    """Notes that somebody has looked again, as the record asked for."""
    await tx.execute("UPDATE records SET followed_up_at = $2 WHERE case_id = $1", case_id, at)


async def has_sent(tx: Tx, room_id: RoomID, event_id: EventID, sender: UserID) -> bool:
    """Whether an event of a room is an encrypted one of somebody's."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (SELECT 1 FROM events
                        WHERE event_id = $2 AND room_id = $1 AND sender = $3 AND type = 'm.room.encrypted')
        """,
        room_id, event_id, sender,
    )  # fmt: skip
    return found


async def get_earlier(tx: Tx, user_id: UserID, before: datetime) -> Codes | None:
    """What the newest record of an earlier case of the same person says of them; None without one."""
    row = await tx.fetchrow(
        """
        SELECT r.age, r.school, r.grade, r.gender, r.prefecture FROM records r JOIN cases c ON c.id = r.case_id
         WHERE c.user_id = $1 AND c.arrived_at < $2 ORDER BY c.arrived_at DESC LIMIT 1
        """,
        user_id,
        before,
    )
    return Codes(**row) if row else None


async def count_earlier(tx: Tx, user_id: UserID, before: datetime) -> int:
    """How many cases a person had before."""
    return int(await tx.fetchval("SELECT count(*) FROM cases WHERE user_id = $1 AND arrived_at < $2", user_id, before))


# Whose a record is, or would be: who wrote it, or who looked after the case in the end.
_WHOSE = """
    LEFT JOIN LATERAL (
        SELECT cs.user_id FROM case_staff cs WHERE cs.case_id = c.id AND cs.until IS NULL
         ORDER BY cs.part, cs.since DESC, cs.user_id LIMIT 1) last ON true
    LEFT JOIN staff s ON s.user_id = coalesce(r.written_by, last.user_id)
"""
_FOLLOW_UP = "r.follow_up IS NOT NULL AND r.followed_up_at IS NULL"
# For each list: how records join cases, which are on it, and in which order. What waits longest stands first.
_LISTS: dict[ListName, tuple[str, str, str]] = {
    "to_write": ("LEFT", "c.record_due AND c.state = 'closed' AND c.accepted_at IS NOT NULL", "c.closed_at"),
    "to_review": ("INNER", "r.state = 'written' AND c.state = 'closed'", "r.changed_at"),
    "sent_back": ("INNER", "r.state = 'sent_back' AND c.state <> 'purged'", "r.changed_at"),
    "follow_up": ("INNER", _FOLLOW_UP, "r.follow_up"),
    "reviewed": ("INNER", "r.state = 'reviewed'", "r.changed_at DESC"),
}


async def list_entries(tx: Tx, name: ListName, mine: UserID | None, skip: int, most: int) -> list[Entry]:
    """A part of a list: of all, or of what is somebody's."""
    join, where, order = _LISTS[name]
    rows = await tx.fetch(
        f"""
        SELECT c.id AS case_id, h.kind AS channel, c.arrived_at, c.closed_at, coalesce(r.risk, c.risk) AS risk, r.state,
               s.user_id AS by_id, s.name AS by_name, r.follow_up,
               (SELECT w.due_at FROM deletion_wishes w WHERE w.user_id = c.user_id AND c.arrived_at <= w.asked_at
                   AND w.taken_back_at IS NULL AND w.done_at IS NULL AND c.state <> 'purged') AS goes_at
          FROM cases c JOIN channels h ON h.id = c.channel_id {join} JOIN records r ON r.case_id = c.id {_WHOSE}
         WHERE {where} AND ($1::text IS NULL OR s.user_id = $1)
         ORDER BY {order}, c.id LIMIT $2 OFFSET $3
        """,
        mine,
        most,
        skip,
    )
    return [Entry(**row) for row in rows]


async def count_entries(tx: Tx, mine: UserID | None, today: date) -> Counts:
    """How many the lists hold that ask for something: of follow-ups those that are due."""
    counted = {}
    for name in Counts.__struct_fields__:
        join, where, _ = _LISTS[name]  # type: ignore[index]
        due = " AND r.follow_up <= $2" if name == "follow_up" else " AND $2::date IS NOT NULL"
        counted[name] = await tx.fetchval(
            f"""
            SELECT count(*) FROM cases c {join} JOIN records r ON r.case_id = c.id {_WHOSE}
             WHERE {where}{due} AND ($1::text IS NULL OR s.user_id = $1)
            """,
            mine,
            today,
        )
    return Counts(**counted)
