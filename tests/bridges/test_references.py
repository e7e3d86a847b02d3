"""What belongs to what: answers and quotations, read marks, somebody writing; and how much may still be sent."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from madoguchi_bridges import store
from madoguchi_bridges.intake import milliseconds
from madoguchi_bridges.network import Rejected, TryAgain
from madoguchi_bridges.pace import Pace
from madoguchi_bridges.presence import Presence
from tests.bridges.parts import CHANNEL, Bench, Json


def said(bench: Bench) -> list[tuple[str, Json]]:
    return [(event_id, content) for event_id, kind, content in bench.ghosts.room().said.values()
            if kind == "m.room.message"]  # fmt: skip


def answered(content: Json) -> str | None:
    event_id: str | None = content.get("m.relates_to", {}).get("m.in_reply_to", {}).get("event_id")
    return event_id


async def test_answers_name_what_they_answer_in_both_directions(bench: Bench) -> None:
    mio = bench.line.person()
    first = await mio.says("眠れない")
    await bench.works()
    await bench.counsellor_says("いつから？", "$q", answers=said(bench)[0][0])
    await bench.works()
    (bubble,) = bench.line.phones
    assert bubble.quotes == first["message"]["quoteToken"]
    await mio.says("先月から", quoting=bubble.id)
    await mio.says("それは昨日のこと", quoting=first["message"]["id"])
    await mio.says("関係ない話", quoting="1")
    await bench.works()
    assert [answered(content) for _, content in said(bench)] == [None, "$q", said(bench)[0][0], None]
    # What counsellors answer among themselves quotes nothing.
    await bench.counsellor_says("別の話", "$r", answers="$unknown")
    await bench.works()
    assert bench.line.phones[-1].quotes == ""


async def test_an_answer_to_what_stands_in_an_earlier_case_is_no_relation(bench: Bench) -> None:
    mio = bench.line.person()
    first = await mio.says("眠れない")
    await bench.works()
    bench.ghosts.room().open = False
    await mio.says("また来ました", quoting=first["message"]["id"])
    await bench.works()
    rooms = list(bench.ghosts.rooms.values())
    assert [answered(content) for _, _, content in rooms[1].said.values()] == [None]


@dataclass
class Ear:
    person: str
    channel_id: str = CHANNEL
    user_id: str = "@line_x:desk.test"


def presence(bench: Bench) -> Presence:
    return Presence(bench.pool, bench.seals, bench.config, bench.channels)


def receipt(room_id: str, event_id: str, user_id: str, at: int) -> Json:
    event = {"type": "m.receipt", "content": {event_id: {"m.read": {user_id: {"ts": at}}}}}
    return {"rooms": {"join": {room_id: {"ephemeral": {"events": [event]}}}}}


def typing(room_id: str, *user_ids: str) -> Json:
    event = {"type": "m.typing", "content": {"user_ids": list(user_ids)}}
    return {"rooms": {"join": {room_id: {"ephemeral": {"events": [event]}}}}}


async def settled(looks_after: Presence) -> None:
    await asyncio.gather(*looks_after._tasks)


async def test_a_message_is_marked_as_read_when_a_human_has_read_it_and_once(bench: Bench) -> None:
    mio = bench.line.person()
    events = [await mio.says(text) for text in ("一", "二", "三")]
    await bench.works()
    (person,) = await store.list_present(bench.pool)
    room, ear, looks_after = person.room_id or "", Ear(person.person), presence(bench)
    shown = [event_id for event_id, _ in said(bench)]
    tokens = [event["message"]["markAsReadToken"] for event in events]

    async def read_by(user_id: str, event_id: str, at: int = 0) -> list[str]:
        looks_after.noticed(ear, receipt(room, event_id, user_id, at))  # type: ignore[arg-type]
        await settled(looks_after)
        return bench.line.read

    assert await read_by("@keeper:desk.test", shown[2]) == []
    assert await read_by("@line_x:desk.test", shown[2]) == []
    assert await read_by("@ken:desk.test", shown[1]) == [tokens[1]]
    assert await read_by("@sato:desk.test", shown[1]) == [tokens[1]]
    assert await read_by("@sato:desk.test", shown[0]) == [tokens[1]]
    # A later event than the message, a counsellor's own for instance.
    assert await read_by("@ken:desk.test", "$own", at=milliseconds()) == [tokens[1], tokens[2]]
    await bench.sets("notice_only", None)
    await mio.says("四")
    await bench.works()
    assert len(await read_by("@ken:desk.test", "$own2", at=milliseconds())) == 2


async def test_somebody_writing_is_shown_for_as_long_as_it_lasts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.line.person().says("眠れない")
    await bench.works()
    (person,) = await store.list_present(bench.pool)
    room, ear, looks_after = person.room_id or "", Ear(person.person), presence(bench)
    (network,) = {channel.network for channel in bench.channels.all()}
    monkeypatch.setattr(network, "typing_seconds", 0.05)
    looks_after.noticed(ear, typing(room, "@keeper:desk.test", ear.user_id))  # type: ignore[arg-type]
    await asyncio.sleep(0.1)
    assert bench.line.loading == []
    looks_after.noticed(ear, typing(room, "@ken:desk.test"))  # type: ignore[arg-type]
    await bench.line.shows_loading(2)
    looks_after.noticed(ear, typing(room))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    count = len(bench.line.loading)
    await asyncio.sleep(0.2)
    assert len(bench.line.loading) == count
    await looks_after.close()


async def test_a_correction_goes_out_as_one_where_words_can_t_be_exchanged(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    await bench.counsellor_says("木曜に", "$1")
    await bench.counsellor_says("金曜に", "$2", corrects="$1")
    await bench.works()
    assert mio.phone == ["木曜に", "（訂正）金曜に"]


async def test_a_part_of_the_quota_is_kept_for_danger_and_moves(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    bench.line.quota = 20  # a tenth of it is kept
    (channel,) = bench.channels.all()
    bench.tokens._tokens.clear()
    assert await bench.meter.read(channel)
    for number in range(20):
        await bench.counsellor_says(str(number), f"${number}")
    await bench.works()
    assert [outcome for _, outcome in bench.told] == ["accepted"] * 18 + ["reserve"] * 2
    (person,) = await store.list_present(bench.pool)
    await bench.outbox.put_notice(bench.pool, CHANNEL, person.person, "move:case:1", "引っ越しませんか")
    await bench.works()
    assert mio.phone[-1] == "引っ越しませんか"
    bench.meter.check(channel, urgent=True)
    with pytest.raises(Rejected):
        bench.meter.check(channel, urgent=False)
    # Answers that cost nothing go out as ever.
    await mio.says("まだいる？")
    await bench.counsellor_says("いるよ", "$free")
    await bench.works()
    assert mio.phone[-1] == "いるよ"
    rows = await bench.pool.fetch("SELECT channel_id, most, used FROM bridge_quota")
    assert [tuple(row) for row in rows] == [(CHANNEL, 20, 0)]


async def test_the_reserve_is_the_channel_s_own_where_it_says_so(bench: Bench) -> None:
    await bench.pool.execute("UPDATE channels SET settings = '{\"quota_reserve\": 19}' WHERE kind = 'line'")
    await bench.channels.read()
    (channel,) = bench.channels.all()
    bench.line.quota = 20
    await bench.meter.read(channel)
    bench.meter.check(channel, urgent=False)
    bench.meter.sent(channel)
    with pytest.raises(Rejected):
        bench.meter.check(channel, urgent=False)
    bench.line.quota = None
    await bench.meter.read(channel)
    bench.meter.check(channel, urgent=False)


async def test_too_fast_is_not_out_of_quota(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    bench.tokens._tokens.clear()
    bench.line.fails(1, 429)
    await bench.counsellor_says("聞いているよ", "$1")
    (person,) = await store.list_present(bench.pool)
    await bench.outbox.work_off(person.person)
    (rest,) = await bench.pool.fetch("SELECT next_at FROM bridge_outbox WHERE outcome IS NULL")
    assert rest["next_at"] - milliseconds() > 4000
    await bench.works()
    assert (mio.phone, bench.told) == (["聞いているよ"], [("$1", "accepted")])


async def test_an_account_s_requests_keep_under_the_app_s_rate(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (channel,) = bench.channels.all()
    limits = type(channel.network.limits)(5000, 5, 50.0, 24.0, requests_per_second=50.0)
    monkeypatch.setattr(channel.network, "limits", limits)
    pace, loop = Pace(), asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(pace.turn(channel) for _ in range(60)))
    # A second's worth at once, then twenty milliseconds each.
    assert 0.19 <= loop.time() - began < 2


def test_try_again_says_how_long() -> None:
    error: Any = TryAgain(after=3.0)
    assert error.after == 3.0 and TryAgain().after == 0.0
