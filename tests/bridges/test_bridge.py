"""From the intake into the room: every kind of event has a visible result, in every mode, across every crash."""

import pytest

from madoguchi_bridges.desk import Minutes, Queue, Refused, Unreachable
from madoguchi_bridges.ghosts import CaseOver
from tests.bridges.parts import Bench
from tests.standins.line import LinePerson


async def shown(bench: Bench) -> list[str]:
    await bench.works()
    return bench.ghosts.room().bodies()


async def test_words_become_a_case_and_say_where_they_come_from(bench: Bench) -> None:
    event = await bench.line.person().says("眠れない")
    assert await shown(bench) == ["眠れない"]
    ((_, kind, content),) = bench.ghosts.room().said.values()
    assert (kind, content["msgtype"]) == ("m.room.message", "m.text")
    assert content["jp.madoguchi.origin"] == {"channel": "line-1", "sent_at": event["timestamp"]}


async def test_what_comes_late_is_marked(bench: Bench) -> None:
    mio = bench.line.person()
    await bench.line.deliver(mio.said("second", timestamp=1_700_000_060_000))
    await bench.works()
    await bench.line.deliver(mio.said("first", timestamp=1_700_000_000_000), redelivery=True)
    assert await shown(bench) == ["second", "first"]
    assert [content["jp.madoguchi.origin"].get("late") for _, _, content in bench.ghosts.room().said.values()] == [
        None,
        True,
    ]


