"""What others say in a ghost's room, on its way to the app; and what became of it, back into the room."""

import re
import time
from typing import Any

import asyncpg
import msgspec
import structlog
from nio import MegolmEvent

from . import notices, store
from .attachments import attachment_of
from .channels import Channels
from .config import Config
from .ghosts import CaseOver, DeviceGhost, Ghosts
from .intake import milliseconds
from .moves import Moves
from .network import Deletes, Reacts
from .outbox import NEWS, OFFER, Letter, Outbox, describe
from .text import clean

log = structlog.stdlib.get_logger(__name__)

DELIVERY = "jp.madoguchi.delivery"
# What the server writes on the redaction of a reaction or a correction.
QUIET = "jp.madoguchi.quiet"
KEY_SECONDS = 20.0
CARRIED = ("m.text", "m.notice", "m.emote")
POINT = re.compile(r"geo:(-?\d{1,3}(?:\.\d+)?),(-?\d{1,3}(?:\.\d+)?)")  # RFC 5870


class KeyMissing(Exception):
    """The room key has not come yet; the same sync is to come again."""


class Counsellor:
    """Hears the ghosts' rooms. `heard` is given to Ghosts, `tell` to the Outbox."""

    def __init__(self, pool: asyncpg.Pool, config: Config, channels: Channels, outbox: Outbox) -> None:
        self._pool = pool
        self._keeper = config.keeper
        self._channels = channels
        self._outbox = outbox
        self._waiting: dict[str, float] = {}
        self.ghosts: Ghosts | None = None
        self.moves: Moves | None = None

    async def heard(self, ghost: DeviceGhost, room_id: str, event: Any) -> None:
        """One event of somebody else. Durable when it returns; may see the same event again."""
        if event.sender == self._keeper:
            return
        person = await self._carrier(ghost, room_id)
        if person is None or (person.person == ghost.person and event.server_timestamp < person.since):
            return
        if isinstance(event, MegolmEvent):
            letter = await self._unreadable(ghost, event)
        elif event.source.get("type") == "m.room.redaction":
            if person.person == ghost.person:
                await self._taken_back(ghost, room_id, event.event_id, event.source)
            return
        else:
            letter = letter_of(event.source)
            if letter is not None and not letter.refuse and not getattr(event, "decrypted", False):
                # Words that lay open on the server could be anybody's; a counsellor's come encrypted.
                log.warning("words in clear are not carried", user_id=ghost.user_id)
                letter = Letter(refuse="unreadable", reacts=letter.reacts)
        if letter is not None:
            self._waiting.pop(event.event_id, None)
            await self._outbox.put(person, room_id, event.event_id, letter)

    async def tell(self, item: store.Leaving, outcome: str) -> None:
        """Puts the outcome into the room: for programs always, for people when something went wrong."""
        if outcome == "withdrawn":
            return
        if item.event_key.startswith(OFFER):
            if self.moves is not None:
                await self.moves.tell(item, outcome)
            return
        person = await store.get_person(self._pool, item.person)
        channel = self._channels.get(item.channel_id)
        app = channel.network.title if channel else ""
        if item.event_key.startswith(NEWS + "$"):
            if person is not None and outcome != "accepted":
                await self._tell_of_news(item, outcome, person, app)
            return
        if item.room_id is None or person is None or person.room_id != item.room_id or self.ghosts is None:
            return
        if outcome == "not_carried" and not item.about and self.moves is not None:
            await self.moves.news(person, item.event_key)
        content, words = describe(item, outcome, app)
        ghost = await self.ghosts.present(person)
        txn_id = f"{item.seq}.{outcome}"
        try:
            if words:
                # As an answer to the message, so that every client shows which one it was.
                said = {
                    "msgtype": "m.notice",
                    "body": words,
                    "m.relates_to": {"m.in_reply_to": {"event_id": item.about or item.event_key}},
                    DELIVERY: content,
                }
                await ghost.say(item.room_id, said, txn_id)
            else:
                await ghost.say(item.room_id, content, txn_id, DELIVERY)
        except CaseOver:
            log.info("room is closed, outcome not told", outbox=item.seq, outcome=outcome)

    async def _tell_of_news(self, item: store.Leaving, outcome: str, person: store.Person, app: str) -> None:
        """Whoever waits for an answer should know that its reader has not heard of what was said."""
        if person.room_id is None or person.case_id is None or self.ghosts is None:
            return
        answers = {"m.relates_to": {"m.in_reply_to": {"event_id": item.event_key.removeprefix(NEWS)}}}
        note = {"msgtype": "m.notice", "body": notices.news_failed(outcome, app)} | answers
        ghost = await self.ghosts.present(person)
        try:
            await ghost.say(person.room_id, note, f"{item.seq}.{outcome}")
        except CaseOver:
            log.info("room is closed, outcome not told", outbox=item.seq, outcome=outcome)

    async def _carrier(self, ghost: DeviceGhost, room_id: str) -> store.Person | None:
        """To whose phone goes what a ghost hears in a room: of whom it stands for, or of who they have become."""
        person = await store.get_person(self._pool, ghost.person)
        if person is None or person.room_id not in (None, room_id):
            return None
        has_moved = person.room_id == room_id and person.case_id is None
        return await store.get_carrier(self._pool, room_id) if has_moved else person

    async def _unreadable(self, ghost: DeviceGhost, event: MegolmEvent) -> Letter | None:
        """Waits for the key by letting the sync come again; after a while the counsellor is told."""
        # During a move, the ghost that was there before may have read it.
        if ghost.is_new or await store.is_leaving(self._pool, event.event_id):
            return None
        since = self._waiting.setdefault(event.event_id, time.monotonic())
        if time.monotonic() - since < KEY_SECONDS:
            raise KeyMissing
        log.warning("message could not be opened", user_id=ghost.user_id)
        return Letter(refuse="unreadable")

    async def _taken_back(self, ghost: DeviceGhost, room_id: str, event_id: str, source: dict[str, Any]) -> None:
        # From room version 11 on the redacted event is named in the content.
        redacted = str(source.get("content", {}).get("redacts") or source.get("redacts", ""))
        if await store.withdraw_leaving(self._pool, redacted, milliseconds()):
            return
        if not await store.has_left(self._pool, redacted):
            return
        channel = self._channels.get(ghost.channel_id)
        app = channel.network.title if channel else ""
        person = await store.get_person(self._pool, ghost.person)
        if source.get("content", {}).get(QUIET) is True:
            # A reaction, or a correction: of that, the message itself is told about.
            if channel is not None and isinstance(channel.network, Reacts) and person is not None:
                await self._outbox.put(person, room_id, event_id, Letter(deletes=redacted, quietly=True))
            return
        if channel is not None and isinstance(channel.network, Deletes) and person is not None:
            await self._outbox.put(person, room_id, event_id, Letter(deletes=redacted))
            return
        is_link = await store.revoke_links(self._pool, redacted)
        body = notices.file_withdrawn(app) if is_link else notices.late_withdrawal(app)
        # Not inside the sync that brought the redaction: saying something may need the next one.
        note = {"msgtype": "m.notice", "body": body}
        ghost.say_soon(room_id, note, f"{redacted[-16:]}.redacted")


