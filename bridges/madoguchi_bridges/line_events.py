"""Reads one event of a LINE webhook body. Shapes: LINE's webhook.yml; pure functions, no event makes them raise."""

import hashlib
import json
import math
from typing import Any

from .network import Incoming, Kind, Media, MediaKind
from .text import clean

LONGEST_MS = 2**53

NOTICES = {
    "accountLink": "LINEのアカウント連携が行われました",
    "membership": "LINEのメンバーシップに変化がありました",
    "videoPlayComplete": "動画が最後まで再生されました",
    "beacon": "LINE Beaconの範囲に入りました",
}
NAMES = {"image": "画像", "video": "動画", "audio": "音声"}
ABOUT_THE_ACCOUNT = ("module", "activated", "deactivated", "botSuspended", "botResumed", "delivery")
GROUP_CHANGES = ("join", "leave", "memberJoined", "memberLeft")


def read_event(event: object) -> Incoming:
    """One element of `events`. What is not an object, or has no id, is still counted: its id is then its own hash."""
    if not isinstance(event, dict):
        return Incoming(event_id=_hash(event), kind="unknown")
    source = _object(event, "source")
    group = _text(source, "groupId") or _text(source, "roomId")
    type_ = _text(event, "type")
    kind, text, placeholder, message_id = _what_happened(type_, event)
    message = _object(event, "message") if type_ == "message" else {}
    media = _media(message)
    if group or type_ in GROUP_CHANGES:
        kind, text, message_id, media, message = "group", "join" if type_ == "join" else "", "", None, {}
    return Incoming(
        event_id=_text(event, "webhookEventId") or _hash(event),
        kind=kind,
        happened_at=_milliseconds(event.get("timestamp")),
        sender=_text(source, "userId"),
        group=group,
        text=text,
        placeholder=placeholder,
        media=media,
        message_id=message_id,
        reply_to=_text(message, "quotedMessageId"),
        quote_token=_text(message, "quoteToken"),
        read_token=_text(message, "markAsReadToken"),
        reply_token=_text(event, "replyToken"),
        standby=event.get("mode") == "standby",
        redelivered=_object(event, "deliveryContext").get("isRedelivery") is True,
    )


def _what_happened(type_: str, event: dict[str, Any]) -> tuple[Kind, str, bool, str]:
    """(kind, text, placeholder, message id)"""
    if type_ == "message":
        message = _object(event, "message")
        text, placeholder = _said(message)
        return "message", text, placeholder, _text(message, "id")
    if type_ == "unsend":
        return "withdrawn", "", False, _text(_object(event, "unsend"), "messageId")
    if type_ == "follow":
        unblocked = _object(event, "follow").get("isUnblocked") is True
        return "arrived", "LINEのブロックが解除されました" if unblocked else "LINEの友だちに追加されました", True, ""
    if type_ == "unfollow":
        return "left", "LINEでブロックされました。これから送る言葉は届きません", True, ""
    if type_ == "postback":
        return "message", _button(_object(event, "postback")), True, ""
    if type_ in NOTICES:
        return "notice", NOTICES[type_], True, ""
    if type_ in ABOUT_THE_ACCOUNT:
        return "account", "", True, ""
    return "unknown", "この版では表示できない出来事がLINEから届きました", True, ""


def _said(message: dict[str, Any]) -> tuple[str, bool]:
    """(text, placeholder) of a message of any type."""
    match _text(message, "type"):
        case "text":
            text = _text(message, "text")
            return (text, False) if text else ("（空のメッセージ）", True)
        case "sticker":
            return "スタンプ: " + (_text(message, "text") or "、".join(_words(message)) or "（説明なし）"), True
        case "image" | "video" | "audio" as kind:
            elsewhere = "（ほかの会社のサーバーにあるので、開きません）" if _media(message) is None else ""
            return NAMES[kind] + _duration(message) + elsewhere, True
        case "file":
            return f"ファイル: {_text(message, 'fileName') or '（名前なし）'}", True
        case "location":
            return _place(message), True
        case _:
            return "この版では表示できない種類のメッセージが届きました", True


def _media(message: dict[str, Any]) -> Media | None:
    """The file of a message; None where there is none, or where it lies with somebody else: that is not fetched."""
    kind: MediaKind
    match _text(message, "type"):
        case "image" | "video" | "audio" as found:
            if _text(_object(message, "contentProvider"), "type") != "line":
                return None
            kind = found
        case "file":
            kind = "file"
        case _:
            return None
    if not (message_id := _text(message, "id")):
        return None
    return Media(
        kind=kind,
        id=message_id,
        name=_text(message, "fileName"),
        size=_whole(message.get("fileSize")),
        duration_ms=_whole(message.get("duration")),
    )


def _words(message: dict[str, Any]) -> list[str]:
    words = message.get("keywords")
    return [clean(word) for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _duration(message: dict[str, Any]) -> str:
    length = _number(message.get("duration"))
    return f" {length / 1000:.0f}秒" if length is not None and length > 0 else ""


def _place(message: dict[str, Any]) -> str:
    words = " ".join(word for word in (_text(message, "title"), _text(message, "address")) if word)
    latitude, longitude = _number(message.get("latitude")), _number(message.get("longitude"))
    point = f"（{latitude:.6f}, {longitude:.6f}）" if latitude is not None and longitude is not None else ""
    return "位置情報: " + ((words + point) or "（説明なし）")


def _button(postback: dict[str, Any]) -> str:
    params = _object(postback, "params")
    chosen = "、".join(clean(value) for value in params.values() if isinstance(value, str))
    return "ボタンが押されました: " + (chosen or _text(postback, "data") or "（説明なし）")


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _text(value: dict[str, Any], key: str) -> str:
    inner = value.get(key)
    return clean(inner) if isinstance(inner, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LONGEST_MS:
        return None
    return float(value) if math.isfinite(value) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number > 0 else None


def _milliseconds(value: object) -> int:
    return _whole(value) or 0


def _hash(event: object) -> str:
    return "event:" + hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
