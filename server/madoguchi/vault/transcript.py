"""A room's events and its opened session keys → the conversation. Imports nothing of the server.

Nothing is left out: what can't be read stands there as unreadable, with the reason.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import vodozemac

from madoguchi.vault.sealing import SessionSecret


@dataclass(frozen=True)
class File:
    """An encrypted file that a message names, all of it as its sender claimed. key, iv, sha256: base64."""

    url: str
    content_type: str
    name: str
    key: str
    iv: str
    sha256: str


@dataclass(frozen=True)
class Entry:
    """One line. at: ms since 1970; unreadable: why the text could not be opened, or None; about: another event's id
    and what this one is to it (への返事, を訂正, …), or None."""

    at: int
    event_id: str
    sender: str
    text: str
    unreadable: str | None = None
    about: tuple[str, str] | None = None
    file: File | None = None


RECORD, REVIEW = "jp.madoguchi.record", "jp.madoguchi.record.review"
_MEMBERSHIP = {"join": "入室しました", "leave": "退室しました", "invite": "招かれました", "ban": "入室を禁じられました"}
_KINDS = {"m.image": "画像", "m.file": "ファイル", "m.audio": "音声", "m.video": "動画", "m.location": "場所"}


class Opened:
    """A room's session keys, ready to open its events. wrapped: the sessions whose keys could not be unwrapped."""

    def __init__(self, secrets: Iterable[SessionSecret], wrapped: Collection[str] = ()) -> None:
        self._sessions = {secret.session_id: _session(secret) for secret in secrets}
        self._wrapped = wrapped
        self._seen: dict[tuple[str, int], str] = {}

    def read(self, event: Mapping[str, Any]) -> dict[str, Any] | str:
        """The opened event ({"type", "content", …}), or the reason why it can't be opened."""
        content = _mapping(event.get("content"))
        if content.get("algorithm") != "m.megolm.v1.aes-sha2":
            return "未知の暗号方式"
        session_id = str(content.get("session_id"))
        session = self._sessions.get(session_id)
        if session is None and session_id in self._wrapped:
            return "鍵を包んでいる鍵がありません"
        if session is None:
            return "鍵が保管庫にありません"
        try:
            opened = session.decrypt(vodozemac.MegolmMessage.from_base64(content["ciphertext"]))
            payload: Any = json.loads(opened.plaintext)
        except (KeyError, TypeError, ValueError):
            return "鍵がこの発言より後のものか、発言が壊れています"
        # A message index that comes twice is an old message shown again as a new one.
        first = self._seen.setdefault((session_id, opened.message_index), str(event["event_id"]))
        if first != event["event_id"]:
            return f"{first} の繰り返しです"
        if not isinstance(payload, dict) or payload.get("room_id") != event["room_id"]:
            return "別の部屋のために書かれたものです"
        return payload


def entries(events: Iterable[Mapping[str, Any]], opened: Opened) -> list[Entry]:
    """The conversation from a room's events, oldest first: `content`, `event_id`, `room_id`, `type`, `sender`, …"""
    found = []
    for event in events:
        text, unreadable, about, file = _text(event, opened)
        if text or unreadable or about:
            at = int(event["origin_server_ts"])
            found.append(Entry(at, event["event_id"], event["sender"], text, unreadable, about, file))
    return found


def as_text(lines: Iterable[Entry], names: Mapping[str, str], zone: tzinfo | None = None) -> str:
    """The transcript as plain text. `names`: user id → name with role. `zone`: without it, this machine's."""
    written, day = [], ""
    lines = list(lines)
    times = {entry.event_id: datetime.fromtimestamp(entry.at / 1000, UTC).astimezone(zone) for entry in lines}
    for entry in lines:
        at = times[entry.event_id]
        if at.strftime("%Y-%m-%d %Z") != day:
            day = at.strftime("%Y-%m-%d %Z")
            written.append(f"── {day} ──")
        who = names.get(entry.sender, entry.sender)
        what = f"［読めません: {entry.unreadable}］" if entry.unreadable else pointer(entry, times) + entry.text
        first, *more = [harmless(line) for line in what.splitlines()] or [""]
        written.append(f"{at:%H:%M:%S}  {harmless(who)}: {first}")
        written.extend(f"          {line}" for line in more)
    return "\n".join(written) + "\n"