async def test_other_messages_have_placeholders(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.sends("sticker", packageId="1", stickerId="1", stickerResourceType="STATIC", keywords=["泣く"],
                    quoteToken="q")  # fmt: skip
    await mio.sends("image", contentProvider={"type": "line"}, quoteToken="q")
    await mio.does("postback", postback={"data": "yes"})
    await bench.line.deliver(mio.event("telepathy"), check=False)
    assert await shown(bench) == [
        "スタンプ: 泣く",
        "画像（LINEにはもうありません）",
        "ボタンが押されました: yes",
        "この版では表示できない出来事がLINEから届きました",
    ]
    assert await bench.outcomes() == {"placeholder": 4}
    # Said as text, not as a notice: the counsellor is to be called.
    assert {content["msgtype"] for _, _, content in bench.ghosts.room().said.values()} == {"m.text"}


async def test_very_long_words_arrive_whole(bench: Bench) -> None:
    text = "あ" * 25_000
    await bench.line.deliver(bench.line.person().said(text), check=False)
    assert "".join(await shown(bench)) == text
    assert len(bench.ghosts.room().said) == 3


async def test_a_withdrawn_message_is_taken_back(bench: Bench) -> None:
    mio = bench.line.person()
    event = await mio.says("言わなければよかった")
    await bench.works()
    await mio.does("unsend", unsend={"messageId": event["message"]["id"]})
    assert (await shown(bench))[-1] == "相手が、送った言葉を一つ取り消しました。"
    room = bench.ghosts.room()
    assert room.taken_back == [next(iter(room.said.values()))[0]]


async def test_a_message_withdrawn_before_it_was_shown_is_never_shown(bench: Bench) -> None:
    mio = bench.line.person()
    event = mio.said("言わなければよかった", timestamp=1_700_000_000_000)
    unsend = mio.event("unsend", unsend={"messageId": event["message"]["id"]}, timestamp=1_700_000_001_000)
    await bench.line.deliver(unsend)
    await bench.works()
    await bench.line.deliver(event, redelivery=True)
    assert await shown(bench) == ["（取り消された言葉）"]


async def test_follow_is_greeted_without_a_question_and_opens_no_case(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.does("follow", follow={"isUnblocked": False})
    await bench.works()
    words, card = bench.line.phones
    assert [words.via, card.via] == ["reply", "reply"]
    assert "https://desk.test" in words.text
    assert "LINEの会社が見ることもできます" in words.text
    assert "LINE's company can" in words.text, "in both of the desk's languages"
    assert not any(mark in bubble.text for mark in "？?" for bubble in (words, card))
    assert (card.type, words.opens) == ("template", ())
    opens = (("ページで話す / Chat", "https://desk.test"), ("電話で話す / Call", "https://desk.test/guidance/"))
    assert card.opens == opens
    assert bench.ghosts.rooms == {}
    assert await bench.outcomes() == {"noted": 1}


async def test_a_block_is_seen_by_the_counsellor_in_every_mode(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    for mode in ("contact_point", "emergency", "relay"):
        await bench.sets(mode)
        await mio.does("unfollow")
        assert "ブロックされました" in (await shown(bench))[-1]
        await mio.does("follow", follow={"isUnblocked": True})
        assert "ブロックが解除されました" in (await shown(bench))[-1]
    await mio.does("unfollow")
    await bench.works()
    bench.told.clear()
    await bench.counsellor_says("大丈夫？", "$1")
    await bench.works()
    assert bench.told == [("$1", "maybe_blocked")]
    await mio.does("follow", follow={"isUnblocked": True})
    assert "ブロックが解除されました" in (await shown(bench))[-1]
    await bench.counsellor_says("おかえり", "$2")
    await bench.works()
    assert bench.told[-1] == ("$2", "accepted")


async def test_what_concerns_a_person_without_a_case_opens_none(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.does("unfollow")
    await mio.does("membership", membership={"type": "joined", "membershipId": 1})
    await bench.works()
    assert bench.ghosts.rooms == {}
    assert await bench.outcomes() == {"noted": 2}
    await mio.says("眠れない")
    await bench.works()
    bench.ghosts.room().open = False
    await mio.does("unfollow")
    assert await shown(bench) == ["眠れない"], "nor does it in the place of one that has ended unheard"
    assert await bench.outcomes() == {"noted": 3, "shown": 1}


async def test_standby_is_not_answered(bench: Bench) -> None:
    mio = bench.line.person()
    await bench.line.deliver(mio.said("眠れない", mode="standby", replyToken=None))
    await bench.works()
    assert (bench.ghosts.rooms, bench.line.requests) == ({}, [])
    assert await bench.outcomes() == {"standby": 1}


async def test_groups_are_politely_left(bench: Bench) -> None:
    mio = bench.line.person()
    group = {"type": "group", "groupId": "C" + "1" * 32}
    await bench.line.deliver(mio.event("join", source=group))
    await bench.line.deliver(mio.said("みんなの話", source=group | {"userId": mio.user_id}))
    await bench.works()
    assert bench.line.groups_left == ["C" + "1" * 32]
    assert bench.ghosts.rooms == {}
    assert bench.line.requests[0].path == "/v2/bot/message/reply"
    assert await bench.outcomes() == {"group": 2}


async def test_a_contact_point_hands_words_over_and_answers_with_the_link_once_an_hour(bench: Bench) -> None:
    await bench.sets("contact_point", None)
    mio = bench.line.person()
    for text in ("眠れない", "つらい", "聞いて"):
        await mio.says(text)
        await bench.works()
    assert await shown(bench) == ["眠れない", "つらい", "聞いて"]
    (bubble,) = bench.line.phones
    assert bubble.via == "reply"
    assert "https://desk.test/#move=t" in bubble.text and "ABCD-2345" in bubble.text
    assert "LINEの会社が見ることもできます" in bubble.text, "and they are told kindly who could read it"
    assert bubble.opens[0] == ("ページで話す / Chat", "https://desk.test/#move=t")
    assert await bench.outcomes() == {"shown": 3}
    await bench.pool.execute("UPDATE bridge_people SET noticed_at = noticed_at - 3600001")
    await mio.says("まだいる")
    await bench.works()
    assert len(bench.line.phones) == 2


@pytest.mark.parametrize(("mode", "reason"), [("relay", None), ("relay", " "), ("open", "x"), ("emergency", "x")])
async def test_without_a_recorded_reason_or_a_known_mode_nothing_is_relayed(
    bench: Bench, mode: str, reason: str | None
) -> None:
    # Past the table's own check: what the bridge holds in memory decides.
    row = next(iter(bench.channels._channels.values()))
    bench.channels._channels[row.id] = type(row)(row.id, row.kind, mode, reason or "", row.network)
    await bench.line.person().says("眠れない")
    await bench.works()
    assert bench.ghosts.rooms == {}


async def test_a_closed_channel_shows_the_way_to_hotlines_open_now(bench: Bench) -> None:
    await bench.sets("closed", None)
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    (text,) = mio.phone
    assert "0120-0-78310" in text
    assert "0120-99-7777" not in text
    assert "https://desk.test" in text


async def test_draining_carries_running_cases_and_no_new_ones(bench: Bench) -> None:
    mio, aoi = bench.line.person(), bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    await bench.sets("draining", "drill")
    await mio.says("まだいる？")
    await aoi.says("はじめまして")
    assert await shown(bench) == ["眠れない", "まだいる？"]
    assert len(aoi.phone) == 1


async def test_a_running_case_learns_that_the_app_carries_nothing_any_more(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    await bench.sets("emergency", "the app itself is the danger")
    await mio.says("つらい")
    bodies = await shown(bench)
    assert "つらい" not in bodies
    assert "内容を運ばない設定" in bodies[-1]
    (text,) = mio.phone
    assert "https://desk.test/#move=t" in text and "0120-0-78310" in text
    await bench.counsellor_says("聞いているよ", "$1")
    await bench.works()
    assert bench.told == [("$1", "not_carried")]
    assert not any("聞いているよ" in text for text in mio.phone)


@pytest.mark.parametrize("error", [Unreachable(), RuntimeError(), KeyError("x")])
async def test_while_the_server_is_away_words_wait_in_order(bench: Bench, error: Exception) -> None:
    mio = bench.line.person()
    bench.ghosts.troubles = [error, Unreachable(), Unreachable()]
    for number in range(3):
        await bench.line.deliver(mio.said(str(number), timestamp=1_700_000_000_000 + number))
    assert await shown(bench) == ["0", "1", "2"]


async def test_a_crash_after_the_room_has_the_words_doubles_nothing(bench: Bench) -> None:
    class Killed(BaseException):
        pass

    mio = bench.line.person()
    await mio.says("眠れない")
    bench.ghosts.crashes = [Killed()]
    with pytest.raises(Killed):
        await bench.works()
    assert await bench.outcomes() == {"waiting": 1}
    assert await shown(bench) == ["眠れない"]
    assert await bench.outcomes() == {"shown": 1}


async def test_a_crash_and_then_the_end_of_the_case_doubles_nothing_either(bench: Bench) -> None:
    class Killed(BaseException):
        pass

    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    bench.ghosts.crashes = [Killed()]
    await mio.says("つらい")
    with pytest.raises(Killed):
        await bench.works()
    bench.ghosts.room().open = False
    await bench.pool.execute("UPDATE bridge_people SET case_id = NULL, room_id = NULL")
    await bench.works()
    assert [body for room in bench.ghosts.rooms.values() for body in room.bodies()] == ["眠れない", "つらい"]


async def test_after_the_end_of_a_case_the_next_words_open_another(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    bench.ghosts.room().open = False
    await mio.says("また来ました")
    await bench.works()
    assert [room.bodies() for room in bench.ghosts.rooms.values()] == [["眠れない"], ["また来ました"]]


async def test_a_desk_that_takes_no_case_keeps_the_words_and_shows_the_way(bench: Bench) -> None:
    mio = bench.line.person()
    bench.ghosts.troubles = [Refused(403, "JP_MADOGUCHI_CLOSED"), Refused(403, "JP_MADOGUCHI_CLOSED")]
    await mio.says("眠れない")
    assert await shown(bench) == ["眠れない"]
    (text,) = mio.phone
    assert "0120-0-78310" in text


@pytest.mark.parametrize(
    ("reason", "opening", "says"),
    [
        ("hours", 1_796_108_400_000, "つぎの受付: 12月1日（火）16時から"),
        ("paused", None, "受付が始まったら、相談員に届きます"),
    ],
)
async def test_outside_the_hours_people_are_told_when_their_words_will_be_read(
    bench: Bench, reason: str, opening: int | None, says: str
) -> None:
    mio = bench.line.person()
    bench.ghosts.troubles = [Refused(403, "JP_MADOGUCHI_CLOSED", reason, opening)]
    await mio.says("眠れない")
    assert await shown(bench) == ["眠れない"]
    (bubble,) = bench.line.phones
    assert bubble.via == "reply" and says in bubble.text and "0120-0-78310" in bubble.text
    assert "A counsellor will get your words" in bubble.text


@pytest.mark.parametrize(
    ("queue", "says"),
    [
        (Queue(1, 0), "相談員が席にいません"),
        (Queue(4, 2), "ほかに3人が待っています。お返事まで、時間がかかるかもしれません"),
        (Queue(1, 3, Minutes(15, 40)), "ほかの人と話しています。お返事まで、15〜40分くらいです"),
        (Queue(2, 2, Minutes(2, 5)), ""),
        (None, ""),
    ],
)
async def test_whoever_comes_to_a_full_queue_is_told_so_once_and_for_nothing(
    bench: Bench, queue: Queue | None, says: str
) -> None:
    bench.desk.queue = queue
    mio = bench.line.person()
    for text in ("眠れない", "まだいる？"):
        await mio.says(text)
        await bench.works()
    assert await shown(bench) == ["眠れない", "まだいる？"]
    assert len(bench.line.phones) == (1 if says else 0)
    for bubble in bench.line.phones:
        assert bubble.via == "reply" and says in bubble.text and "0120-0-78310" in bubble.text
        assert bubble.opens[1] == ("電話で話す / Call", "https://desk.test/guidance/")


async def test_people_do_not_wait_for_each_other(bench: Bench) -> None:
    people: list[LinePerson] = [bench.line.person() for _ in range(5)]
    for person in people:
        await person.says(person.user_id)
    bench.ghosts.troubles = [CaseOver(), Unreachable()]
    await bench.works()
    assert len(bench.ghosts.rooms) == 5
