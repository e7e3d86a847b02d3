"""Records 相談記録: written when a case ends, looked through, sent back; codes in clear, words in the side room."""

from datetime import datetime, timedelta
from typing import Any, get_args, get_type_hints

from madoguchi.core.desk.hours import TOKYO
from madoguchi.storage.records import Codes
from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_audit import newest
from tests.desk.test_cases import accepts
from tests.desk.test_side_rooms import ENCRYPTED, a_case, comes_in

CODES: Json = {
    "contact": "self", "visit": "first", "age": "13_15", "school": "junior_high", "grade": 2, "gender": "female",
    "prefecture": 27, "topics": ["friends", "bullying"], "risk": "high", "risk_reasons": ["ideation", "alone"],
    "attitude": "calmer", "actions": ["listened", "safety"], "referrals": ["school"], "consent": "given",
    "outcome": "referred", "ended_by": "agreed",
}  # fmt: skip


async def writes(person: Person, case_id: str, codes: Json = CODES, **more: object) -> Json:
    return await person.put(f"{DESK}/cases/{case_id}/record", codes | more)


async def reads(person: Person, case_id: str) -> Json:
    return await person.get(f"{DESK}/cases/{case_id}/record")


async def reviews(person: Person, case_id: str, verdict: str = "reviewed", **more: object) -> Json:
    return await person.post(f"{DESK}/cases/{case_id}/record/review", {"verdict": verdict, **more})


async def on(person: Person, name: str, mine: bool = True) -> dict[str, Json]:
    """A list, by case."""
    answer = await person.get(DESK + "/records", list=name, mine=mine, limit=200)
    return {entry["case_id"]: entry for entry in answer["records"]}


def in_days(days: int) -> str:
    return (datetime.now(TOKYO).date() + timedelta(days=days)).isoformat()


async def closed(desk: Desk, ken: Person) -> tuple[Person, str]:
    mio, opened = await a_case(desk, ken)
    await ken.post(f"{DESK}/cases/{opened['case_id']}/close")
    return mio, opened["case_id"]


async def test_a_record_from_the_close_to_the_review(desk: Desk) -> None:
    ken, lead, admin = await desk.staff("健"), await desk.staff("主任", "supervisor"), await desk.administrator()
    _, opened = await a_case(desk, ken)
    case = opened["case_id"]
    await ken.put(f"{DESK}/cases/{case}/risk", {"risk": "high"})
    shown = await reads(ken, case)
    assert shown["record"] is None and shown["channel"] == "web" and shown["closed_at"] is None
    # What is known already stands in it.
    assert shown["defaults"]["risk"] == "high" and shown["defaults"]["visit"] == "first"
    await ken.post(f"{DESK}/cases/{case}/close")
    assert (await on(ken, "to_write"))[case]["by"] == ken.user_id

    room = await comes_in(desk, ken, case)
    note = await ken.sends(room, "m.room.encrypted", ENCRYPTED)
    written = await writes(ken, case, note_event=note)
    assert written["state"] == "written" and written["note_event"] == note
    assert {name: written["codes"][name] for name in CODES} == CODES
    assert case not in await on(ken, "to_write") and case in await on(ken, "to_review")
    entry = (await on(lead, "to_review", mine=False))[case]
    assert (entry["by_name"], entry["risk"], entry["channel"]) == ("健", "high", "web")
    assert case not in await on(lead, "to_review")

    room = await comes_in(desk, lead, case)
    asked = await lead.sends(room, "m.room.encrypted", ENCRYPTED)
    assert (await reads(lead, case))["record"]["codes"]["topics"] == ["friends", "bullying"]
    await reviews(lead, case, "sent_back", note_event=asked)
    assert case in await on(ken, "sent_back") and case not in await on(lead, "to_review", mine=False)
    back = (await reads(ken, case))["record"]
    assert (back["state"], back["review_event"], back["reviewed_by"]) == ("sent_back", asked, lead.user_id)

    # Written anew, with the note that stands; then looked through for good.
    again = await writes(ken, case, CODES | {"topics": ["bullying"]}, note_event=note)
    assert again["state"] == "written" and again["codes"]["topics"] == ["bullying"]
    assert (await reviews(lead, case))["state"] == "reviewed"
    await refused(writes(ken, case), 409)
    assert case in await on(lead, "reviewed", mine=False) and case not in await on(lead, "to_review", mine=False)
    told = [entry["act"] for entry in reversed(await newest(admin)) if entry["subject"] == case]
    assert told == [
        "record.written", "side_room.entered", "record.read", "record.sent_back", "record.read_own", "record.written",
        "record.reviewed",
    ]  # fmt: skip


