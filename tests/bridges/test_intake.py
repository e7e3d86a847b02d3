"""Sealed intake: what was answered with 200 is on disk, closed, once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madoguchi_bridges import store
from tests.bridges.conftest import KEY
from tests.bridges.parts import CHANNEL, Bench, a_bench, calm
from tests.postgres import dump
from tests.search import words_in
from tests.standins.line import Json
from tests.words import word


async def stored(bench: Bench) -> int:
    count: int = await bench.pool.fetchval("SELECT count(*) FROM bridge_intake")
    return count


async def test_a_webhook_is_stored_before_its_200_and_no_word_of_it_can_be_read(
    bench: Bench, bridges_database: str
) -> None:
    mio = bench.line.person()
    event = mio.said(word("眠れない"))
    assert await bench.line.deliver(event) == 200
    assert await stored(bench) == 1
    written = dump(bridges_database)
    assert words_in(written) == set()
    for known in (mio.user_id, "眠れない", event["replyToken"], event["webhookEventId"], event["message"]["id"]):
        assert known.encode() not in written
        assert known.encode().hex().encode() not in written


async def test_once_shown_not_even_the_sealed_words_are_kept(bench: Bench) -> None:
    await bench.line.person().says("眠れない")
    await bench.works()
    assert await bench.pool.fetchval("SELECT count(*) FROM bridge_intake WHERE sealed IS NOT NULL") == 0
    assert bench.ghosts.room().bodies() == ["眠れない"]


async def test_an_empty_batch_is_answered_and_stores_nothing(bench: Bench) -> None:
    assert await bench.line.deliver() == 200
    assert await stored(bench) == 0


@pytest.mark.parametrize("signature", ["", "x", "AAAA", "é", "0" * 10_000])
async def test_a_forged_webhook_is_refused_and_nothing_is_stored(bench: Bench, signature: str) -> None:
    raw = bench.line.body([bench.line.person().said("眠れない")])
    try:
        assert await bench.line.deliver_raw(raw, signature=signature) in (400, 403)
    except UnicodeError:
        pass
    assert await bench.line.deliver_raw(raw + b" ", signature=bench.line.signature(raw)) == 403
    assert await stored(bench) == 0


async def test_a_channel_that_is_not_there_is_404(bench: Bench) -> None:
    raw = bench.line.body([bench.line.person().said("眠れない")])
    for path in (f"telegram/{CHANNEL}", "line/line-2", "line/..%2F..%2Fetc", "line/%00", "line/" + "x" * 4000):
        bench.line.webhook_url = bench.line.webhook_url.split("/_madoguchi")[0] + f"/_madoguchi/bridges/{path}/webhook"
        assert await bench.line.deliver_raw(raw) == 404
    assert await stored(bench) == 0


async def test_bad_requests_get_a_matrix_error(bench: Bench) -> None:
    base = bench.line.webhook_url.split("/_madoguchi")[0]
    async with aiohttp.ClientSession() as http:
        for method, url, status in (
            ("GET", bench.line.webhook_url, 405),
            ("POST", base + "/nothing", 404),
            ("GET", base + "/", 404),
        ):
            async with http.request(method, url) as answer:
                assert answer.status == status
                assert (await answer.json())["errcode"].startswith("M_")
        async with http.get(base + "/health") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        async with http.post(bench.line.webhook_url, data=b"x" * (1024 * 1024 + 1)) as answer:
            assert answer.status == 413
            assert (await answer.json())["errcode"] == "M_TOO_LARGE"


async def test_what_is_signed_but_not_understood_is_counted_all_the_same(bench: Bench) -> None:
    for raw in (b"", b"{", b"[]", b"\xff\xfe", b'{"events": 3}', b'{"events": [1, null, "x"]}'):
        assert await bench.line.deliver_raw(raw) == 200
    assert await stored(bench) == 8
    await bench.works()
    assert await bench.outcomes() == {"account": 8}


async def test_a_redelivery_is_stored_once(bench: Bench) -> None:
    mio = bench.line.person()
    event = mio.said("眠れない")
    for _ in range(3):
        assert await bench.line.deliver(event, redelivery=True) == 200
    await bench.works()
    assert await bench.line.deliver(event, redelivery=True) == 200
    await bench.works()
    assert bench.ghosts.room().bodies() == ["眠れない"]
    assert await bench.outcomes() == {"shown": 1}


async def test_the_same_event_twice_in_one_batch_is_one(bench: Bench) -> None:
    event = bench.line.person().said("眠れない")
    assert await bench.line.deliver(event, event) == 200
    assert await stored(bench) == 1


async def test_no_200_while_the_database_is_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    event = bench.line.person().said("眠れない")

    async def down(*_: Any) -> int:
        raise asyncpg.CannotConnectNowError

    with monkeypatch.context() as patch:
        patch.setattr("madoguchi_bridges.store.insert_intake", down)
        assert await bench.line.deliver(event) == 503
    assert await stored(bench) == 0
    assert await bench.line.deliver(event, redelivery=True) == 200
    assert await stored(bench) == 1


async def test_a_channel_added_or_changed_is_known_at_once(bench: Bench) -> None:
    mio = bench.line.person()
    await bench.pool.execute("UPDATE channels SET id = 'line-9' WHERE kind = 'line'")
    bench.line.webhook_url = bench.line.webhook_url.replace(CHANNEL, "line-9")
    await asyncio.sleep(1.1)
    assert await bench.line.deliver(mio.said("眠れない")) == 200
    await bench.pool.execute("UPDATE channels SET id = $1 WHERE kind = 'line'", CHANNEL)


async def test_two_hundred_webhooks_at_once(bench: Bench) -> None:
    events = [bench.line.person().said(f"{number}") for number in range(200)]
    await asyncio.gather(*(bench.line.delivers_until_taken(event) for event in events))
    assert await stored(bench) == 200


async def test_a_webhook_that_can_not_be_stored_does_not_hold_the_others_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = store.insert_intake, 0

    async def fails_at_first(*args: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(0.1)
            raise asyncpg.PostgresConnectionError
        return await real(*args)

    monkeypatch.setattr("madoguchi_bridges.store.insert_intake", fails_at_first)
    first = asyncio.create_task(bench.line.deliver(bench.line.person().said("first")))
    while calls == 0:  # noqa: ASYNC110 - it is the product that is waited for
        await asyncio.sleep(0.01)
    others = [bench.line.deliver(bench.line.person().said(f"{number}")) for number in range(20)]
    assert set(await asyncio.gather(*others)) == {200}
    assert await first == 503
    assert await stored(bench) == 20


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[int]]:
    """Ten events in batches, reordered, some delivered again and again."""
    numbers = draw(st.permutations(range(10)))
    again = draw(st.lists(st.integers(0, 9), max_size=10))
    order = draw(st.permutations([*numbers, *again]))
    batches, rest = [], list(order)
    while rest:
        size = draw(st.integers(1, 4))
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


class Killed(BaseException):
    """kill -9, as far as one process can play it."""


async def works_through_deaths(bench: Bench) -> None:
    while True:
        try:
            return await bench.works()
        except Killed:
            pass


@settings(calm, max_examples=20)
@given(st.data())
def test_whatever_the_order_and_the_repetitions_nothing_is_lost_or_doubled(
    bridges_database: str, tmp_path: Path, data: st.DataObject
) -> None:
    batches = data.draw(deliveries())
    stops = data.draw(st.sets(st.integers(0, 20), max_size=3))
    deaths = data.draw(st.integers(0, 4))

    async def play() -> None:
        async with a_bench(bridges_database, KEY, tmp_path) as bench:
            people = [bench.line.person(), bench.line.person()]
            events: list[Json] = [
                people[number % 2].said(str(number), timestamp=1_700_000_000_000 + number) for number in range(10)
            ]
            # Killed between the room's acknowledgement and our own note of it, the worst moment there is.
            bench.ghosts.crashes = [Killed() for _ in range(deaths)]
            for step, batch in enumerate(batches):
                assert await bench.line.deliver(*(events[number] for number in batch)) == 200
                if step in stops:
                    await works_through_deaths(bench)
            await works_through_deaths(bench)
            rooms = [[int(body) for body in room.bodies()] for room in bench.ghosts.rooms.values()]
            assert sorted(number for room in rooms for number in room) == list(range(10))
            if not stops:
                assert all(room == sorted(room) for room in rooms)
            assert await bench.outcomes() == {"shown": 10}

    asyncio.run(play())


async def test_words_are_shown_in_the_order_of_the_app_s_clock(bench: Bench) -> None:
    mio = bench.line.person()
    events = [mio.said(f"{number}", timestamp=1_700_000_000_000 + number) for number in range(5)]
    await bench.line.deliver(events[3], events[1])
    await bench.line.deliver(events[4])
    await bench.line.deliver(events[0], events[2])
    await bench.works()
    assert bench.ghosts.room().bodies() == ["0", "1", "2", "3", "4"]


async def test_a_clock_that_runs_ahead_does_not_hold_later_words_back(bench: Bench) -> None:
    mio = bench.line.person()
    await bench.line.deliver(mio.said("future", timestamp=2**53))
    await bench.works()
    await bench.line.deliver(mio.said("now"))
    await bench.works()
    assert bench.ghosts.room().bodies() == ["future", "now"]


async def test_lone_surrogates_and_nul_pass_through(bench: Bench) -> None:
    mio = bench.line.person()
    event = mio.said("x")
    event["message"]["text"] = "a\ud83db\x00c"
    raw = json.dumps({"destination": "U" + "0" * 32, "events": [event | {"webhookEventId": "\x00\ud83d"}]}).encode()
    assert await bench.line.deliver_raw(raw) == 200
    await bench.works()
    assert bench.ghosts.room().bodies() == ["a\ufffdb\x00c"]
