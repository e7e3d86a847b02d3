"""What others say in a ghost's room, on its way to the app; and what became of it, back into the room."""

import time
from typing import Any

import asyncpg
import structlog
from nio import MegolmEvent, RedactionEvent, RoomMessage, StickerEvent

from . import notices, store
from .channels import Channels
from .config import Config
from .ghosts import CaseOver, DeviceGhost, Ghosts
from .intake import milliseconds
from .outbox import Letter, Outbox, describe
from .text import clean

log = structlog.stdlib.get_logger(__name__)

DELIVERY = "jp.madoguchi.delivery"
KEY_SECONDS = 20.0
CARRIED = ("m.text", "m.notice", "m.emote")


class KeyMissing(Exception):
    """The room key has not come yet; the same sync is to come again."""


class Counsellor:
    """Hears the ghosts' rooms. `heard` is given to Ghosts, `tell` to the Outbox."""

    def __init__(self, pool: asyncpg.Pool, config: Config, channels: Channels, outbox: Outbox) -> None:
        self._pool = pool
        self._keeper = f"@keeper:{config.server_name}"
        self._channels = channels
        self._outbox = outbox
        self._waiting: dict[str, float] = {}
        self.ghosts: Ghosts | None = None

    async def heard(self, ghost: DeviceGhost, room_id: str, event: Any) -> None:
        """One event of somebody else. Durable when it returns; may see the same event again."""
        if event.sender == self._keeper:
            return
        person = await store.get_person(self._pool, ghost.person)
        if person is None:
            return
        if isinstance(event, RedactionEvent):
            await self._taken_back(ghost, person, room_id, event)
            return
        letter = await self._unreadable(ghost, event) if isinstance(event, MegolmEvent) else letter_of(event)
        if letter is not None:
            self._waiting.pop(event.event_id, None)
            await self._outbox.put(person, room_id, event.event_id, letter)

    async def tell(self, item: store.Leaving, outcome: str) -> None:
        """Puts the outcome into the room: for programs always, for people when something went wrong."""
        person = await store.get_person(self._pool, item.person)
        channel = self._channels.get(item.channel_id)
        if item.room_id is None or person is None or person.room_id != item.room_id or self.ghosts is None:
            return
        content, words = describe(item, outcome, channel.network.title if channel else "")
        ghost = await self.ghosts.present(person)
        txn_id = f"{item.seq}.{outcome}"
        try:
            if words:
                # As an answer to the message, so that every client shows which one it was.
                said = {
                    "msgtype": "m.notice",
                    "body": words,
                    "m.relates_to": {"m.in_reply_to": {"event_id": item.event_key}},
                    DELIVERY: content,
                }
                await ghost.say(item.room_id, said, txn_id)
            else:
                await ghost.say(item.room_id, content, txn_id, DELIVERY)
        except CaseOver:
            log.info("room is closed, outcome not told", outbox=item.seq, outcome=outcome)

    async def _unreadable(self, ghost: DeviceGhost, event: MegolmEvent) -> Letter | None:
        """Waits for the key by letting the sync come again; after a while the counsellor is told."""
        if ghost.is_new:
            return None
        since = self._waiting.setdefault(event.event_id, time.monotonic())
        if time.monotonic() - since < KEY_SECONDS:
            raise KeyMissing
        log.warning("message could not be opened", user_id=ghost.user_id)
        return Letter(refuse="unreadable")

    async def _taken_back(self, ghost: DeviceGhost, person: store.Person, room_id: str, event: RedactionEvent) -> None:
        if await store.withdraw_leaving(self._pool, event.redacts, milliseconds()):
            return
        if not await store.has_left(self._pool, event.redacts) or person.room_id != room_id:
            return
        channel = self._channels.get(person.channel_id)
        body = notices.late_withdrawal(channel.network.title if channel else "")
        # Not inside the sync that brought the redaction: saying something may need the next one.
        note = {"msgtype": "m.notice", "body": body}
        ghost.say_soon(room_id, note, f"{event.event_id[-16:]}.redacted")


def letter_of(event: Any) -> Letter | None:
    """What of a room event goes to the app: its words, or the reason why it can't go; None for what concerns nobody."""
    if isinstance(event, StickerEvent):
        return Letter(refuse="kind")
    if not isinstance(event, RoomMessage):
        return None
    content = event.source.get("content", {})
    if content.get("m.relates_to", {}).get("rel_type") == "m.replace":
        new = content.get("m.new_content")
        content = new if isinstance(new, dict) else content
        return _letter(content, prefix=notices.EDITED)
    return _letter(content, is_reply="m.in_reply_to" in content.get("m.relates_to", {}))


def _letter(content: dict[str, Any], prefix: str = "", is_reply: bool = False) -> Letter | None:
    body = content.get("body")
    if content.get("msgtype") not in CARRIED or not isinstance(body, str):
        return Letter(refuse="kind")
    text = clean(_without_fallback(body) if is_reply else body)
    return Letter(text=prefix + text) if text.strip() else None


def _without_fallback(body: str) -> str:
    """The words without the quotation that older clients put before an answer (Matrix, "Rich replies")."""
    lines = body.split("\n")
    while lines and lines[0].startswith("> "):
        del lines[0]
    if lines and not lines[0].strip() and len(lines) < len(body.split("\n")):
        del lines[0]
    return "\n".join(lines)
