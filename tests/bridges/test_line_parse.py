"""What LINE sends, read: one payload for each kind of event, in payloads/line, as LINE's webhook.yml says."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madoguchi_bridges.line import Line
from madoguchi_bridges.network import Incoming, Network, Unverified
from tests.bridges.parts import calm
from tests.standins.openapi import line_document

PAYLOADS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("payloads/line/*.json")}
SECRETS = {"channel_secret": "a secret of the channel", "access_token": "t"}
USER = "U4af4980629aaaabbbbccccdddd000011"

# payload → (kind, what the counsellor is shown, whether that is a placeholder)
READ_AS = {
    "text": ("message", "眠れない (emoji) @Bot", False),
    "image": ("message", "画像", True),
    "video": ("message", "動画 60秒", True),
    "audio": ("message", "音声 7秒", True),
    "file": ("message", "ファイル: 日記.txt", True),
    "location": (
        "message",
        "位置情報: my location 日本、〒102-8282 東京都千代田区紀尾井町1-3（35.679660, 139.736690）",
        True,
    ),
    "sticker": ("message", "スタンプ: cry、sad、泣く", True),
    "sticker_with_text": ("message", "スタンプ: つかれた", True),
    "unsend": ("withdrawn", "", False),
    "follow": ("arrived", "LINEの友だちに追加されました", True),
    "unblock": ("arrived", "LINEのブロックが解除されました", True),
    "unfollow": ("left", "LINEでブロックされました。これから送る言葉は届きません", True),
    "join": ("group", "join", True),
    "leave": ("group", "", True),
    "member_joined": ("group", "", True),
    "member_left": ("group", "", True),
    "group_text": ("group", "", False),
    "postback": ("message", "ボタンが押されました: action=call&id=3", True),
    "postback_time": ("message", "ボタンが押されました: 2017-12-25T01:00", True),
    "video_play_complete": ("notice", "動画が最後まで再生されました", True),
    "beacon": ("notice", "LINE Beaconの範囲に入りました", True),
    "account_link": ("notice", "LINEのアカウント連携が行われました", True),
    "membership": ("notice", "LINEのメンバーシップに変化がありました", True),
    "module": ("account", "", True),
    "activated": ("account", "", True),
    "deactivated": ("account", "", True),
    "bot_suspended": ("account", "", True),
    "bot_resumed": ("account", "", True),
    "delivery": ("account", "", True),
    "standby": ("message", "待機中", False),
    "redelivered": ("message", "もう一度", False),
}


def line() -> Line:
    return Line(SECRETS, "http://127.0.0.1:1", "http://127.0.0.1:1")


def body(*events: Any) -> bytes:
    return json.dumps({"destination": "U" + "0" * 32, "events": list(events)}, ensure_ascii=False).encode()


def read(event: Any) -> Incoming:
    (incoming,) = line().parse(body(event))
    return incoming


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_each_payload_is_as_line_publishes_it(name: str) -> None:
    line_document("webhook").check("CallbackRequest", json.loads(body(PAYLOADS[name])))


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_each_kind_of_event_is_read(name: str) -> None:
    incoming = read(PAYLOADS[name])
    assert (incoming.kind, incoming.text, incoming.placeholder) == READ_AS[name]
    assert incoming.event_id == PAYLOADS[name]["webhookEventId"]
    assert incoming.happened_at == PAYLOADS[name]["timestamp"]
    assert incoming.reply_token == PAYLOADS[name].get("replyToken", "")
    assert incoming.standby == (name == "standby")
    assert incoming.redelivered == (name == "redelivered")


def test_every_kind_that_line_knows_has_a_payload() -> None:
    document = line_document("webhook")
    if not document.present:
        pytest.skip("LINE's webhook.yml does not lie beside the project")
    known = document._document["components"]["schemas"]
    events = set(known["Event"]["discriminator"]["mapping"])
    assert events <= {event["type"] for event in PAYLOADS.values()}
    messages = set(known["MessageContent"]["discriminator"]["mapping"])
    assert messages <= {event["message"]["type"] for event in PAYLOADS.values() if event["type"] == "message"}


def test_what_line_will_think_of_next_is_a_placeholder() -> None:
    telepathy = PAYLOADS["text"] | {"type": "telepathy"}
    assert (read(telepathy).kind, read(telepathy).placeholder, read(telepathy).sender) == ("unknown", True, USER)
    hologram = PAYLOADS["text"] | {"message": {"id": "1", "type": "hologram"}}
    assert (read(hologram).kind, read(hologram).placeholder) == ("message", True)
    assert read(hologram).text


def test_nothing_of_a_group_is_kept() -> None:
    incoming = read(PAYLOADS["group_text"])
    assert "みんなの話" not in repr(incoming)
    assert incoming.group == "C4af4980629aaaabbbbccccdddd000011"


def test_a_message_and_its_withdrawal_bear_the_same_id() -> None:
    withdrawal = PAYLOADS["unsend"] | {"unsend": {"messageId": PAYLOADS["text"]["message"]["id"]}}
    assert read(withdrawal).message_id == read(PAYLOADS["text"]).message_id


def test_a_batch_keeps_its_order_and_an_empty_one_is_empty() -> None:
    events = [PAYLOADS["text"] | {"webhookEventId": str(number)} for number in range(5)]
    assert [event.event_id for event in line().parse(body(*events))] == ["0", "1", "2", "3", "4"]
    assert line().parse(body()) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["type", "source", "timestamp", "mode", "webhookEventId", "deliveryContext", "message", "replyToken", "unsend",
     "follow", "postback"]
)  # fmt: skip


@calm
@given(st.binary(max_size=300))
def test_parsing_never_raises_on_any_bytes(raw: bytes) -> None:
    assert len(line().parse(raw)) <= 300


@calm
@given(st.sampled_from(sorted(PAYLOADS)), st.dictionaries(FIELDS, JSON, max_size=4))
def test_parsing_never_raises_and_never_drops_an_event_whatever_its_fields_hold(
    name: str, changes: dict[str, Any]
) -> None:
    raw = json.dumps({"events": [PAYLOADS[name] | changes, PAYLOADS["text"]]}).encode()
    events = line().parse(raw)
    assert len(events) == 2
    for event in events:
        assert event.event_id
        for text in (event.text, event.event_id, event.sender, event.reply_token):
            text.encode()  # no lone surrogates: it can be sealed


@calm
@given(JSON)
def test_parsing_never_raises_on_any_json(value: Any) -> None:
    line().parse(json.dumps(value).encode())
    line().parse(json.dumps({"events": value}).encode())


def test_depth_does_not_hurt() -> None:
    deep = '{"events":[' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "]}"
    (event,) = line().parse(deep.encode())
    assert event.kind == "unknown"
    for depth in (500, 900, 990):
        line().parse(('{"events":[' + '{"a":' * depth + "1" + "}" * depth + "]}").encode())


def sign(raw: bytes, secret: str = SECRETS["channel_secret"]) -> str:
    return base64.b64encode(hmac.new(secret.encode(), raw, hashlib.sha256).digest()).decode()


def test_the_signature_is_over_the_raw_body_and_its_header_may_be_written_in_any_case() -> None:
    raw = body(PAYLOADS["text"])
    for header in ("x-line-signature", "X-Line-Signature", "X-LINE-SIGNATURE"):
        line().verify({header: sign(raw)}, raw)


@calm
@given(st.binary(max_size=100), st.text(max_size=60))
def test_a_wrong_signature_is_refused(raw: bytes, signature: str) -> None:
    if signature == sign(raw):
        return
    with pytest.raises(Unverified):
        line().verify({"x-line-signature": signature}, raw)


def test_other_forgeries_are_refused() -> None:
    raw = body(PAYLOADS["text"])
    for headers in ({}, {"x-line-signature": ""}, {"x-line-signature": sign(raw, "another secret")}):
        with pytest.raises(Unverified):
            line().verify(headers, raw)
    with pytest.raises(Unverified):
        line().verify({"x-line-signature": sign(raw)}, raw + b" ")
    with pytest.raises(Unverified):
        line().verify({"x-line-signature": "é"}, raw)


def test_line_is_a_network() -> None:
    network: Network = line()
    assert network.name == "line"


def test_a_channel_needs_a_token_or_a_way_to_get_one() -> None:
    with pytest.raises(KeyError):
        Line({"access_token": "t"}, "http://127.0.0.1:1", "http://127.0.0.1:1")
    with pytest.raises(ValueError):
        Line({"channel_secret": "s"}, "http://127.0.0.1:1", "http://127.0.0.1:1")