def pointer(entry: Entry, times: Mapping[str, datetime]) -> str:
    """Which line it is about: by its time, with the day if that is another one."""
    if entry.about is None:
        return ""
    about, is_to_it = entry.about
    told = times.get(about)
    if told is None:
        return f"（{about} {is_to_it}）"
    same_day = told.date() == times[entry.event_id].date()
    return f"（{told:%H:%M:%S} {is_to_it}）" if same_day else f"（{told:%Y-%m-%d %H:%M:%S} {is_to_it}）"


_Read = tuple[str, str | None, tuple[str, str] | None, File | None]


def _text(event: Mapping[str, Any], opened: Opened) -> _Read:
    kind, content = str(event["type"]), _mapping(event.get("content"))
    if kind == "m.room.encrypted":
        if not content:
            return "（取り消されました）", None, None, None
        payload = opened.read(event)
        if isinstance(payload, str):
            return "", payload, None, None
        kind, content = str(payload.get("type")), _mapping(payload.get("content"))
        return _said(kind, content), None, _about(kind, content), _file(content)
    if kind == "m.room.member" and "state_key" in event:
        what = _MEMBERSHIP.get(_word(content, "membership"))
        whom = "" if event["state_key"] == event["sender"] else f"{event['state_key']} が"
        return (f"（{whom}{what}）" if what else ""), None, None, None
    if kind == "m.room.redaction":
        return "", None, (_word(event, "redacts") or _word(content, "redacts"), "を取り消しました"), None
    if kind == "jp.madoguchi.case":
        return f"（相談の状態: {_word(content, 'state')}）", None, None, None
    if "state_key" in event:
        return "", None, None, None
    return _said(kind, content), None, _about(kind, content), None


def _file(content: Mapping[str, Any]) -> File | None:
    file = _mapping(content.get("file"))
    url, key, iv = _word(file, "url"), _word(_mapping(file.get("key")), "k"), _word(file, "iv")
    sha256 = _word(_mapping(file.get("hashes")), "sha256")
    if not (url and key and iv and sha256):
        return None
    name = _word(content, "filename") or _word(content, "body")
    return File(url, _word(_mapping(content.get("info")), "mimetype"), name, key, iv, sha256)


def _about(kind: str, content: Mapping[str, Any]) -> tuple[str, str] | None:
    relation = _mapping(content.get("m.relates_to"))
    target = _word(relation, "event_id")
    if kind == "m.reaction":
        return target, "へ " + _word(relation, "key")
    if kind == "m.room.message" and relation.get("rel_type") == "m.replace":
        return target, "を訂正"
    answered = _word(_mapping(relation.get("m.in_reply_to")), "event_id")
    return (answered, "への返事") if answered and kind == "m.room.message" else None


def _said(kind: str, content: Mapping[str, Any]) -> str:
    msgtype = _word(content, "msgtype")
    if kind == "m.reaction":
        return ""
    if kind == "m.room.message" and _mapping(content.get("m.relates_to")).get("rel_type") == "m.replace":
        return _word(_mapping(content.get("m.new_content")) or content, "body")
    if kind == "m.sticker" or msgtype in _KINDS:
        return f"［{_KINDS.get(msgtype, 'スタンプ')}］{_word(content, 'filename') or _word(content, 'body')}"
    if kind == RECORD:
        return f"［相談記録］{_word(content, 'note')}"
    if kind == REVIEW:
        return f"［記録の確認］{_word(content, 'note')}"
    if kind == "m.room.message":
        return _word(content, "body") or "［本文なし］"
    return f"［{kind}］"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _word(content: Mapping[str, Any], name: str) -> str:
    """A text field of what a stranger wrote; "" when it is something else."""
    value = content.get(name)
    return value if isinstance(value, str) else ""


def harmless(line: str) -> str:
    """Nothing that a terminal obeys or that turns the reading direction; emoji keep their joiners."""
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else f"\\u{ord(c):04x}" for c in line)


def _session(secret: SessionSecret) -> vodozemac.InboundGroupSession | None:
    try:
        return vodozemac.InboundGroupSession.import_session(vodozemac.ExportedSessionKey(secret.session_key))
    except ValueError:
        return None