async def test_who_has_nothing_to_do_with_a_case_sees_nothing_of_its_record(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主任", "supervisor")
    mio, case = await closed(desk, ken)
    await writes(ken, case)
    for stranger in (mio, sato, await desk.staff("監", "auditor"), await desk.keeper()):
        await refused(reads(stranger, case), 403)
        await refused(writes(stranger, case), 403)
        await refused(reviews(stranger, case), 403)
        await refused(stranger.post(f"{DESK}/cases/{case}/record/followed_up"), 403)
        await refused(on(stranger, "to_review", mine=False), 403)
    assert case not in await on(sato, "to_review")
    # Four eyes: nobody looks through what they wrote.
    other = (await closed(desk, lead))[1]
    await writes(lead, other)
    await refused(reviews(lead, other), 403)
    await reviews(await desk.administrator(), other)


async def test_what_is_refused(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主任", "supervisor")
    _, waiting = await desk.arrives()
    await refused(writes(lead, waiting["case_id"]), 409)
    await refused(reviews(lead, waiting["case_id"]), 404)
    mio, opened = await a_case(desk, ken)
    case = opened["case_id"]
    far = in_days(400)
    for wrong in (
        {"topics": []}, {"topics": ["friends", "friends"]}, {"grade": 4}, {"school": "working"}, {"risk": "none"},
        {"follow_up": far}, {"note_event": "$nosuchevent"},
    ):  # fmt: skip
        await refused(writes(ken, case, CODES | wrong), 400, "M_INVALID_PARAM")
    for wrong in (
        {"topics": ["眠れない"]}, {"contact": "x"}, {"grade": 0}, {"prefecture": 48}, {"follow_up": "soon"},
        {"note": "眠れない"}, {"note_event": "words"}, {"risk_reasons": None},
    ):  # fmt: skip
        await refused(writes(ken, case, CODES | wrong), 400)
    # Silence and the like need no topic.
    assert (await writes(ken, case, {"contact": "silent"}))["codes"]["topics"] == []
    await refused(reviews(lead, case), 409)
    # The words are one's own, and stand in this case's side room.
    room = await comes_in(desk, ken, case)
    _, other = await a_case(desk, sato)
    elsewhere = await sato.sends(await comes_in(desk, sato, other["case_id"]), "m.room.encrypted", ENCRYPTED)
    await comes_in(desk, lead, case)
    of_lead = await lead.sends(room, "m.room.encrypted", ENCRYPTED)
    in_case = await mio.sends(opened["room_id"], "m.room.encrypted", ENCRYPTED)
    for event in (elsewhere, of_lead, in_case):
        await refused(writes(ken, case, note_event=event), 400, "M_INVALID_PARAM")


async def test_a_case_that_ends_without_a_record_waits_for_one(desk: Desk) -> None:
    ken, sato, lead = await desk.staff("健"), await desk.staff("佐藤"), await desk.staff("主任", "supervisor")
    mio, opened = await a_case(desk, ken)
    await mio.post(DESK + "/cases/mine/leave")
    case = opened["case_id"]
    assert case in await on(ken, "to_write") and case not in await on(sato, "to_write")
    assert (await reads(ken, case))["defaults"]["ended_by"] == "person"
    assert (await on(lead, "to_write", mine=False))[case]["by_name"] == "健"
    before = (await ken.get(DESK + "/records"))["counts"]["to_write"]
    # Nobody was there: there is nothing to be noted.
    left, waiting = await desk.arrives()
    await left.post(DESK + "/cases/mine/leave")
    assert waiting["case_id"] not in await on(lead, "to_write", mine=False)
    # Whoever should have written it has gone: whoever leads the shift does.
    await (await desk.administrator()).post(f"{DESK}/staff/{ken.user_id}/disable")
    assert (await on(lead, "to_write", mine=False))[case]["by"] is None
    await writes(lead, case)
    assert case not in await on(lead, "to_write", mine=False)
    assert before == 1


async def test_who_comes_again_need_not_be_asked_again(desk: Desk) -> None:
    ken, sato = await desk.staff("健"), await desk.staff("佐藤")
    mio, case = await closed(desk, ken)
    await writes(ken, case)
    again = await mio.post(DESK + "/cases", {"channel": "web"})
    await accepts(sato, again["case_id"])
    known = (await reads(sato, again["case_id"]))["defaults"]
    assert (known["visit"], known["age"], known["school"], known["grade"]) == ("repeat", "13_15", "junior_high", 2)
    assert (known["gender"], known["prefecture"]) == ("female", 27)
    # What was talked about is not among it. That it was taken over stands in the log, not from which case.
    assert known["topics"] == known["risk_reasons"] == [] and known["risk"] == "none"
    [entry] = [each for each in await newest(await desk.administrator()) if each["subject"] == again["case_id"]]
    assert (entry["act"], entry["actor"], entry["detail"]) == ("record.carried_over", sato.user_id, "")


async def test_a_follow_up_stands_on_the_list_until_somebody_has_looked(desk: Desk) -> None:
    ken = await desk.staff("健")
    _, case = await closed(desk, ken)
    await writes(ken, case)
    await refused(ken.post(f"{DESK}/cases/{case}/record/followed_up"), 409)
    past, later = in_days(-2), in_days(9)
    await writes(ken, case, follow_up=later)
    assert (await on(ken, "follow_up"))[case]["follow_up"] == later
    assert (await ken.get(DESK + "/records"))["counts"]["follow_up"] == 0
    await writes(ken, case, follow_up=past)
    assert (await ken.get(DESK + "/records"))["counts"]["follow_up"] == 1
    assert (await ken.post(f"{DESK}/cases/{case}/record/followed_up"))["followed_up_at"]
    assert case not in await on(ken, "follow_up")
    # Said twice it only shows the record, which stands in the log like any reading.
    await ken.post(f"{DESK}/cases/{case}/record/followed_up")
    log = [entry["act"] for entry in await newest(await desk.administrator()) if entry["subject"] == case]
    assert log[:2] == ["record.read_own", "record.followed_up"]
    # The same day again changes nothing, another one asks anew.
    assert (await writes(ken, case, follow_up=past))["followed_up_at"]
    assert (await writes(ken, case, follow_up=later))["followed_up_at"] is None


async def test_the_codes_of_a_purged_case_stay_as_figures_and_its_words_go(desk: Desk) -> None:
    ken, lead = await desk.staff("健"), await desk.staff("主任", "supervisor")
    _, case = await closed(desk, ken)
    room = await comes_in(desk, ken, case)
    await writes(ken, case, note_event=await ken.sends(room, "m.room.encrypted", ENCRYPTED), follow_up=in_days(1))
    _, unwritten = await closed(desk, ken)
    for each in (case, unwritten):
        await desk.run("case", "purge", each, "--reason", "x", "--yes")
    row = (
        "SELECT note_event IS NULL, review_event IS NULL, follow_up IS NULL, age, topics FROM records WHERE case_id = "
    )
    kept = desk.workers.postgres.psql(f"{row}'{case}'", "madoguchi").strip()
    assert kept == "t|t|t|13_15|{friends,bullying}"
    for name in ("to_write", "to_review", "follow_up"):
        assert not {case, unwritten} & set(await on(lead, name, mine=False))
    await refused(reads(ken, case), 404)
    await refused(writes(ken, unwritten), 404)


async def test_the_database_takes_the_codes_and_nothing_else(desk: Desk) -> None:
    """Each closed list stands in the database as well, word for word."""
    rules = desk.workers.postgres.psql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'records'::regclass", "madoguchi"
    )
    stands = {line.split("|")[0]: set(line.split("'")[1::2]) for line in rules.splitlines()}
    known = {name: words_of(hint) for name, hint in get_type_hints(Codes).items()}
    assert {name for name, words in known.items() if not words} == {"grade", "prefecture", "follow_up"}
    for name, words in known.items():
        assert not words or stands[f"records_{name}_check"] == words, name


def words_of(hint: Any) -> set[str]:
    found = set(get_args(hint))
    return {word for each in found for word in (words_of(each) if get_args(each) else {each}) if isinstance(word, str)}
