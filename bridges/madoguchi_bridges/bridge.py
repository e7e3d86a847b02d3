"""From the sealed intake into the room: opens what came in, in each person's order, and makes every event visible.

Nothing is marked as done before the room has acknowledged it, and everything is said under a transaction id made from
the event's own id: a `kill -9` at any line loses nothing and doubles nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import asyncpg
import msgspec
import structlog

from . import notices, store
from .channels import Channel, Channels
from .config import Config
from .crossing import Crossing
from .desk import Desk, Refused, Unreachable
from .ghosts import CaseOver, Ghost
from .intake import milliseconds
from .lanes import Lanes
from .media_in import AT_ONCE_SECONDS, PATIENCE_MS, MediaIn
from .moves import Moves
from .network import (
    Incoming,
    LeavesGroups,
    NotReady,
    Outgoing,
    Ref,
    Rejected,
    ReplyTokenSpent,
    TryAgain,
    Unavailable,
)
from .outbox import Outbox
from .seals import Seals
from .text import split
from .throng import Throng

log = structlog.stdlib.get_logger(__name__)

ORIGIN = "jp.madoguchi.origin"
# Modes in which no case can be begun and nothing is handed on.
# What somebody says, or tries to say: it opens a case.
BY_A_PERSON = ("message", "edited", "unknown")
STOPPED = ("notice_only", "closed", "emergency")
NOTICE_EVERY_MS = 60 * 60 * 1000
# Who is likely to be answered within this is not told of any wait.
SHORT_WAIT_MINUTES = 10
LATE_MS = 5_000
LONGEST_REST_MS = 10 * 1000
# How long to wait until the app is asked again for what it prepares.
LONGEST_ASIDE_MS = 60 * 1000
ASIDE_AT_ONCE = 4
# An event of Matrix may have 65,536 bytes; three bytes a character, then base64 of the ciphertext.
LONGEST_TEXT_UNITS = 10_000
Content = dict[str, Any]
Contents = Callable[[Ghost, str], Awaitable[list[Content]]]
"""Makes what is to be said in a room, once it is known in which."""


class Said(msgspec.Struct, frozen=True):
    """Where an event of an app is now."""

    room_id: str
    event_ids: list[str]


class Moved(Exception):
    """Whoever writes goes on elsewhere."""


class Opener(Protocol):
    """The part of Ghosts that is used here."""

    async def open_case(self, person: store.Person) -> tuple[Ghost, str]: ...
    async def present(self, person: store.Person) -> Ghost: ...
    async def end(self, person_name: str) -> None: ...


class Bridge:
    """Works the intake off. `run` never ends by itself; `wake` says that something new is there."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        seals: Seals,
        config: Config,
        channels: Channels,
        desk: Desk,
        ghosts: Opener,
        outbox: Outbox,
        moves: Moves,
        crossing: Crossing,
        throng: Throng,
    ) -> None:
        self._pool = pool
        self._seals = seals
        self._config = config
        self._channels = channels
        self._desk = desk
        self._ghosts = ghosts
        self._outbox = outbox
        self._moves = moves
        self._crossing = crossing
        self._throng = throng
        self._media = MediaIn(desk, config)
        self._lanes = Lanes("intake", self._list_ready, self.work_off)
        # Files that take their time: nobody's later words wait for them.
        self._asides = Lanes("files", self._list_aside, self.work_aside, at_once=ASIDE_AT_ONCE)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lanes.run())
            group.create_task(self._asides.run())

    def wake(self) -> None:
        self._lanes.wake()

    async def _list_ready(self) -> list[str]:
        return await store.list_people_waiting(self._pool, milliseconds())

    async def _list_aside(self) -> list[str]:
        return await store.list_aside(self._pool, milliseconds())

    async def work_off(self, person_name: str) -> None:
        """Everything that waits for this person, by the app's clock, until the first that has to be put off."""
        while item := await store.get_next_intake(self._pool, person_name):
            if item.next_at > milliseconds():
                return
            async with self._throng.gives_way():
                if not await self._work(item):
                    return

    async def work_aside(self, seq: str) -> None:
        """One file that was not there at once."""
        item = await store.get_aside(self._pool, int(seq))
        if item is not None and item.next_at <= milliseconds():
            await self._work(item)

    async def _work(self, item: store.Intake) -> bool:
        """Works one event off; False when it has to wait where it stands."""
        try:
            outcome, shown_as = await self._deliver(item)
        except NotReady:
            await self._set_aside(item)
            return True
        except (Unreachable, TryAgain) as error:
            await self._put_off(item, error)
            return False
        except Exception as error:
            log.error("event could not be shown", intake=item.seq, exc_info=error)
            await self._put_off(item, error)
            return False
        await store.finish_intake(self._pool, item.seq, outcome, milliseconds(), shown_as)
        log.info("event worked off", intake=item.seq, channel=item.channel_id, kind=item.kind, outcome=outcome)
        return True

    async def _set_aside(self, item: store.Intake) -> None:
        rest = min(1000 * 2 ** min(item.attempts, 16), LONGEST_ASIDE_MS)
        await store.put_off_intake(self._pool, item.seq, milliseconds() + rest, aside=True)
        log.info("file is not ready", intake=item.seq, attempts=item.attempts + 1)

    async def _put_off(self, item: store.Intake, error: BaseException) -> None:
        rest = min(500 * 2 ** min(item.attempts, 16), LONGEST_REST_MS)
        await store.put_off_intake(self._pool, item.seq, milliseconds() + rest)
        log.warning("event waits", intake=item.seq, attempts=item.attempts + 1, error=type(error).__name__)

    async def _deliver(self, item: store.Intake) -> tuple[str, str | None]:
        """(outcome, Matrix event ids it is shown as)"""
        channel = await self._channels.find(item.channel_id)
        if channel is None:
            raise Unreachable
        event = msgspec.msgpack.decode(self._seals.open(item.sealed), type=Incoming)
        if event.standby:
            return "standby", None
        if event.kind == "group":
            await self._leave_group(channel, event)
            return "group", None
        if not event.sender or event.kind == "account":
            log.info("event about the account", channel=channel.id, kind=event.kind)
            return "account", None
        await store.insert_person(self._pool, item.person, channel.id, self._seals.seal(event.sender.encode()))
        person = await store.get_person(self._pool, item.person)
        assert person is not None
        if (crossed := await self._crossing.take(channel, person, item, event)) is not None:
            return crossed, None
        match event.kind:
            case "arrived":
                await self._arrived(channel, person, item)
            case "left":
                await store.update_person(self._pool, person.person, left_at=item.happened_at)
            case "withdrawn":
                return await self._withdraw(channel, person, item)
            case _:
                pass
        running = person.case_id is not None
        kept = running and await store.is_kept(self._pool, person.case_id)
        if event.kind not in BY_A_PERSON:
            # Whether somebody can be reached is no content: it is seen in every mode.
            if running and (event.kind in ("arrived", "left") or channel.carries_content(running, kept)):
                try:
                    return await self._show(channel, person, item, event)
                except CaseOver:
                    pass
            return "noted", None
        if not channel.carries_content(running, kept) and not channel.hands_over:
            return await self._point_to_page(channel, person, item), None
        try:
            outcome = await self._show(channel, person, item, event)
        except Moved:
            return await self._point_to_move(person, item), None
        if not channel.carries_content(running, kept):
            await self._point_to_answer(channel, item)
        elif not running:
            await self._say_how_long(person, item)
        return outcome

    async def _show(
        self, channel: Channel, person: store.Person, item: store.Intake, event: Incoming
    ) -> tuple[str, str | None]:
        text, placeholder = event.text, event.placeholder
        if item.message_key and await store.is_withdrawn(self._pool, item.channel_id, item.message_key):
            text, placeholder = notices.WITHDRAWN_BEFORE, True
        elif event.media is not None:
            try:
                return "shown", await self._show_media(channel, person, item, event)
            except Unavailable as unavailable:
                log.info("file can't be had", intake=item.seq, why=unavailable.reason)
                why = notices.missing(unavailable.reason, channel.network.title)
                text, placeholder = "\n".join(filter(None, (f"{event.text}（{why}）", event.caption))), True
        elif event.kind == "edited" and (before := await self._shown(item)) is not None:
            return "shown", await self._show_edit(person, item, event, before)
        parts = split(text, LONGEST_TEXT_UNITS) or [""]

        async def contents(ghost: Ghost, room_id: str) -> list[Content]:
            said = [self._content(part, item, person, event, placeholder) for part in parts]
            return [said[0] | await self._answering(item, event, room_id), *said[1:]]

        said = await self._say(person, item, contents)
        await self._refer(item, event, said)
        await store.raise_shown_at(self._pool, person.person, item.happened_at)
        return ("placeholder" if placeholder else "shown"), " ".join(said.event_ids)

    async def _show_edit(
        self, person: store.Person, item: store.Intake, event: Incoming, before: store.Reference
    ) -> str:
        """Gives the earlier message its new words; beside it where it was a file, or in another room."""

        async def contents(ghost: Ghost, room_id: str) -> list[Content]:
            content = self._content(event.text, item, person, event, False)
            if room_id != before.room_id or event.caption:
                corrected = {"body": notices.EDITED + (event.caption or event.text)}
                return [content | corrected | self._answer_to(before, room_id)]
            relation = {"rel_type": "m.replace", "event_id": before.event_id}
            return [content | {"body": "* " + event.text, "m.new_content": content, "m.relates_to": relation}]

        return " ".join((await self._say(person, item, contents)).event_ids)

    async def _shown(self, item: store.Intake) -> store.Reference | None:
        return await store.get_reference(self._pool, item.channel_id, item.message_key or "")

    async def _answering(self, item: store.Intake, event: Incoming, room_id: str) -> Content:
        """The relation of what answers an earlier message, where that is in the same room."""
        if not event.reply_to:
            return {}
        key = self._seals.name("message", item.channel_id, event.reply_to)
        to = await store.get_reference(self._pool, item.channel_id, key)
        return self._answer_to(to, room_id) if to is not None else {}

    def _answer_to(self, to: store.Reference, room_id: str) -> Content:
        return {"m.relates_to": {"m.in_reply_to": {"event_id": to.event_id}}} if to.room_id == room_id else {}

    async def _refer(self, item: store.Intake, event: Incoming, said: Said) -> None:
        """Remembers which event the message is: for answers, corrections, and that it has been read."""
        if item.message_key is None or event.kind != "message":
            return
        ref = Ref(id=event.message_id, quote=event.quote_token, read=event.read_token)
        reference = store.Reference(
            channel_id=item.channel_id,
            message_key=item.message_key,
            room_id=said.room_id,
            event_id=said.event_ids[0],
            sealed=self._seals.seal(msgspec.msgpack.encode(ref)),
            at=milliseconds(),
            is_readable=bool(event.read_token),
        )
        await store.put_reference(self._pool, reference)

    async def _show_media(self, channel: Channel, person: store.Person, item: store.Intake, event: Incoming) -> str:
        """Raises NotReady when it takes longer than the words after it can wait, and Unavailable."""
        media = event.media
        assert media is not None
        try:
            fetching = self._media.fetch(channel.network, media, None if item.aside else AT_ONCE_SECONDS)
            ciphertext, type_ = await fetching
        except (NotReady, TryAgain):
            if milliseconds() - item.received_at > PATIENCE_MS:
                raise Unavailable("failed") from None
            if not item.aside:
                await self._announce(channel, person, item, event)
            raise NotReady from None
        try:

            async def contents(ghost: Ghost, room_id: str) -> list[Content]:
                content = await self._media.put(media, ciphertext, type_, ghost.user_id, room_id)
                if event.caption:
                    content["body"] = event.caption
                relation = await self._answering(item, event, room_id)
                return [content | relation | {ORIGIN: self._origin(item, person)}]

            said = await self._say(person, item, contents)
        finally:
            ciphertext.file.close()
        await self._refer(item, event, said)
        await store.raise_shown_at(self._pool, person.person, item.happened_at)
        return " ".join(said.event_ids)

    async def _announce(self, channel: Channel, person: store.Person, item: store.Intake, event: Incoming) -> None:
        """Says that a file is on its way, where it will take a while."""
        body = f"{event.text}（{notices.PREPARING.format(app=channel.network.title)}）"

        async def contents(ghost: Ghost, room_id: str) -> list[Content]:
            return [{"msgtype": "m.notice", "body": body, ORIGIN: self._origin(item, person)}]

        await self._say(person, item, contents, mark="coming")

    def _content(
        self, text: str, item: store.Intake, person: store.Person, event: Incoming, placeholder: bool
    ) -> Content:
        origin = self._origin(item, person)
        if placeholder:
            origin["placeholder"] = True
        # Not a notice where a person did something: clients do not call the counsellor for notices.
        msgtype = "m.text" if event.kind in BY_A_PERSON else "m.notice"
        return {"msgtype": msgtype, "body": text, ORIGIN: origin}

    def _origin(self, item: store.Intake, person: store.Person) -> Content:
        origin: Content = {"channel": item.channel_id, "sent_at": item.happened_at}
        if item.happened_at + LATE_MS < person.shown_at:
            origin["late"] = True
        return origin

    async def _say(self, person: store.Person, item: store.Intake, contents: Contents, mark: str = "") -> Said:
        """Says all of it in the room of the running case; in a new one if that has ended and a person says it, else
        raises CaseOver. `mark`: apart from what else is said of the same event."""
        ghost, room_id = await self._open_case(person, item)
        # After a crash the old room is asked first: it may have taken the words already.
        if item.room_id is not None and item.room_id != room_id:
            try:
                return await self._say_in(ghost, item.room_id, item, contents, mark)
            except (CaseOver, Unreachable):
                pass
        try:
            return await self._say_in(ghost, room_id, item, contents, mark)
        except CaseOver:
            await store.end_case(self._pool, person.person, person.case_id or "")
            if item.kind not in BY_A_PERSON:
                raise
            again = await store.get_person(self._pool, person.person)
            assert again is not None
            ghost, new_room_id = await self._open_case(msgspec.structs.replace(again, case_id=None), item)
            if new_room_id == room_id:
                raise Unreachable from None
            return await self._say_in(ghost, new_room_id, item, contents, mark)

    async def _say_in(self, ghost: Ghost, room_id: str, item: store.Intake, contents: Contents, mark: str) -> Said:
        await store.update_intake_room(self._pool, item.seq, room_id)
        event_ids = [
            await ghost.say(room_id, content, f"{item.event_key}.{mark}{number}")
            for number, content in enumerate(await contents(ghost, room_id))
        ]
        return Said(room_id, event_ids)

    async def _open_case(self, person: store.Person, item: store.Intake) -> tuple[Ghost, str]:
        try:
            return await self._ghosts.open_case(person)
        except Refused as refused:
            if refused.errcode == "JP_MADOGUCHI_MOVED":
                raise Moved from None
            # The desk takes no case now: the words stay sealed and wait, the person is told where to go meanwhile.
            log.warning("case refused", intake=item.seq, status=refused.status, errcode=refused.errcode)
            url, guidance = self._config.public_url, await self._desk.list_guidance()
            waits = refused.reason in ("hours", "paused")
            text = notices.later(url, guidance, refused.next_opening) if waits else notices.closed(url, guidance)
            await self._notice(person, item, text, url)
            raise Unreachable from None

    async def _say_how_long(self, person: store.Person, item: store.Intake) -> None:
        """Whoever has just come to a full queue, or to an empty desk, is told so, with the hotlines: by a reply."""
        queue = await self._desk.get_queue()
        if queue is None:
            return
        nobody, ahead, minutes = queue.staff_present == 0, max(queue.waiting - 1, 0), queue.estimate_minutes
        if nobody or ahead >= queue.staff_present or (minutes is not None and minutes.high > SHORT_WAIT_MINUTES):
            url, guidance = self._config.public_url, await self._desk.list_guidance()
            range_ = (minutes.low, minutes.high) if minutes is not None else None
            await self._notice(person, item, notices.waits(url, guidance, ahead, nobody, range_), url)

    async def _point_to_answer(self, channel: Channel, item: store.Intake) -> None:
        """What was written was handed to the counsellor; the answer waits on the page."""
        person = await store.get_person(self._pool, item.person)
        ticket = await self._moves.link_for(person) if person is not None else None
        if person is not None and ticket is not None:
            text = notices.handed_over(channel.network.title, ticket.url, ticket.code)
            await self._notice(person, item, text, ticket.url)

    async def _point_to_move(self, person: store.Person, item: store.Intake) -> str:
        """Whoever has moved is shown the way back; what they wrote is handed to nobody."""
        ticket = await self._moves.link_for(person)
        if ticket is None:
            raise Unreachable
        text = notices.moved(ticket.url, ticket.code, self._moves.app_of(ticket.channel_id))
        # Not spared: it may be the only way back, and it is a reply, which costs nothing.
        put = self._outbox.put_notice
        await put(self._pool, person.channel_id, person.person, item.event_key, text, page=ticket.url)
        self._outbox.wake()
        return "noticed"

    async def _withdraw(self, channel: Channel, person: store.Person, item: store.Intake) -> tuple[str, str | None]:
        shown = await store.get_shown(self._pool, item.channel_id, item.message_key or "")
        if shown is None or person.case_id is None:
            return "noted", None
        room_id, event_ids = shown
        ghost = await self._ghosts.present(person)
        try:
            for event_id in event_ids.split():
                await ghost.take_back(room_id, event_id, f"{item.event_key}.{event_id[-8:]}")
            note = {"msgtype": "m.notice", "body": notices.WITHDRAWN, ORIGIN: {"channel": channel.id}}
            said = await ghost.say(room_id, note, item.event_key)
        except CaseOver:
            return "noted", None
        return "withdrawn", said

    async def _point_to_page(self, channel: Channel, person: store.Person, item: store.Intake) -> str:
        ticket, url = await self._moves.link_for(person), self._config.public_url
        if ticket is not None:
            url, text = ticket.url, await self._moves.text_of(channel.id, ticket)
        elif channel.mode in STOPPED:
            text = notices.closed(url, await self._desk.list_guidance())
        else:
            text = notices.contact_point(channel.network.title, url)
        if person.case_id is not None and person.room_id is not None:
            ghost = await self._ghosts.present(person)
            body = notices.NOT_CARRIED.format(app=channel.network.title)
            try:
                await ghost.say(person.room_id, {"msgtype": "m.notice", "body": body}, item.event_key + ".not")
            except CaseOver:
                await store.end_case(self._pool, person.person, person.case_id)
        return "noticed" if await self._notice(person, item, text, url) else "notice_spared"

    async def _arrived(self, channel: Channel, person: store.Person, item: store.Intake) -> None:
        await store.update_person(self._pool, person.person, left_at=None)
        url, card = self._config.public_url, ""
        if channel.mode in STOPPED:
            text = notices.closed(url, await self._desk.list_guidance())
        else:
            mode = "relay" if channel.carries_content(running=False) else "contact_point"
            text = notices.greeting(mode, channel.network.title, url, channel.greeting)
            card = notices.GREETING_CARD if notices.buttons(url) else ""
        put = self._outbox.put_notice
        await put(self._pool, channel.id, person.person, item.event_key, text, page=url, card=card)
        self._outbox.wake()

    async def _notice(self, person: store.Person, item: store.Intake, text: str, page: str) -> bool:
        """Queues a notice, at most one an hour for each person. page: the address in it that a tap may open."""
        now = milliseconds()
        async with self._pool.acquire() as db, db.transaction():
            if not await store.may_notice(db, person.person, now, now - NOTICE_EVERY_MS):
                return False
            await self._outbox.put_notice(db, person.channel_id, person.person, item.event_key, text, page=page)
        self._outbox.wake()
        return True

    async def _leave_group(self, channel: Channel, event: Incoming) -> None:
        """Says good-bye where it was invited, and goes."""
        if event.text != "join" or not event.group or not isinstance(channel.network, LeavesGroups):
            return
        farewell = Outgoing(
            to=event.group,
            texts=(notices.group_farewell(self._config.public_url),),
            retry_key=self._outbox.retry_key(channel.id, event.event_id, 0),
            reply_token=event.reply_token,
        )
        try:
            if event.reply_token:
                await channel.network.send(farewell)
        except (ReplyTokenSpent, Rejected):
            pass
        try:
            await channel.network.leave_group(event.group)
        except Rejected as rejected:
            log.warning("group could not be left", channel=channel.id, why=rejected.reason)