def letter_of(source: dict[str, Any]) -> Letter | None:
    """What of a room event goes to the app: its words, or the reason why it can't go; None for what concerns nobody.

    `source`: the event, decrypted. Its content is the sender's: any field may hold anything.
    """
    if source.get("type") == "m.sticker":
        return Letter(refuse="kind")
    content = source.get("content")
    if not isinstance(content, dict) or not content:
        return None
    relates = content.get("m.relates_to")
    relates = relates if isinstance(relates, dict) else {}
    if source.get("type") == "m.reaction":
        return _reaction(relates)
    if source.get("type") != "m.room.message":
        return None
    if relates.get("rel_type") == "m.replace":
        new = content.get("m.new_content")
        return _correction(new if isinstance(new, dict) else content, str(relates.get("event_id", "")))
    answered = relates.get("m.in_reply_to")
    answers = answered.get("event_id") if isinstance(answered, dict) else None
    letter = _letter(content, is_reply="m.in_reply_to" in relates)
    if letter is None or letter.refuse or not isinstance(answers, str):
        return letter
    return msgspec.structs.replace(letter, answers=answers)


def _reaction(relates: dict[str, Any]) -> Letter | None:
    emoji, about = relates.get("key"), relates.get("event_id")
    if relates.get("rel_type") != "m.annotation" or not isinstance(emoji, str) or not isinstance(about, str):
        return None
    return Letter(text=clean(emoji), reacts=about)


def _correction(content: dict[str, Any], corrects: str) -> Letter | None:
    """Only the words of a correction go out again, as such where the app can't exchange them."""
    letter = _letter(content)
    if letter is None or letter.refuse:
        return letter
    if letter.attachment is not None:
        return Letter(text=notices.EDITED + letter.text) if letter.text else None
    return Letter(text=letter.text, corrects=corrects)


def _letter(content: dict[str, Any], is_reply: bool = False) -> Letter | None:
    body = content.get("body")
    attachment = attachment_of(content)
    if attachment is not None:
        named = isinstance(content.get("filename"), str) and content["filename"] != body
        caption = clean(_without_fallback(body) if is_reply else body) if named and isinstance(body, str) else ""
        return Letter(text=caption if caption.strip() else "", attachment=attachment)
    if content.get("msgtype") == "m.location" and (point := POINT.match(str(content.get("geo_uri")))):
        # As words, like a place that comes in: no map is asked for it.
        place = clean(body).strip() if isinstance(body, str) else ""
        return Letter(text=f"位置情報: {place}（{point[1]}, {point[2]}）")
    if content.get("msgtype") not in CARRIED or not isinstance(body, str):
        return Letter(refuse="kind")
    text = clean(_without_fallback(body) if is_reply else body)
    return Letter(text=text) if text.strip() else None


def _without_fallback(body: str) -> str:
    """The words without the quotation that older clients put before an answer (Matrix, "Rich replies")."""
    lines = body.split("\n")
    while lines and lines[0].startswith("> "):
        del lines[0]
    if lines and not lines[0].strip() and len(lines) < len(body.split("\n")):
        del lines[0]
    return "\n".join(lines)
