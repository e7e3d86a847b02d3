"""Reads one event of a LINE webhook body. Shapes: LINE's webhook.yml; pure functions, no event makes them raise."""

import hashlib
import json
from typing import Any

from .network import Incoming, Kind, Media, MediaKind
from .notices import NAMES
from .shapes import milliseconds, number, object_of, text_of, whole
from .text import clean

NOTICES = {
    "accountLink": "LINEのアカウント連携が行われました",
    "membership": "LINEのメンバーシップに変化がありました",
    "videoPlayComplete": "動画が最後まで再生されました",
    "beacon": "LINE Beaconの範囲に入りました",
}
ABOUT_THE_ACCOUNT = ("module", "activated", "deactivated", "botSuspended", "botResumed", "delivery")
GROUP_CHANGES = ("join", "leave", "memberJoined", "memberLeft")


def read_event(event: object) -> Incoming:
    """One element of `events`. What is not an object, or has no id, is still counted: its id is then its own hash."""
    if not isinstance(event, dict):
        return Incoming(event_id=_hash(event), kind="unknown")
    source = object_of(event, "source")
    group = text_of(source, "groupId") or text_of(source, "roomId")
    type_ = text_of(event, "type")
    kind, text, placeholder, message_id = _what_happened(type_, event)
    message = object_of(event, "message") if type_ == "message" else {}
    media = _media(message)
    if group or type_ in GROUP_CHANGES:
        kind, text, message_id, media, message = "group", "join" if type_ == "join" else "", "", None, {}
    return Incoming(
        event_id=text_of(event, "webhookEventId") or _hash(event),
        kind=kind,
        happened_at=milliseconds(event.get("timestamp")),
        sender=text_of(source, "userId"),
        group=group,
        text=text,
        placeholder=placeholder,
        media=media,
        message_id=message_id,
        reply_to=text_of(message, "quotedMessageId"),
        quote_token=text_of(message, "quoteToken"),
        read_token=text_of(message, "markAsReadToken"),
        reply_token=text_of(event, "replyToken"),
        standby=event.get("mode") == "standby",
        redelivered=object_of(event, "deliveryContext").get("isRedelivery") is True,
    )


def _what_happened(type_: str, event: dict[str, Any]) -> tuple[Kind, str, bool, str]:
    """(kind, text, placeholder, message id)"""
    if type_ == "message":
        message = object_of(event, "message")
        text, placeholder = _said(message)
        return "message", text, placeholder, text_of(message, "id")
    if type_ == "unsend":
        return "withdrawn", "", False, text_of(object_of(event, "unsend"), "messageId")
    if type_ == "follow":
        unblocked = object_of(event, "follow").get("isUnblocked") is True
        return "arrived", "LINEのブロックが解除されました" if unblocked else "LINEの友だちに追加されました", True, ""
    if type_ == "unfollow":
        return "left", "LINEでブロックされました。これから送る言葉は届きません", True, ""
    if type_ == "postback":
        return "message", _button(object_of(event, "postback")), True, ""
    if type_ in NOTICES:
        return "notice", NOTICES[type_], True, ""
    if type_ in ABOUT_THE_ACCOUNT:
        return "account", "", True, ""
    return "unknown", "この版では表示できない出来事がLINEから届きました", True, ""


def _said(message: dict[str, Any]) -> tuple[str, bool]:
    """(text, placeholder) of a message of any type."""
    match text_of(message, "type"):
        case "text":
            text = text_of(message, "text")
            return (text, False) if text else ("（空のメッセージ）", True)
        case "sticker":
            return "スタンプ: " + (text_of(message, "text") or "、".join(_words(message)) or "（説明なし）"), True
        case "image" | "video" | "audio" as kind:
            elsewhere = "（ほかの会社のサーバーにあるので、開きません）" if _media(message) is None else ""
            return NAMES[kind] + _duration(message) + elsewhere, True
        case "file":
            return f"ファイル: {text_of(message, 'fileName') or '（名前なし）'}", True
        case "location":
            return _place(message), True
        case _:
            return "この版では表示できない種類のメッセージが届きました", True


def _media(message: dict[str, Any]) -> Media | None:
    """The file of a message; None where there is none, or where it lies with somebody else: that is not fetched."""
    kind: MediaKind
    match text_of(message, "type"):
        case "image" | "video" | "audio" as found:
            if text_of(object_of(message, "contentProvider"), "type") != "line":
                return None
            kind = found
        case "file":
            kind = "file"
        case _:
            return None
    if not (message_id := text_of(message, "id")):
        return None
    return Media(
        kind=kind,
        id=message_id,
        name=text_of(message, "fileName"),
        size=whole(message.get("fileSize")),
        duration_ms=whole(message.get("duration")),
    )


def _words(message: dict[str, Any]) -> list[str]:
    words = message.get("keywords")
    return [clean(word) for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _duration(message: dict[str, Any]) -> str:
    length = number(message.get("duration"))
    return f" {length / 1000:.0f}秒" if length is not None and length > 0 else ""


def _place(message: dict[str, Any]) -> str:
    words = " ".join(word for word in (text_of(message, "title"), text_of(message, "address")) if word)
    latitude, longitude = number(message.get("latitude")), number(message.get("longitude"))
    point = f"（{latitude:.6f}, {longitude:.6f}）" if latitude is not None and longitude is not None else ""
    return "位置情報: " + ((words + point) or "（説明なし）")


def _button(postback: dict[str, Any]) -> str:
    params = object_of(postback, "params")
    chosen = "、".join(clean(value) for value in params.values() if isinstance(value, str))
    return "ボタンが押されました: " + (chosen or text_of(postback, "data") or "（説明なし）")


def _hash(event: object) -> str:
    return "event:" + hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
