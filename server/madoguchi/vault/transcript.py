"""A room's events and its opened session keys → the conversation. Imports nothing of the server.

Nothing is left out: what can't be read stands there as unreadable, with the reason.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import vodozemac

from madoguchi.vault.sealing import SessionSecret


@dataclass(frozen=True)
class Entry:
    """One line. at: ms since 1970; unreadable: why the text could not be opened, or None."""

    at: int
    event_id: str
    sender: str
    text: str
    unreadable: str | None = None


RECORD, REVIEW = "jp.madoguchi.record", "jp.madoguchi.record.review"
_MEMBERSHIP = {"join": "入室しました", "leave": "退室しました", "invite": "招かれました", "ban": "入室を禁じられました"}
_KINDS = {"m.image": "画像", "m.file": "ファイル", "m.audio": "音声", "m.video": "動画", "m.location": "場所"}


class Opened:
    """A room's session keys, ready to open its events."""

    def __init__(self, secrets: Iterable[SessionSecret]) -> None:
        self._sessions = {secret.session_id: _session(secret) for secret in secrets}
        self._seen: dict[tuple[str, int], str] = {}

    def read(self, event: Mapping[str, Any]) -> dict[str, Any] | str:
        """The opened event ({"type", "content", …}), or the reason why it can't be opened."""
        content = _mapping(event.get("content"))
        if content.get("algorithm") != "m.megolm.v1.aes-sha2":
            return "未知の暗号方式"
        session_id = str(content.get("session_id"))
        session = self._sessions.get(session_id)
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
        text, unreadable = _text(event, opened)
        if text or unreadable:
            found.append(Entry(int(event["origin_server_ts"]), event["event_id"], event["sender"], text, unreadable))
    return found


def as_text(lines: Iterable[Entry], names: Mapping[str, str], zone: tzinfo | None = None) -> str:
    """The transcript as plain text. `names`: user id → name with role. `zone`: without it, this machine's."""
    written, day = [], ""
    for entry in lines:
        at = datetime.fromtimestamp(entry.at / 1000, UTC).astimezone(zone)
        if at.strftime("%Y-%m-%d %Z") != day:
            day = at.strftime("%Y-%m-%d %Z")
            written.append(f"── {day} ──")
        who = names.get(entry.sender, entry.sender)
        what = f"［読めません: {entry.unreadable}］" if entry.unreadable else entry.text
        first, *more = [_harmless(line) for line in what.splitlines()] or [""]
        written.append(f"{at:%H:%M:%S}  {_harmless(who)}: {first}")
        written.extend(f"          {line}" for line in more)
    return "\n".join(written) + "\n"


def _text(event: Mapping[str, Any], opened: Opened) -> tuple[str, str | None]:
    kind, content = str(event["type"]), _mapping(event.get("content"))
    if kind == "m.room.encrypted":
        if not content:
            return "（取り消されました）", None
        payload = opened.read(event)
        if isinstance(payload, str):
            return "", payload
        return _said(str(payload.get("type")), _mapping(payload.get("content"))), None
    if kind == "m.room.member" and "state_key" in event:
        what = _MEMBERSHIP.get(_word(content, "membership"))
        whom = "" if event["state_key"] == event["sender"] else f"{event['state_key']} が"
        return (f"（{whom}{what}）" if what else ""), None
    if kind == "m.room.redaction":
        return f"（{_word(event, 'redacts') or _word(content, 'redacts')} を取り消しました）", None
    if kind == "jp.madoguchi.case":
        return f"（相談の状態: {_word(content, 'state')}）", None
    if "state_key" in event:
        return "", None
    return _said(kind, content), None


def _said(kind: str, content: Mapping[str, Any]) -> str:
    relation = _mapping(content.get("m.relates_to"))
    target, msgtype = _word(relation, "event_id"), _word(content, "msgtype")
    if kind == "m.reaction":
        return f"（{target} へ {_word(relation, 'key')}）"
    if relation.get("rel_type") == "m.replace":
        return f"（{target} を訂正）{_word(_mapping(content.get('m.new_content')) or content, 'body')}"
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


def _harmless(line: str) -> str:
    """Nothing that a terminal obeys or that turns the reading direction; emoji keep their joiners."""
    return "".join(c if c.isprintable() or c in "\u200c\u200d" else f"\\u{ord(c):04x}" for c in line)


def _session(secret: SessionSecret) -> vodozemac.InboundGroupSession | None:
    try:
        return vodozemac.InboundGroupSession.import_session(vodozemac.ExportedSessionKey(secret.session_key))
    except ValueError:
        return None
