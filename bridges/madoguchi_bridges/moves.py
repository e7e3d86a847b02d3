"""Moving 引っ越し: brings people on an app the offers of the desk, and that there is news for who has moved.

A link is fetched when a notice is queued, so it lies nowhere but in the sealed outbox. What the app said of an offer
goes back to the desk like the outcome of any message: it is asked again until the desk has heard it.
"""

import asyncio
from typing import Any

import asyncpg
import msgspec
import structlog

from . import notices, store
from .channels import Channels
from .config import Config
from .desk import Desk, Refused, Ticket, Unreachable
from .intake import milliseconds
from .outbox import OFFER, Outbox

log = structlog.stdlib.get_logger(__name__)

POLL_MS = 25_000
AT_ONCE = 16
REST_SECONDS = 1.0
NEWS_EVERY_MS = 60 * 60 * 1000


class Errand(msgspec.Struct, frozen=True):
    """What the desk wants a ghost's person to be brought: the `offer` of a move, that of one to another app
    (`app_offer`), or that there is `news`."""

    kind: str
    case_id: str
    user_id: str


class Moves:
    """`run` never ends by itself."""

    def __init__(self, pool: asyncpg.Pool, config: Config, channels: Channels, desk: Desk, outbox: Outbox) -> None:
        self._pool = pool
        self._config = config
        self._channels = channels
        self._desk = desk
        self._outbox = outbox

    async def run(self) -> None:
        after: int | None = None
        while True:
            try:
                after = await self._ask(after)
            except (Unreachable, Refused, *store.AWAY) as error:
                log.warning("errands wait", error=type(error).__name__)
                after = None
                await asyncio.sleep(REST_SECONDS)

    async def _ask(self, after: int | None) -> int:
        pos, errands = await self._desk.list_errands(after, POLL_MS)
        if errands:
            # What is offered follows from a mode that may have changed this very moment.
            await self._channels.read()
        places = asyncio.Semaphore(AT_ONCE)

        async def bring(errand: Errand) -> bool:
            async with places:
                return await self._bring(errand)

        done = await asyncio.gather(*(bring(msgspec.convert(errand, Errand)) for errand in errands))
        if not all(done):
            await asyncio.sleep(REST_SECONDS)
        return pos

    async def _bring(self, errand: Errand) -> bool:
        """Whether the errand was taken; one that could not be is asked for again."""
        try:
            person = await store.get_person_of(self._pool, errand.user_id)
            if person is None:
                # A ghost of another time, or of another bridge: nobody can be told.
                await self._desk.tell(errand.case_id, errand.user_id, "queued")
                await self._desk.tell(errand.case_id, errand.user_id, "unreachable")
                return True
            if errand.kind in ("offer", "app_offer"):
                await (self._offer if errand.kind == "offer" else self._offer_app)(person, errand)
                await self._desk.tell(errand.case_id, errand.user_id, "queued")
            else:
                cause = f"news:{errand.case_id}:{milliseconds() // NEWS_EVERY_MS}"
                await self._outbox.put_notice(self._pool, person.channel_id, person.person, cause, notices.NEWS)
                self._outbox.wake()
                await self._desk.tell(errand.case_id, errand.user_id, "news")
        except (Unreachable, Refused) as error:
            log.warning("errand waits", case_id=errand.case_id, kind=errand.kind, error=type(error).__name__)
            return False
        return True

    async def _offer(self, person: store.Person, errand: Errand) -> None:
        ticket = await self._desk.make_ticket(errand.user_id)
        # Whose case two people keep on the app is offered the page, and not told that the app carries nothing.
        kept = await store.is_kept(self._pool, errand.case_id)
        text = await self.text_of(person.channel_id, ticket, kept)
        await self._put_offer(person, errand, ticket.expires_at, text, ticket.url)

    async def _offer_app(self, person: store.Person, errand: Errand) -> None:
        try:
            ticket = await self._desk.make_app_ticket(errand.user_id)
        except Refused as refused:
            if refused.status != 409:
                raise
            # Nobody can go on there any more: the counsellor sees that nothing arrived.
            await self._desk.tell(errand.case_id, errand.user_id, "unreachable")
            return
        text = notices.app_move(self.app_of(ticket.channel_id), ticket.name, ticket.url, ticket.code)
        await self._put_offer(person, errand, ticket.expires_at, text)

    async def _put_offer(
        self, person: store.Person, errand: Errand, expires_at: int, text: str, page: str = ""
    ) -> None:
        # By the link: another offer is another notice.
        cause = f"{OFFER.removeprefix('notice:')}{errand.case_id}:{expires_at}"
        await self._outbox.put_notice(self._pool, person.channel_id, person.person, cause, text, page=page)
        self._outbox.wake()

    def app_of(self, channel_id: str) -> str:
        """The name of a channel's app for people."""
        channel = self._channels.get(channel_id)
        return channel.network.title if channel else ""

    async def text_of(self, channel_id: str, ticket: Ticket, kept: bool = False) -> str:
        """The words of an offer, as the channel stands; with the hotlines where no content crosses it any more."""
        channel = self._channels.get(channel_id)
        app, mode = (channel.network.title, channel.mode) if channel else ("", "closed")
        stopped = not kept and mode in ("notice_only", "closed", "emergency")
        guidance: list[dict[str, Any]] = await self._desk.list_guidance() if stopped else []
        return notices.move(app, ticket.url, ticket.code, stopped, guidance)

    async def link_for(self, person: store.Person) -> Ticket | None:
        """A link to the person's running or moved case, to answer them with; None where there is none."""
        if person.user_id is None:
            return None
        try:
            return await self._desk.make_ticket(person.user_id)
        except Refused:
            return None

    async def tell(self, item: store.Leaving, outcome: str) -> None:
        """Reports to the desk what the app said of an offer. Raises Unreachable."""
        case_id = item.event_key.removeprefix(OFFER).rpartition(":")[0]
        person = await store.get_person(self._pool, item.person)
        if person is None or person.user_id is None:
            return
        try:
            await self._desk.tell(case_id, person.user_id, "notified" if outcome == "accepted" else "unreachable")
        except Refused as refused:
            log.info("offer not reported", case_id=case_id, errcode=refused.errcode)

    async def news(self, person: store.Person, cause: str) -> None:
        """Tells the person, at most once an hour, that something waits for them on the page. Raises Unreachable."""
        now = milliseconds()
        ticket = await self.link_for(person)
        async with self._pool.acquire() as db, db.transaction():
            if not await store.may_notice(db, person.person, now, now - NEWS_EVERY_MS):
                return
            text = notices.NEWS if ticket is None else notices.news(ticket.url, ticket.code)
            await self._outbox.put_notice(db, person.channel_id, person.person, f"news:{cause}", text)
        self._outbox.wake()
