"""Reads one update of Telegram's Bot API. Shapes: https://core.telegram.org/bots/api#update; nothing makes it raise."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from .network import Incoming, Kind, Media
from .shapes import milliseconds, number, object_of, text_of, whole
from .text import clean

ASKED_FOR = ["message", "edited_message", "message_reaction", "my_chat_member"]
UNKNOWN = "この版では表示できない出来事がTelegramから届きました"


def read_update(update: object) -> Incoming:
    """What is not an object, or has no number, is still counted: its id is then its own hash."""
    if not isinstance(update, dict) or whole(update.get("update_id")) is None:
        return Incoming(event_id=_hash(update), kind="unknown")
    name = next((each for each in update if each != "update_id"), "")
    body = object_of(update, name)
    chat, sender = object_of(body, "chat"), object_of(body, "from") or object_of(body, "user")
    what = _READ.get(name, _unknown)(body)
    if chat and text_of(chat, "type") != "private":
        joins = name == "my_chat_member" and text_of(object_of(body, "new_chat_member"), "status") in (
            "member", "administrator", "restricted",
        )  # fmt: skip
        what = _what("group", "join" if joins else "")
    at = milliseconds(body.get("edit_date") or body.get("date")) * 1000
    return Incoming(
        # The number may begin anew after a week of silence.
        event_id=f"{update['update_id']}.{body.get('date', '')}",
        happened_at=at,
        sender=_id(sender),
        group=_id(chat) if what["kind"] == "group" else "",
        **what,
    )


def _what(kind: Kind, text: str, placeholder: bool = True, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "text": text, "placeholder": placeholder, **more}


def _unknown(body: dict[str, Any]) -> dict[str, Any]:
    return _what("unknown", UNKNOWN)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    command, _, start = text_of(message, "text").partition(" ")
    if command == "/start":
        return _what("arrived", "Telegramで窓口を開きました", start=start.strip())
    text, placeholder, media = _said(message)
    replied = object_of(message, "reply_to_message")
    return _what(
        "message",
        text,
        placeholder,
        media=media,
        caption=text_of(message, "caption") if media else "",
        message_id=_message_id(message),
        reply_to=_message_id({"chat": message.get("chat"), **replied}) if replied else "",
        quote_token=_message_id(message),
    )


def _edited(message: dict[str, Any]) -> dict[str, Any]:
    text, placeholder, media = _said(message)
    caption = text_of(message, "caption")
    return _what(
        "edited",
        caption if media and caption else text,
        placeholder and not caption,
        caption=caption if media else "",
        message_id=_message_id(message),
    )


def _reaction(body: dict[str, Any]) -> dict[str, Any]:
    new = body.get("new_reaction")
    given = [text_of(each, "emoji") or "⭐" for each in new if isinstance(each, dict)] if isinstance(new, list) else []
    text = f"{''.join(given)} の反応がつきました" if given else "反応が取り消されました"
    return _what("notice", text, reply_to=_message_id(body))


def _membership(body: dict[str, Any]) -> dict[str, Any]:
    if text_of(object_of(body, "new_chat_member"), "status") in ("kicked", "left"):
        return _what("left", "Telegramでブロックされました。これから送る言葉は届きません")
    return _what("arrived", "Telegramのブロックが解除されました")


_READ: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "message": _message,
    "edited_message": _edited,
    "message_reaction": _reaction,
    "my_chat_member": _membership,
}


def _said(message: dict[str, Any]) -> tuple[str, bool, Media | None]:
    """(text, placeholder, file) of a message of any kind."""
    if text := text_of(message, "text"):
        return text, False, None
    if media := _media(message):
        name = f": {media.name}" if media.kind == "file" and media.name else ""
        length = f" {media.duration_ms / 1000:.0f}秒" if media.duration_ms else ""
        return (
            {"image": "画像", "video": "動画", "audio": "音声", "file": "ファイル"}[media.kind] + name + length,
            True,
            media,
        )
    if sticker := object_of(message, "sticker"):
        return "スタンプ: " + (text_of(sticker, "emoji") or "（説明なし）"), True, None
    if place := object_of(message, "venue") or object_of(message, "location"):
        return _place(place), True, None
    if contact := object_of(message, "contact"):
        words = (text_of(contact, name) for name in ("last_name", "first_name", "phone_number"))
        return "連絡先: " + " ".join(filter(None, words)), True, None
    if poll := object_of(message, "poll"):
        return "投票: " + text_of(poll, "question"), True, None
    if dice := object_of(message, "dice"):
        return f"{text_of(dice, 'emoji')} {whole(dice.get('value')) or ''}".strip(), True, None
    return "この版では表示できない種類のメッセージが届きました", True, None


def _media(message: dict[str, Any]) -> Media | None:
    photos = message.get("photo")
    if isinstance(photos, list) and photos and isinstance(photos[-1], dict):
        # Smallest first.
        return _file(photos[-1], "image", "image/jpeg")
    # An animation comes as a document, too.
    for name, kind, usual in (
        ("animation", "video", "video/mp4"),
        ("video", "video", "video/mp4"),
        ("video_note", "video", "video/mp4"),
        ("voice", "audio", "audio/ogg"),
        ("audio", "audio", "audio/mpeg"),
        ("document", "file", ""),
    ):
        if found := object_of(message, name):
            return _file(found, kind, usual)
    return None


def _file(file: dict[str, Any], kind: Any, usual: str) -> Media | None:
    if not (file_id := text_of(file, "file_id")):
        return None
    seconds = whole(file.get("duration"))
    return Media(
        kind=kind,
        id=file_id,
        name=text_of(file, "file_name"),
        type=text_of(file, "mime_type") or usual,
        size=whole(file.get("file_size")),
        duration_ms=seconds * 1000 if seconds else None,
        width=whole(file.get("width")) or whole(file.get("length")),
        height=whole(file.get("height")) or whole(file.get("length")),
    )


def _place(place: dict[str, Any]) -> str:
    words = " ".join(filter(None, (text_of(place, "title"), text_of(place, "address"))))
    where = object_of(place, "location") or place
    latitude, longitude = number(where.get("latitude")), number(where.get("longitude"))
    point = f"（{latitude:.6f}, {longitude:.6f}）" if latitude is not None and longitude is not None else ""
    return "位置情報: " + ((words + point) or "（説明なし）")


def _message_id(message: dict[str, Any]) -> str:
    """A message's number counts within its chat."""
    chat, inner = _id(object_of(message, "chat")), whole(message.get("message_id"))
    return f"{chat}/{inner}" if chat and inner else ""


def _id(someone: dict[str, Any]) -> str:
    value = someone.get("id")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _hash(update: object) -> str:
    written = clean(json.dumps(update, sort_keys=True))
    return "update:" + hashlib.sha256(written.encode()).hexdigest()
