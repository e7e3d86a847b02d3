"""A young person on LINE and a counsellor talk, through `madoguchi up`, LINE being played by a stand-in."""

import asyncio
import re
import time

import aiohttp
import pytest

from tests import figures
from tests.standins.counsellor import CounsellorClient
from tests.standins.line import LineFile, LinePerson, LineStandin
from tests.stories.conftest import Setting
from tests.stories.event_storm import Storm
from tests.words import word


async def in_conversation(line: LineStandin, ken: CounsellorClient) -> tuple[LinePerson, str, str]:
    """Somebody new on LINE, whose case Ken has taken: (person, case id, room id)."""
    waiting = {case["case_id"] for case in (await ken.queue())["waiting"]}
    mio = line.person()
    text = word("はじめまして")
    await mio.says(text)
    case_id = await ken.waits_for_a_case(among=waiting)
    room = await ken.accepts(case_id)
    await ken.reads_history(room)
    await ken.sees(room, text)
    return mio, case_id, room


async def test_words_on_line_become_a_case_and_go_both_ways(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    mio = line.person()
    first, second = word("眠れない"), word("学校のこと")
    await mio.says(first)
    await mio.sends("sticker", packageId="1", stickerId="2", stickerResourceType="STATIC", keywords=["泣く"],
                    quoteToken="q")  # fmt: skip
    await mio.says(second)
    case_id = await ken.waits_for_a_case()
    (waiting,) = [case for case in (await ken.queue())["waiting"] if case["case_id"] == case_id]
    assert (waiting["channel"], waiting["mode"], waiting["locked"]) == ("line", "relay", False)

    room = await ken.accepts(case_id)
    await ken.reads_history(room)
    await ken.sees(room, second)
    await ken.sees(room, first)
    assert await ken.conversation(room) == [first, "スタンプ: 泣く", second]

    answers = [word("聞いているよ"), word("いつから？")]
    sent = [await ken.says(room, answer) for answer in answers]
    assert [(await mio.hears(answer)).via for answer in answers] == ["reply", "reply"]
    for event_id in sent:
        told = await ken.waits_for(room, lambda event, wanted=event_id: _tells(event, wanted), what="the delivery")
        assert told["content"]["state"] == "accepted"

    last = word("先月から")
    event = await mio.says(last, quoting=line.phones[-1].id)
    seen = await ken.sees(room, last)
    assert seen["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] == sent[-1]
    assert len(mio.phone) == 2

    # What has come is not what has been read; and who writes is seen.
    assert line.read == []
    await ken.types(room)
    await ken.reads(room, seen["event_id"])
    await line.shows_loading(1)
    await line.shows_read(event["message"]["markAsReadToken"])


def _tells(event: dict[str, object], wanted: str) -> bool:
    content = event["content"]
    assert isinstance(content, dict)
    return event["type"] == "jp.madoguchi.delivery" and content["m.relates_to"]["event_id"] == wanted


async def test_pictures_go_both_ways_and_are_never_seen_by_the_server(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    mio, _, room = await in_conversation(line, ken)
    drawing, answer = (word(what).encode() * 50 for what in ("描いた絵", "返しの絵"))
    event = await mio.sends_file("image", LineFile(drawing, "image/png", preparing=1))
    shown = await ken.waits_for(room, lambda event: event["content"].get("msgtype") == "m.image", what="the picture")
    assert await ken.opens(shown["content"]) == drawing

    content = await ken.encloses(room, answer, "image/jpeg")
    sent = await ken.sends(room, content)
    bubble = await mio.sees_a("image")
    async with aiohttp.ClientSession() as http, http.get(bubble.url) as got:
        assert (got.status, await got.read()) == (200, answer)
    await ken.takes_back(room, sent)
    await ken.sees(room, "送ったファイルは、もう開けません")
    async with aiohttp.ClientSession() as http, http.get(bubble.url) as got:
        assert got.status == 404

    await mio.does("unsend", unsend={"messageId": event["message"]["id"]})
    await ken.sees(room, "取り消しました")
    path = f"/_matrix/client/v3/rooms/{room}/event/{shown['event_id']}"
    assert (await ken.device.call("GET", path))["content"] == {}


async def test_the_ghost_says_nothing_about_the_person_and_has_a_signed_device(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    mio, _, room = await in_conversation(line, ken)
    members = [user_id for user_id in ken.device.rooms[room].users if user_id.startswith("@line_")]
    (ghost,) = members
    assert mio.user_id.lower() not in ghost
    query = await ken.device.query_devices([ghost])
    from madoguchi.crypto.cross_signing import signed_devices

    assert len(signed_devices(query, ghost)) == 1


async def test_what_is_taken_back_on_line_is_taken_out_of_the_room(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    mio, _, room = await in_conversation(line, ken)
    text = word("言わなければよかった")
    event = await mio.says(text)
    shown = await ken.sees(room, text)
    await mio.does("unsend", unsend={"messageId": event["message"]["id"]})
    await ken.sees(room, "取り消しました")
    path = f"/_matrix/client/v3/rooms/{room}/event/{shown['event_id']}"
    assert (await ken.device.call("GET", path))["content"] == {}


async def test_who_adds_the_account_is_greeted_and_waits_for_nobody(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    before = (await ken.queue())["waiting"]
    mio = line.person()
    await mio.does("follow", follow={"isUnblocked": False})
    assert (await mio.hears(setting.house.base_url)).via == "reply"
    assert (await ken.queue())["waiting"] == before


async def test_every_refusal_is_told_to_the_counsellor(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    mio, _, room = await in_conversation(line, ken)
    await ken.says(room, word("一つ目"))
    await mio.hears("一つ目")
    line.out_of_quota = True
    lost = await ken.says(room, word("二つ目"))
    told = await ken.sees(room, "LINEに届いていません")
    assert told["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] == lost
    await ken.sends(room, {"msgtype": "m.image", "body": "cat.png", "url": "mxc://x/y"})
    await ken.sees(room, "この種類のメッセージはLINEに送れません")
    assert len(mio.phone) == 1


async def test_when_the_case_is_closed_the_next_words_open_another(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    mio, case_id, room = await in_conversation(line, ken)
    await ken.closes(case_id)
    again = word("また来ました")
    waiting = {case["case_id"] for case in (await ken.queue())["waiting"]}
    await mio.says(again)
    other = await ken.waits_for_a_case(among=waiting)
    assert other != case_id
    new_room = await ken.accepts(other)
    await ken.reads_history(new_room)
    await ken.sees(new_room, again)
    assert await ken.conversation(new_room) == [again]
    assert new_room != room


async def test_in_a_contact_point_no_word_crosses_and_none_is_lost(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    line.connect(setting.house.facts["bridges_url"], "line-notices")
    waiting = {case["case_id"] for case in (await ken.queue())["waiting"]}
    mio = line.person()
    first, second = word("眠れない"), word("つらい")
    await mio.says(first)
    bubble = await mio.hears(setting.house.base_url + "/#move=")
    assert bubble.via == "reply" and first not in bubble.text
    await mio.says(second)
    room = await ken.accepts(await ken.waits_for_a_case(among=waiting))
    await ken.reads_history(room)
    await ken.sees(room, first)
    await ken.sees(room, second)
    answer = word("聞いているよ")
    await ken.says(room, answer)
    await ken.waits_for(room, _waits_on_page, what="word that the answer waits on the page")
    assert len(mio.phone) == 1, "an hour has not passed"


def _waits_on_page(event: dict[str, object]) -> bool:
    content = event["content"]
    assert isinstance(content, dict)
    return bool(content.get("jp.madoguchi.delivery", {}).get("state") == "on_page")


async def test_forged_and_misdirected_webhooks_are_refused(setting: Setting, line: LineStandin) -> None:
    mio = line.person()
    raw = line.body([mio.said(word("偽物"))])
    assert await line.deliver_raw(raw, signature=line.signature(raw + b" ")) == 403
    assert await line.deliver_raw(raw, signature="") == 403
    line.connect(setting.house.facts["bridges_url"], "nobody")
    assert await line.deliver_raw(raw) == 404
    async with aiohttp.ClientSession() as http, http.get(setting.house.facts["bridges_url"] + "/health") as answer:
        assert answer.status == 200


async def test_kill_9_of_anything_at_any_moment_loses_nothing_and_doubles_nothing(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    house = setting.house
    talks = [await in_conversation(line, ken) for _ in range(3)]
    storm = Storm(house, line, ken, "line", [(mio, room) for mio, _, room in talks], events=300)
    # The last one in the middle of what is only being worked off.
    await storm.rages("bridges", "serve", "database", "bridges")
    await storm.has_lost_nothing_and_doubled_nothing(within_s=60)
    told = house.run("doctor").stdout
    assert re.search(r"ok +ledger +line: \d+ in = \d+ shown \+ \d+ placeholders \+ \d+ repetitions", told), told


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_ten_thousand_events_and_not_one_is_lost_or_doubled(
    setting: Setting, line: LineStandin, ken: CounsellorClient
) -> None:
    talks = [await in_conversation(line, ken) for _ in range(5)]
    events = 300 if figures.QUICK else 10_000
    storm = Storm(setting.house, line, ken, "line", [(mio, room) for mio, _, room in talks], events=events)
    began = time.monotonic()
    kills = ["bridges", "serve", "bridges", "database", "bridges", "keeper"] * (1 if figures.QUICK else 5)
    await storm.rages(*kills)
    delivered = time.monotonic() - began
    await storm.has_lost_nothing_and_doubled_nothing(within_s=1800)
    lasted = {"delivered_within_s": round(delivered), "worked_off_within_s": round(time.monotonic() - began)}
    figures.note("storm", events=events, deliveries=storm.delivered, killed=len(kills), lost=0, doubled=0, **lasted)


async def test_the_operator_checks_the_set_up_with_line_itself(setting: Setting, line: LineStandin) -> None:
    told = await asyncio.to_thread(setting.house.run, "channel", "check", "line")
    assert "ok    token: 県の窓口 @123abcde" in told.stdout
    # This house has no public address: LINE could not call it, and the command says what is missing.
    assert "WRONG address that the app calls: http://" in told.stdout and "public_url" in told.stdout
    assert told.returncode == 1 and setting.secret not in told.stdout and setting.token not in told.stdout
    # Whoever adds an account at a terminal goes through the same steps there, as often as they like.
    words = ("add", "line", "--id", "line-walked")
    walked = await asyncio.to_thread(setting.channel_at_a_terminal, *words, typed="y\nn\n")
    assert walked.count("ok    token: 県の窓口 @123abcde") == walked.count("WRONG address that the app calls") == 2
    setting.channel("set", "line-walked", "--mode", "closed", "--reason", "the exercise is over")
