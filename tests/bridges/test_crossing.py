"""From app to app: what is brought is no word of a conversation, and whoever brings it goes on where they are."""

import pytest

from madoguchi_bridges import store
from madoguchi_bridges.crossing import Brought, brought
from madoguchi_bridges.desk import Redeemed, Unreachable
from madoguchi_bridges.moves import Errand
from madoguchi_bridges.network import Incoming
from madoguchi_bridges.outbox import Letter
from tests.bridges.parts import Bench
from tests.bridges.test_moves import in_a_case
from tests.standins.telegram import TelegramPerson

TOKEN = "m_" + "t" * 43
CODE = "WXYZ-2345"


@pytest.mark.parametrize(
    "text", ["WXYZ-2345", "wxyz2345", "ｗｘｙｚ－２３４５", " WXYZ‐2345\n", "コード: WXYZ-2345", "wxyz 2345"]
)
def test_a_code_is_known_however_it_is_typed(text: str) -> None:
    assert brought(Incoming(event_id="e", kind="message", text=text)) == Brought(code="WXYZ2345")


@pytest.mark.parametrize(
    "text",
    ["wwwwwwww", "20261129", "GOOD-BYES", "WXYZ-2345です", "ABC1-2345", "WXYZ-23456", "", "コード", "090-1234-5678",
     "x" * 10_000],
)  # fmt: skip
def test_a_word_is_no_code(text: str) -> None:
    assert brought(Incoming(event_id="e", kind="message", text=text)) is None


@pytest.mark.parametrize("start", ["", "poster", "m_", "m_" + "t" * 42, "m_" + "t" * 44, "m_" + "あ" * 43])
def test_what_else_a_link_carries_is_no_token(start: str) -> None:
    assert brought(Incoming(event_id="e", kind="arrived", start=start)) is None
    assert brought(Incoming(event_id="e", kind="arrived", start=TOKEN)) == Brought(token=TOKEN)


async def on_telegram(bench: Bench, mode: str = "relay") -> TelegramPerson:
    await bench.opens_telegram(mode=mode)
    return bench.telegram.person()


async def test_the_offer_leads_to_the_other_app(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    await on_telegram(bench)
    errand = Errand("app_offer", person.case_id or "", person.user_id or "")
    for _ in range(2):
        assert await bench.moves._bring(errand)
    await bench.works()
    (text,) = mio.phone
    assert "https://t.me/bot?start=m_t" in text and CODE in text and "県のTelegram" in text
    assert "Telegramの会社が見る" in text
    assert bench.desk.told[-1] == (person.case_id, person.user_id, "notified")
    # The other app takes nobody in any more: the counsellor sees that nothing arrived.
    bench.desk.without_case.add(person.user_id or "")
    assert await bench.moves._bring(errand)
    assert [told[2] for told in bench.desk.told[-2:]] == ["unreachable", "queued"]


@pytest.mark.parametrize("way", ["token", "code"])
async def test_the_case_goes_on_there_and_the_app_before_says_so_once(bench: Bench, way: str) -> None:
    mio, before = await in_a_case(bench)
    there = await on_telegram(bench)
    room = before.room_id or ""
    bench.desk.keys = dict.fromkeys((TOKEN, "WXYZ2345"), Redeemed("moved", before.case_id, room, 1))
    # The keeper has not let the ghost in yet, the process dies: asked again, under the event's own name.
    bench.ghosts.troubles = []
    await there.says(f"/start {TOKEN}" if way == "token" else CODE)
    entering = bench.ghosts.present

    async def away(person: store.Person) -> object:
        bench.ghosts.present = entering  # type: ignore[method-assign]
        raise Unreachable

    bench.ghosts.present = away  # type: ignore[method-assign, assignment]
    await bench.works()
    assert len({event for _, _, event in bench.desk.redeemed}) == 1
    person = await store.get_carrier(bench.pool, room)
    assert person is not None
    assert (person.channel_id, person.case_id, person.room_id) == ("telegram-1", before.case_id, room)
    assert [entered for _, entered in bench.ghosts.entered] == [room]
    assert mio.phone == ["つづきは、Telegramで話せます。ここに書いたことは、相談員には届きません。"]
    (welcome,) = there.phone
    assert "ここで話せます" in welcome and "Telegramの会社が見る" in welcome
    # What was brought was never said; what comes now is.
    await there.says("ここからつづき")
    await bench.works()
    assert bench.ghosts.rooms[room].bodies() == ["眠れない", "ここからつづき"]
    # Until the ghost before is out of the room, what it hears goes to the phone where the person is now, once.
    await bench.outbox.put(person, room, "$gap", Letter("聞いているよ"))
    await bench.outbox.put(person, room, "$gap", Letter("聞いているよ"))
    await bench.works()
    assert there.phone[1:] == ["聞いているよ"] and len(mio.phone) == 1
    assert await bench.outcomes() == {"shown": 2, "moved": 1}
    assert [ledger.noted for ledger in await bench.ledgers() if ledger.channel_id == "telegram-1"] == [1]
    left = await store.get_person(bench.pool, before.person)
    assert left is not None and (left.case_id, left.room_id) == (None, room)
    await store.leave_room(bench.pool, before.person, room)
    assert [each.person for each in await store.list_present(bench.pool)] == [person.person]


@pytest.mark.parametrize("outcome", ["unknown", "used", "expired", "ended", "busy", "often", "elsewhere"])
async def test_what_opens_nothing_is_answered_kindly_and_opens_no_case(bench: Bench, outcome: str) -> None:
    there = await on_telegram(bench)
    bench.desk.keys = {"WXYZ2345": Redeemed(outcome)}
    await there.says(CODE)
    await bench.works()
    (text,) = there.phone
    assert "https://desk.test" in text and CODE not in text
    assert bench.ghosts.rooms == {} and await bench.outcomes() == {"noticed": 1}


async def test_in_a_conversation_only_what_the_desk_knows_is_kept_from_the_counsellor(bench: Bench) -> None:
    mio, _ = await in_a_case(bench)
    await mio.says("R2D2C3P4")
    bench.desk.keys = {"WXYZ2345": Redeemed("busy")}
    await mio.says(CODE)
    await bench.works()
    assert bench.ghosts.room().bodies() == ["眠れない", "R2D2C3P4"]
    (text,) = mio.phone
    assert "そのまま書いて" in text
    # Where nobody is taken in, it is a word like any other.
    await bench.sets("draining", "r")
    await mio.says(CODE)
    await bench.works()
    assert bench.ghosts.room().bodies()[2:] == [CODE]


async def test_a_contact_point_says_where_the_answers_are(bench: Bench) -> None:
    _, before = await in_a_case(bench)
    there = await on_telegram(bench, "contact_point")
    bench.desk.keys = {TOKEN: Redeemed("moved", before.case_id, before.room_id, 1)}
    await there.says(f"/start {TOKEN}")
    await bench.works()
    (text,) = there.phone
    assert "https://desk.test/#move=t" in text and "相談員は同じ" in text


async def test_whoever_writes_where_they_were_before_is_told_where_it_goes_on(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    await bench.opens_telegram()
    await store.end_case(bench.pool, person.person, person.case_id or "")
    bench.desk.moved_to = "telegram-1"

    async def moved(person: store.Person) -> None:
        from madoguchi_bridges.desk import Refused

        raise Refused(409, "JP_MADOGUCHI_MOVED")

    bench.ghosts.open_case = moved  # type: ignore[method-assign, assignment]
    await mio.says("まだいる？")
    await bench.works()
    (text,) = mio.phone
    assert "つづきは、Telegramで話せます" in text and "https://desk.test/#move=t" in text
