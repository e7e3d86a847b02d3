"""From the room to the app: a durable, sealed queue. What a counsellor said is on disk before its sync is confirmed.

Reply before push: a reply is free, a push costs quota. A push carries a retry key made from the Matrix event id, so the
app takes it once however often it is repeated. A reply has no such key; but its token is good only once, and it is
written down before it is used: if the outcome of an attempt is not known, trying the same token again tells, as long as
it is young. After that the message goes by push: better what may arrive twice than what may not arrive at all.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import structlog

from . import notices, store
from .attachments import Attachment
from .channels import Channel, Channels
from .files_out import FilesOut, Parcel, uploads
from .intake import ReplyTokens, milliseconds
from .lanes import Lanes
from .network import Deletes, Edits, Outgoing, Reacts, Ref, Rejected, ReplyTokenSpent, TryAgain
from .pace import Meter, Pace
from .seals import Seals
from .text import split, units

log = structlog.stdlib.get_logger(__name__)

OFFER = "notice:move:"  # begins the keys of the offers of a move
NEWS = "notice:news:"  # … of notices that something waits on the page; of what a counsellor said, its event id follows
REACTION = "reaction:"  # begins in bridge_references what is set on a message of the app; its event id follows
NAMESPACE = uuid.UUID("6d61646f-6775-5368-a92d-62726964676e")
LONGEST_REST_MS = 60_000
TELL_DELAY_AFTER_ATTEMPTS = 3
TELL_AGAIN_SECONDS = 2.0
CHANNEL_MISSING_REST_MS = 5_000
Tell = Callable[[store.Leaving, str], Awaitable[None]]
"""Tells the room the outcome of a message: (message, outcome). May raise; then it is asked again later."""


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed in the outbox. `refuse`: a reason (notices.FAILURES) why it can't be carried at all."""

    text: str = ""
    refuse: str = ""
    attachment: Attachment | None = None
    answers: str = ""  # the Matrix event that this is an answer to
    corrects: str = ""  # the one that had other words before
    deletes: str = ""  # the one that is taken back
    quietly: bool = False  # that is a reaction or a correction: of the latter nobody is told
    reacts: str = ""  # the one that `text`, an emoji, is a reaction to
    page: str = ""  # an address of ours in the text that a tap may open
    card: str = ""  # a last text, which goes with the buttons that open it


class ReplyAttempt(msgspec.Struct, frozen=True):
    token: str
    until: int  # ms; after that the token is no longer trusted


