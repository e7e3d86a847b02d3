"""Moving: offers and news on their way to the app, and the truth about them on its way back."""

import asyncio

from madoguchi_bridges import store
from madoguchi_bridges.desk import Refused, Unreachable
from madoguchi_bridges.moves import Errand
from tests.bridges.parts import Bench
from tests.standins.line import LinePerson


async def in_a_case(bench: Bench) -> tuple[LinePerson, store.Person]:
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    (person,) = await store.list_present(bench.pool)
    return mio, person


def offer(person: store.Person, kind: str = "offer") -> Errand:
    return Errand(kind, person.case_id or "", person.user_id or "")


async def test_an_offer_reaches_the_phone_and_the_desk_hears_so(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    assert await bench.moves._bring(offer(person))
    assert bench.desk.told == [(person.case_id, person.user_id, "queued")]
    # Killed before it could report: asked again, and the same link is told once.
    assert await bench.moves._bring(offer(person))
    await bench.works()
    (text,) = mio.phone
    assert "https://desk.test/#move=t" in text and "ABCD-2345" in text and "同じ" in text
    assert bench.desk.told[-1] == (person.case_id, person.user_id, "notified")
    assert bench.told == [], "it is no message of the room"


async def test_in_an_emergency_content_stops_within_two_seconds_and_the_offer_says_so(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    emergency = "UPDATE channels SET mode = 'emergency' WHERE kind = 'line'"

    def carries() -> bool:
        channel = bench.channels.get(person.channel_id)
        return channel is not None and channel.carries_content(running=True)

    reading = asyncio.create_task(bench.channels.keep_reading())
    await asyncio.sleep(0.1)
    await bench.pool.execute(emergency)
    assert carries()
    async with asyncio.timeout(2):
        while carries():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    reading.cancel()
    # An offer that comes sooner than that is not worded as if nothing had happened.
    await bench.sets("draining")
    await bench.pool.execute(emergency)
    bench.desk.errands = [{"kind": "offer", "case_id": person.case_id, "user_id": person.user_id}]
    await bench.moves._ask(None)
    assert not carries()
    await bench.works()
    (bubble,) = bench.line.phones
    assert bubble.to == mio.user_id and "続けられなくなりました" in bubble.text and "0120-0-78310" in bubble.text
    assert bubble.opens[0] == ("ページで話す / Chat", "https://desk.test/#move=t")


async def test_whoever_blocks_the_account_is_told_of_as_unreachable(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    await bench.line.deliver(mio.event("unfollow", replyToken=None))
    await bench.works()
    assert await bench.moves._bring(offer(person))
    await bench.works()
    assert bench.desk.told[-1] == (person.case_id, person.user_id, "unreachable")
    assert await bench.moves._bring(Errand("offer", "c", "@line_nobody:desk.test"))
    assert bench.desk.told[-1] == ("c", "@line_nobody:desk.test", "unreachable")


async def test_what_the_desk_could_not_hear_is_told_again(bench: Bench) -> None:
    _, person = await in_a_case(bench)
    hear = bench.desk.tell
    away = [Unreachable(), Unreachable()]

    async def tell(case_id: str, user_id: str, what: str) -> None:
        if what == "notified" and away:
            raise away.pop()
        await hear(case_id, user_id, what)

    bench.desk.tell = tell  # type: ignore[method-assign]
    assert await bench.moves._bring(offer(person))
    for _ in range(3):
        for waiting in await bench.outbox._list_ready():
            await bench.outbox.work_off(waiting)
        for untold in await bench.outbox._list_untold():
            await bench.outbox.tell_outcomes(untold)
    assert bench.desk.told[-1] == (person.case_id, person.user_id, "notified")


async def test_an_offer_without_a_case_waits_for_the_next_word_of_the_desk(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    bench.desk.without_case.add(person.user_id or "")
    assert not await bench.moves._bring(offer(person))
    await bench.works()
    assert (mio.phone, bench.desk.told) == ([], [])


async def test_whoever_has_moved_hears_only_that_there_is_news(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    for _ in range(2):
        assert await bench.moves._bring(offer(person, "news"))
    await bench.works()
    assert mio.phone == ["新しいお知らせがあります。"]
    assert bench.desk.told == [(person.case_id, person.user_id, "news")] * 2


async def test_whoever_has_moved_and_writes_on_the_app_is_shown_the_way_back(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    await store.end_case(bench.pool, person.person, person.case_id or "")

    async def moved(person: store.Person) -> None:
        raise Refused(409, "JP_MADOGUCHI_MOVED")

    bench.ghosts.open_case = moved  # type: ignore[method-assign, assignment]
    for _ in range(2):
        await mio.says("まだいる？")
        await bench.works()
    assert len(mio.phone) == 2, "it may be the only way back: never spared"
    assert all("https://desk.test/#move=t" in text and "届きません" in text for text in mio.phone)
    assert await bench.outcomes() == {"shown": 1, "noticed": 2}


async def test_in_a_contact_point_a_counsellors_words_wait_on_the_page(bench: Bench) -> None:
    await bench.sets("contact_point", None)
    mio, person = await in_a_case(bench)
    assert await store.get_person(bench.pool, person.person) is not None
    await bench.pool.execute("UPDATE bridge_people SET noticed_at = noticed_at - 3600001")
    for number in range(3):
        await bench.counsellor_says("聞いているよ", f"${number}")
        await bench.moves.news(person, f"${number}")
    await bench.works()
    assert not any("聞いているよ" in text for text in mio.phone)
    assert mio.phone[1:] == ["新しいお知らせがあります。\nhttps://desk.test/#move=t\nコード: ABCD-2345"]


async def test_a_case_that_two_people_keep_goes_on_in_every_mode(bench: Bench) -> None:
    mio, person = await in_a_case(bench)
    await bench.pool.execute("ALTER TABLE kept_cases DROP CONSTRAINT IF EXISTS kept_cases_case_id_fkey")
    await bench.pool.execute("DELETE FROM kept_cases")
    await bench.pool.execute(
        "INSERT INTO kept_cases (case_id, reason, until, asked_by, asked_at)"
        " VALUES ($1, 'a life', now() + interval '1 h', '@a:desk', now())",
        person.case_id,
    )
    await bench.sets("emergency", "r")
    await mio.says("ひとり分の署名")
    await bench.works()
    room = next(iter(bench.ghosts.rooms.values()))
    assert "ひとり分の署名" not in room.bodies()
    await bench.pool.execute("UPDATE kept_cases SET signed_by = '@b:desk', signed_at = now()")
    assert await bench.moves._bring(offer(person))
    await mio.says("ふたり分の署名")
    await bench.counsellor_says("ここにいるよ", "$kept")
    await bench.works()
    assert "ふたり分の署名" in room.bodies() and "ここにいるよ" in mio.phone
    assert any("下のページでもできます" in text for text in mio.phone), "they are offered the page, not told to go"
    await bench.pool.execute("UPDATE kept_cases SET until = now() - interval '1 s'")
    await mio.says("期限のあと")
    await bench.works()
    assert "期限のあと" not in room.bodies()
