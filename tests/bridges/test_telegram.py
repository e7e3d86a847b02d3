"""Telegram as the second network: the same framework, its updates read, its calls as the published Bot API says."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madoguchi_bridges import store
from madoguchi_bridges.accounts import Accounts
from madoguchi_bridges.intake import Intake, milliseconds
from madoguchi_bridges.media_in import VOICE
from madoguchi_bridges.network import Incoming, Network, Outgoing, Reacts, Rejected, TryAgain, Unverified
from madoguchi_bridges.telegram import Telegram
from tests.bridges.parts import Bench, Json, calm
from tests.standins import telegram_spec
from tests.standins.telegram_spec import Disagreement

PAYLOADS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("payloads/telegram/*.json")}
CHAT = Path(__file__).parents[2] / "client-web/src/matrix/chat.ts"
TOKEN = "123456:" + "A" * 35

# payload → (kind, what the counsellor is shown, whether that is a placeholder)
READ_AS = {
    "text": ("message", "眠れない", False),
    "start": ("arrived", "Telegramで窓口を開きました", True),
    "reply": ("message", "先月から", False),
    "photo": ("message", "画像", True),
    "voice": ("message", "音声 7秒", True),
    "audio": ("message", "音声 180秒", True),
    "video": ("message", "動画 60秒", True),
    "video_note": ("message", "動画 5秒", True),
    "animation": ("message", "動画 3秒", True),
    "document": ("message", "ファイル: 日記.txt", True),
    "sticker": ("message", "スタンプ: 😢", True),
    "location": ("message", "位置情報: （35.659108, 139.703729）", True),
    "venue": ("message", "位置情報: 駅 東京都千代田区（35.679660, 139.736690）", True),
    "contact": ("message", "連絡先: 友 +810000000000", True),
    "dice": ("message", "🎲 4", True),
    "poll": ("message", "投票: どっち？", True),
    "gift": ("message", "この版では表示できない種類のメッセージが届きました", True),
    "edited": ("edited", "眠れなかった", False),
    "edited_caption": ("edited", "うちの黒猫", False),
    "reaction": ("notice", "👍 の反応がつきました", True),
    "reaction_gone": ("notice", "反応が取り消されました", True),
    "blocked": ("left", "Telegramでブロックされました。これから送る言葉は届きません", True),
    "unblocked": ("arrived", "Telegramのブロックが解除されました", True),
    "group_joined": ("group", "join", True),
    "group_text": ("group", "", True),
    "callback": ("unknown", "この版では表示できない出来事がTelegramから届きました", True),
}


def telegram(**secrets: str) -> Telegram:
    return Telegram({"bot_token": TOKEN} | secrets, "http://127.0.0.1:1")


def read(update: Any) -> Incoming:
    (incoming,) = telegram().parse(json.dumps(update).encode())
    return incoming


def test_it_is_a_network() -> None:
    network: Network = telegram()
    assert (network.name, network.title) == ("telegram", "Telegram")
    assert isinstance(network, Reacts) and network.reactions == telegram_spec.REACTIONS
    # Every one that the console offers.
    offered = re.search(r"export const REACTIONS = {(.*?)}", CHAT.read_text())
    keys = re.findall(r'"([^"]+)": "', offered[1]) if offered else []
    assert len(keys) == 5 and network.reactions.issuperset(key.replace("\ufe0f", "") for key in keys)


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_payload_is_as_telegram_says_and_read_as_expected(name: str) -> None:
    update = PAYLOADS[name]
    telegram_spec.check("Update", update)
    incoming = read(update)
    assert (incoming.kind, incoming.text, incoming.placeholder) == READ_AS[name]
    assert incoming.sender == "1111111111"
    assert incoming.happened_at == 0 if name == "callback" else incoming.happened_at >= 1_700_000_000_000
    assert incoming == read(json.loads(json.dumps(update)))


def test_what_belongs_to_a_message_is_read() -> None:
    photo = read(PAYLOADS["photo"])
    assert photo.media is not None and (photo.media.id, photo.media.width, photo.media.size) == (
        "AgADlarge",
        1280,
        200000,
    )
    assert (photo.caption, photo.message_id) == ("うちの猫", "1111111111/42")
    assert read(PAYLOADS["reply"]).reply_to == "1111111111/40"
    assert read(PAYLOADS["reaction"]).reply_to == "1111111111/41"
    assert read(PAYLOADS["edited"]).message_id == read(PAYLOADS["text"]).message_id
    assert read(PAYLOADS["group_text"]).group == "-100200300"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@calm
@given(st.sampled_from(sorted(PAYLOADS)), st.data())
def test_reading_never_raises_and_never_drops_an_update_whatever_its_fields_hold(
    name: str, data: st.DataObject
) -> None:
    update = json.loads(json.dumps(PAYLOADS[name]))
    where: Any = update
    while True:
        key = data.draw(st.sampled_from(sorted(where)))
        if isinstance(where[key], dict) and where[key] and data.draw(st.booleans()):
            where = where[key]
            continue
        where[key] = data.draw(JSON_VALUES)
        break
    incoming = read(update)
    assert incoming.event_id


@pytest.mark.parametrize("raw", [b"", b"{", b"3", b"[]", b'"x"', b"[" * 3000, "é".encode("latin-1")])
def test_a_body_that_can_not_be_read_is_counted(raw: bytes) -> None:
    assert len(telegram().parse(raw)) == (0 if raw == b"[]" else 1)


@pytest.mark.parametrize(("secret", "shown"), [("s", ""), ("s", "x"), ("", ""), ("", "s")])
def test_who_does_not_show_the_secret_is_not_telegram(secret: str, shown: str) -> None:
    with pytest.raises(Unverified):
        telegram(webhook_secret=secret).verify({"x-telegram-bot-api-secret-token": shown}, b"{}")


def test_a_channel_needs_a_token() -> None:
    for secrets in ({}, {"bot_token": "x"}, {"bot_token": TOKEN + "/../x"}):
        with pytest.raises((KeyError, ValueError)):
            Telegram(secrets, "http://127.0.0.1:1")


def test_the_judge_refuses_what_the_bot_api_does_not_say() -> None:
    good = {"chat_id": 1, "text": "a"}
    telegram_spec.check_call("sendMessage", good)
    for bad in (
        {"chat_id": 1},
        good | {"text": 3},
        good | {"reply_parameters": {"message_id": "1"}},
        good | {"colour": 1},
    ):
        with pytest.raises(Disagreement):
            telegram_spec.check_call("sendMessage", bad)
    with pytest.raises(Disagreement):
        telegram_spec.check_call("sendTelepathy", good)


# -- over the framework


def said(bench: Bench) -> list[tuple[str, Json]]:
    return [(event_id, content) for event_id, kind, content in bench.ghosts.room().said.values()
            if kind == "m.room.message"]  # fmt: skip


async def test_words_files_answers_and_corrections_go_both_ways(bench: Bench) -> None:
    await bench.opens_telegram()
    mio = bench.telegram.person()
    first = await mio.says("眠れない")
    await mio.sends_file("photo", b"cat" * 100, file={"width": 10, "height": 20}, caption="うちの猫")
    await mio.sends_file("voice", b"voice" * 100, file={"duration": 3, "mime_type": "audio/ogg"})
    await bench.works()
    contents = [content for _, content in said(bench)]
    assert [content["msgtype"] for content in contents] == ["m.text", "m.image", "m.audio"]
    assert (contents[1]["body"], contents[1]["filename"]) == ("うちの猫", "画像.jpg")
    assert contents[1]["info"] == {"mimetype": "image/jpeg", "size": 300, "w": 10, "h": 20}
    assert contents[2]["info"] == {"mimetype": "audio/ogg", "size": 500, "duration": 3000}
    assert [VOICE in content for content in contents] == [False, False, True]

    await mio.edits(first, text="眠れなかった")
    await bench.works()
    content = said(bench)[-1][1]
    assert content["m.relates_to"] == {"rel_type": "m.replace", "event_id": said(bench)[0][0]}
    assert content["m.new_content"]["body"] == "眠れなかった"

    await bench.counsellor_says("いつから？", "$q", answers=said(bench)[0][0])
    await bench.works()
    (bubble,) = bench.telegram.phones
    assert (bubble.text, bubble.answers) == ("いつから？", first["message_id"])
    assert bubble.given["link_preview_options"] == {"is_disabled": True}
    replied = {"message_id": bubble.message_id, "chat": mio.chat, "date": 1, "text": "いつから？"}
    await mio.says("先月から", reply_to_message=replied)
    await mio.reacts(bubble.message_id, "👍")
    await bench.works()
    for _, content in said(bench)[-2:]:
        assert content["m.relates_to"] == {"m.in_reply_to": {"event_id": "$q"}}
    assert said(bench)[-1][1]["body"] == "👍 の反応がつきました"
    assert said(bench)[-1][1]["msgtype"] == "m.notice"

    await bench.counsellor_says("いつ頃から？", "$e", corrects="$q")
    await bench.works()
    assert mio.phone == ["いつ頃から？"]
    await bench.counsellor_says("", "$d", deletes="$q")
    await bench.works()
    assert mio.phone == []
    await bench.counsellor_says("", "$d2", deletes="$q")
    await bench.works()
    assert bench.told[-2:] == [("$d", "accepted"), ("$d2", "stays")]
    assert [ledger.missing for ledger in await bench.ledgers()] == [0]


@pytest.mark.parametrize(
    ("msgtype", "mime", "kind"),
    [
        ("m.image", "image/png", "photo"),
        ("m.image", "image/webp", "document"),
        ("m.video", "video/mp4", "video"),
        ("m.audio", "audio/ogg", "voice"),
        ("m.audio", "audio/mpeg", "audio"),
        ("m.file", "application/pdf", "document"),
    ],
)
async def test_files_are_uploaded_as_what_they_are(bench: Bench, msgtype: str, mime: str, kind: str) -> None:
    await bench.opens_telegram()
    mio = bench.telegram.person()
    await mio.says("眠れない")
    await bench.works()
    content = b"content" * 12_000
    info = {"mimetype": mime, "size": len(content), "duration": 2500, "w": 4, "h": 3}
    await bench.counsellor_sends("$1", content, caption="見てね", msgtype=msgtype, body="しおり.x", info=info)
    bench.telegram.fails(500)
    await bench.works()
    first, second = bench.telegram.phones
    assert (first.kind, first.content, first.file_name) == (kind, content, "しおり.x")
    assert second.text == "見てね"
    assert await bench.pool.fetchval("SELECT count(*) FROM bridge_links") == 0
    assert bench.told == [("$1", "accepted")]


async def test_long_words_are_split_and_what_was_sent_is_not_sent_again(bench: Bench) -> None:
    await bench.opens_telegram()
    mio = bench.telegram.person()
    await mio.says("眠れない")
    await bench.works()
    text = "あ" * 9000
    await bench.counsellor_says(text, "$1")
    (person,) = await store.list_present(bench.pool)
    bench.telegram.fails(429, "Too Many Requests: retry after 7", retry_after=7)
    await bench.outbox.work_off(person.person)
    rest = await bench.pool.fetchval("SELECT next_at FROM bridge_outbox WHERE outcome IS NULL")
    assert rest - milliseconds() > 6000
    await bench.works()
    assert "".join(mio.phone) == text and len(mio.phone) == 3


async def test_a_block_is_seen_at_once_and_told(bench: Bench) -> None:
    await bench.opens_telegram()
    mio = bench.telegram.person()
    await mio.says("眠れない")
    await bench.works()
    await mio.blocks()
    await bench.works()
    assert "ブロックされました" in said(bench)[-1][1]["body"]
    await bench.counsellor_says("大丈夫？", "$1")
    await bench.works()
    assert bench.told == [("$1", "blocked")]
    await mio.blocks(False)
    await bench.works()
    assert "ブロックが解除されました" in said(bench)[-1][1]["body"]
    await bench.counsellor_says("おかえり", "$2")
    await bench.works()
    assert bench.told[-1] == ("$2", "accepted")


async def test_who_starts_is_greeted_and_groups_are_left(bench: Bench) -> None:
    await bench.opens_telegram()
    mio = bench.telegram.person()
    await mio.says("/start")
    await bench.telegram.brings(PAYLOADS["group_joined"])
    await bench.works()
    assert "https://desk.test" in mio.phone[0] and "Telegramの会社が見ることもできます" in mio.phone[0]
    assert bench.telegram.groups_left == [-100200300]
    assert bench.ghosts.rooms == {}


async def test_what_can_t_be_fetched_has_its_line(bench: Bench) -> None:
    await bench.opens_telegram()
    mio = bench.telegram.person()
    await mio.sends_file("document", b"x", file={"file_name": "a.zip", "file_size": 30_000_000}, caption="これ")
    lost = await mio.sends_file("photo", b"x", file={"width": 1, "height": 1})
    del bench.telegram.files[lost["photo"][0]["file_id"]]
    await bench.works()
    assert [content["body"] for _, content in said(bench)] == [
        "ファイル: a.zip（大きすぎて受け取れません）\nこれ",
        "画像（Telegramにはもうありません）",
    ]


@pytest.mark.parametrize(
    ("status", "description", "reason"),
    [
        (400, "Bad Request: chat not found", "unknown_person"),
        (400, "Bad Request: message is too long", "invalid"),
        (401, "Unauthorized", "unauthorized"),
        (403, "Forbidden: bot was blocked by the user", "blocked"),
        (404, "Not Found", "unauthorized"),
        (500, "Internal Server Error", "try again"),
        (502, "Bad Gateway", "try again"),
    ],
)
async def test_each_refusal_is_told_as_what_it_is(bench: Bench, status: int, description: str, reason: str) -> None:
    channel = await bench.opens_telegram()
    bench.telegram.fails(status, description)
    outgoing = Outgoing(to="1", texts=("a",), retry_key=bench.outbox.retry_key("x"))
    with pytest.raises(TryAgain if reason == "try again" else Rejected) as refused:
        await channel.network.send(outgoing)
    if isinstance(refused.value, Rejected):
        assert refused.value.reason == reason
    # The library's error quotes what was sent.
    assert refused.value.__cause__ is None and refused.value.__suppress_context__


async def test_by_long_poll_nothing_is_confirmed_before_it_is_on_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = await bench.opens_telegram(polls=True)
    intake = Intake(bench.pool, bench.seals, bench.tokens)
    mio = bench.telegram.person()
    await mio.says("一")
    await mio.says("二")
    taken = asyncio.Event()
    real, failures = intake.take, [OSError(), OSError()]

    async def take(*words: Any) -> None:
        if failures:
            raise failures.pop()
        await real(*words)
        taken.set()

    monkeypatch.setattr(intake, "take", take)
    monkeypatch.setattr("madoguchi_bridges.accounts.FIRST_REST_SECONDS", 0.01)
    task = asyncio.create_task(Accounts(bench.pool, bench.config, bench.channels, intake).run())
    try:
        await asyncio.wait_for(taken.wait(), 20)
        taken.clear()
        await mio.says("三")
        await asyncio.wait_for(taken.wait(), 20)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await bench.works()
    assert [content["body"] for _, content in said(bench)] == ["一", "二", "三"]
    assert [ledger.missing for ledger in await bench.ledgers()] == [0]
    asked = [given for method, given in bench.telegram.calls if method == "getUpdates"]
    assert "offset" not in asked[0] and "offset" not in asked[1] and asked[3]["offset"] > 0
    assert bench.telegram.calls[0][0] == "deleteWebhook"
    # Nobody else may bring anything.
    with pytest.raises(Unverified):
        channel.network.verify({"X-Telegram-Bot-Api-Secret-Token": ""}, b"{}")


async def test_a_forged_webhook_is_refused(bench: Bench) -> None:
    await bench.opens_telegram()
    update = bench.telegram.update(message=bench.telegram.person().message(text="偽物"))
    assert await bench.telegram.deliver(update, secret="wrong") == 403
    assert await bench.telegram.deliver(update) == 200
    assert await bench.telegram.deliver(update) == 200
    await bench.works()
    assert len(said(bench)) == 1
    assert [(ledger.received, ledger.repeated, ledger.missing) for ledger in await bench.ledgers()] == [(2, 1, 0)]