class Outbox:
    def __init__(
        self,
        pool: asyncpg.Pool,
        seals: Seals,
        channels: Channels,
        tokens: ReplyTokens,
        files: FilesOut,
        meter: Meter,
    ) -> None:
        self._pool = pool
        self._seals = seals
        self._channels = channels
        self._tokens = tokens
        self._files = files
        self._meter = meter
        self._pace = Pace()
        self._lanes = Lanes("outbox", self._list_ready, self.work_off)
        # Apart from the sending: a room that cannot be told for a while must not hold anybody's words back.
        self._outcomes = Lanes("outcomes", self._list_untold, self.tell_outcomes)
        self.tell: Tell | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lanes.run())
            group.create_task(self._outcomes.run())

    def wake(self) -> None:
        self._lanes.wake()

    def retry_key(self, *parts: Any) -> uuid.UUID:
        """The same for the same parts, for ever: the app recognises a repetition by it."""
        return uuid.uuid5(NAMESPACE, "\n".join(map(str, parts)))

    async def put(self, person: store.Person, room_id: str, event_id: str, letter: Letter) -> None:
        """Queues a counsellor's words, once for each Matrix event. Durable when it returns."""
        await self._put(self._pool, person.channel_id, person.person, event_id, room_id, letter)
        self.wake()

    async def put_notice(
        self,
        db: store.Connection,
        channel_id: str,
        person: str,
        cause: str,
        text: str,
        *,
        page: str = "",
        card: str = "",
    ) -> None:
        """Queues a neutral notice, once for each `cause`; wake the outbox after the commit. page, card: of Letter."""
        await self._put(db, channel_id, person, f"notice:{cause}", None, Letter(text, page=page, card=card))

    async def _put(
        self,
        db: store.Connection,
        channel_id: str,
        person: str,
        event_key: str,
        room_id: str | None,
        letter: Letter,
    ) -> None:
        item = store.Leaving(
            channel_id=channel_id,
            person=person,
            event_key=event_key,
            room_id=room_id,
            created_at=milliseconds(),
            sealed=self._seals.seal(msgspec.msgpack.encode(letter)),
        )
        await store.insert_leaving(db, item)

    async def _list_ready(self) -> list[str]:
        return await store.list_people_leaving(self._pool, milliseconds())

    async def _list_untold(self) -> list[str]:
        return await store.list_people_untold(self._pool)

    async def tell_outcomes(self, person: str) -> None:
        """Tells the person's room what became of each message, in order; a failure leaves the rest for later."""
        for item in await store.list_untold(self._pool, person):
            if not await self._tell(item, item.outcome or ""):
                await asyncio.sleep(TELL_AGAIN_SECONDS)
                return
            await store.update_leaving(self._pool, item.seq, told_at=milliseconds(), sealed=None)

    async def work_off(self, person: str) -> None:
        """Sends what waits for this person, in order, until the first message that has to be put off."""
        while item := await store.get_next_leaving(self._pool, person):
            if item.next_at > milliseconds():
                return
            channel = self._channels.get(item.channel_id)
            if channel is None:
                await store.update_leaving(self._pool, item.seq, next_at=milliseconds() + CHANNEL_MISSING_REST_MS)
                return
            letter = self._open(item)
            try:
                outcome = await self._send(item, channel, letter)
            except TryAgain as again:
                if await self._put_off(item, channel, again.after):
                    return
                outcome = "no_answer"
            # Under which message a reaction is told about, the database may not know.
            about = Letter(reacts=letter.reacts) if letter.reacts and outcome != "accepted" else None
            rest = self._seals.seal(msgspec.msgpack.encode(about)) if about else None
            await store.finish_leaving(self._pool, item.seq, outcome, milliseconds(), rest)
            log.info("message left", outbox=item.seq, channel=channel.id, outcome=outcome)
            self._outcomes.wake()

    def _open(self, item: store.Leaving) -> Letter:
        return msgspec.msgpack.decode(self._seals.open(item.sealed or b""), type=Letter)

    async def _send(self, item: store.Leaving, channel: Channel, letter: Letter) -> str:
        """Gives the outcome: accepted, replaces, maybe_blocked, or the reason why not. Raises TryAgain."""
        if letter.refuse:
            return letter.refuse
        # Asked again for each message: the mode may have changed since it was queued.
        person = await store.get_person(self._pool, item.person)
        if person is None:
            return "unknown_person"
        if letter.deletes:
            # In every mode: it carries nothing.
            return await self._delete(channel, person, letter)
        kept = item.room_id is not None and await store.is_kept(self._pool, person.case_id)
        if item.room_id is not None and not channel.carries_content(running=True, kept=kept):
            return "not_carried"
        try:
            if letter.reacts:
                return await self._react(item, channel, person, letter)
            if letter.corrects:
                if await self._correct(channel, person, letter):
                    return "accepted"
                letter = msgspec.structs.replace(letter, text=notices.EDITED + letter.text)
            async with self._parcel(item, channel, person, letter) as parcel:
                await self._send_parts(item, channel, person, letter, parcel)
        except Rejected as rejected:
            log.warning("message rejected", outbox=item.seq, why=rejected.reason, status=rejected.status)
            return rejected.reason
        return "maybe_blocked" if person.left_at is not None else "accepted"

    async def _refs(self, channel_id: str, event_id: str) -> list[Ref]:
        """By what the app knows the messages of an event; what another app was given before a move, it does not."""
        found = await store.list_references(self._pool, channel_id, event_id) if event_id else []
        return [msgspec.msgpack.decode(self._seals.open(each.sealed), type=Ref) for each in found]

    async def _react(self, item: store.Leaving, channel: Channel, person: store.Person, letter: Letter) -> str:
        """Sets an emoji on a message. Whose it is now is remembered, for only that one can be taken back."""
        network, emoji = channel.network, letter.text.replace("\ufe0f", "")
        if not isinstance(network, Reacts):
            return "no_reactions"
        if emoji not in network.reactions:
            return "no_emoji"
        ref = next(iter(await self._refs(channel.id, letter.reacts)), None)
        if ref is None:
            return "no_message"
        await self._pace.turn(channel)
        await network.react(self._seals.open(person.sealed_address).decode(), ref, emoji)
        reference = store.Reference(
            channel_id=channel.id,
            message_key=self._seals.name("reaction", channel.id, ref.id),
            room_id=item.room_id or "",
            event_id=REACTION + item.event_key,
            sealed=self._seals.seal(msgspec.msgpack.encode(ref)),
            at=milliseconds(),
        )
        before = await store.get_reference(self._pool, channel.id, reference.message_key)
        await store.put_reference(self._pool, reference)
        return "accepted" if before is None or before.event_id == reference.event_id else "replaces"

    async def _take_reaction_back(self, channel: Channel, person: store.Person, event_id: str) -> str:
        """As `_send`; withdrawn where nothing of the kind is on the phone (any more)."""
        refs = await self._refs(channel.id, REACTION + event_id)
        if not refs or not isinstance(channel.network, Reacts):
            return "withdrawn"
        try:
            await self._pace.turn(channel)
            await channel.network.react(self._seals.open(person.sealed_address).decode(), refs[0], "")
        except Rejected:
            return "stays"
        await store.delete_references(self._pool, channel.id, REACTION + event_id)
        return "accepted"

    async def _delete(self, channel: Channel, person: store.Person, letter: Letter) -> str:
        outcome = await self._take_reaction_back(channel, person, letter.deletes)
        if letter.quietly or outcome != "withdrawn":
            return outcome
        refs = await self._refs(channel.id, letter.deletes)
        await store.revoke_links(self._pool, letter.deletes)
        if not refs or not isinstance(channel.network, Deletes):
            return "stays"
        address = self._seals.open(person.sealed_address).decode()
        try:
            for ref in refs:
                await self._pace.turn(channel)
                await channel.network.delete(address, ref)
        except Rejected:
            return "stays"
        return "accepted"

    async def _correct(self, channel: Channel, person: store.Person, letter: Letter) -> bool:
        """Exchanges the words of a message in the app; False where that can't be done."""
        refs, network = await self._refs(channel.id, letter.corrects), channel.network
        if len(refs) != 1 or not isinstance(network, Edits) or units(letter.text) > network.limits.text_units:
            return False
        try:
            await self._pace.turn(channel)
            await network.edit(self._seals.open(person.sealed_address).decode(), refs[0], letter.text)
        except Rejected:
            return False
        return True

    @asynccontextmanager
    async def _parcel(
        self, item: store.Leaving, channel: Channel, person: store.Person, letter: Letter
    ) -> AsyncIterator[Parcel]:
        if letter.attachment is None:
            yield Parcel()
            return
        if item.requests_done > 0:
            # The file is through. Its address had been the first text.
            yield Parcel(texts=() if uploads(channel.network, letter.attachment) else ("",))
            return
        async with self._files.parcel(channel.network, person, item, letter.attachment) as parcel:
            yield parcel

    async def _send_parts(
        self, item: store.Leaving, channel: Channel, person: store.Person, letter: Letter, parcel: Parcel
    ) -> None:
        """All requests of a message that are not done yet, in order."""
        address = self._seals.open(person.sealed_address).decode()
        limits = channel.network.limits
        texts = [*parcel.texts, *split(letter.text, limits.text_units), *filter(None, (letter.card,))]
        size = limits.texts_per_request
        requests = [tuple(texts[first : first + size]) for first in range(0, len(texts), size)]
        if letter.attachment is not None and uploads(channel.network, letter.attachment):
            # By itself, so that its words can be sent again without it.
            requests.insert(0, ())
        quotes = next((ref for ref in await self._refs(channel.id, letter.answers) if ref.quote), None)
        for number in range(item.requests_done, len(requests)):
            key = self.retry_key(item.event_key, number)
            outgoing = Outgoing(to=address, texts=requests[number], retry_key=key)
            if number == 0:
                outgoing = msgspec.structs.replace(outgoing, link=parcel.link, file=parcel.file, quotes=quotes)
            if number == len(requests) - 1 and letter.page:
                buttons = notices.buttons(letter.page)
                outgoing = msgspec.structs.replace(outgoing, buttons=buttons, card=bool(letter.card))
            await self._refer(item, await self._request(item, channel, person, outgoing))
            await store.update_leaving(self._pool, item.seq, requests_done=number + 1, sealed_reply=None)
            item = msgspec.structs.replace(item, sealed_reply=None)

    async def _refer(self, item: store.Leaving, refs: Sequence[Ref]) -> None:
        """Remembers what the app calls the messages of an event."""
        if item.room_id is None:
            return
        for ref in refs:
            reference = store.Reference(
                channel_id=item.channel_id,
                message_key=self._seals.name("message", item.channel_id, ref.id),
                room_id=item.room_id,
                event_id=item.event_key,
                sealed=self._seals.seal(msgspec.msgpack.encode(ref)),
                at=milliseconds(),
            )
            await store.put_reference(self._pool, reference)

    async def _request(
        self, item: store.Leaving, channel: Channel, person: store.Person, outgoing: Outgoing
    ) -> Sequence[Ref]:
        """One request, by reply while a token is fresh, else by push."""
        await self._pace.turn(channel)
        if item.sealed_reply is not None:
            attempt = msgspec.msgpack.decode(self._seals.open(item.sealed_reply), type=ReplyAttempt)
            if attempt.until > milliseconds():
                try:
                    return await channel.network.send(msgspec.structs.replace(outgoing, reply_token=attempt.token))
                except ReplyTokenSpent:
                    # Still young, and yet spent: the attempt whose answer we never got had arrived.
                    log.info("reply had arrived", outbox=item.seq)
                return ()
        elif begun := await self._note_reply(item, channel):
            try:
                return await channel.network.send(msgspec.structs.replace(outgoing, reply_token=begun.token))
            except ReplyTokenSpent:
                await store.update_leaving(self._pool, item.seq, sealed_reply=None)
        urgent = item.event_key.startswith(OFFER) or await store.is_urgent(self._pool, person.case_id)
        self._meter.check(channel, urgent)
        refs = await channel.network.send(outgoing)
        self._meter.sent(channel)
        return refs

    async def _note_reply(self, item: store.Leaving, channel: Channel) -> ReplyAttempt | None:
        """Takes a token and writes down that it is about to be used; None where there is none that is young enough."""
        token, left_seconds = self._tokens.take(item.person, channel.network.limits.reply_seconds)
        if not token:
            return None
        # From then on "spent" could mean that it has only become too old.
        attempt = ReplyAttempt(token, milliseconds() + int(left_seconds * 1000))
        sealed = self._seals.seal(msgspec.msgpack.encode(attempt))
        await store.update_leaving(self._pool, item.seq, sealed_reply=sealed)
        return attempt

    async def _put_off(self, item: store.Leaving, channel: Channel, after: float) -> bool:
        """Plans the next attempt; False when the app would no longer recognise a repetition."""
        now = milliseconds()
        if now - item.created_at > channel.network.limits.retry_key_hours * 3_600_000 - LONGEST_REST_MS:
            return False
        attempts = item.attempts + 1
        rest = max(min(500 * 2 ** min(item.attempts, 16), LONGEST_REST_MS), int(after * 1000))
        await store.update_leaving(self._pool, item.seq, attempts=attempts, next_at=now + rest)
        log.warning("message waits", outbox=item.seq, channel=channel.id, attempts=attempts)
        is_due = attempts >= TELL_DELAY_AFTER_ATTEMPTS and not item.delayed_told and item.room_id is not None
        if is_due and await self._tell(item, "delayed"):
            await store.update_leaving(self._pool, item.seq, delayed_told=True)
        return True

    async def _tell(self, item: store.Leaving, outcome: str) -> bool:
        if self.tell is None:
            return False
        if item.sealed is not None:
            item = msgspec.structs.replace(item, about=self._open(item).reacts)
        try:
            await self.tell(item, outcome)
        except Exception as error:
            log.warning("room could not be told", outbox=item.seq, error=type(error).__name__)
            return False
        return True


def describe(item: store.Leaving, outcome: str, app: str) -> tuple[dict[str, Any], str]:
    """(content of jp.madoguchi.delivery, words for the counsellor or "" when all went well) for a message."""
    known = {
        "accepted": "accepted",
        "replaces": "accepted",
        "delayed": "delayed",
        "maybe_blocked": "maybe_blocked",
        "not_carried": "on_page",
    }
    state = known.get(outcome, "failed")
    content: dict[str, Any] = {
        "state": state,
        "m.relates_to": {"rel_type": "m.reference", "event_id": item.event_key},
    }
    if state == "failed":
        content["reason"] = outcome
    words = {
        "accepted": "",
        "replaces": notices.one_reaction(app),
        "delayed": notices.delayed(app),
        "maybe_blocked": notices.maybe_blocked(app),
        "not_carried": notices.reaction_on_page(app) if item.about else notices.waits_on_page(app),
        "stays": notices.late_withdrawal(app),
    }
    failed = notices.reaction_failed if item.about else notices.failure
    return content, words[outcome] if outcome in words else failed(outcome, app)
