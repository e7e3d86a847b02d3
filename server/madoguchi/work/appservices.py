"""Brings application services what concerns them ("Pushing events"): one transaction after the other, each until it is
taken, whoever dies in between.

Of several `work` processes one delivers to an application service: the one whose listening connection holds its lock.
Even two at once would do no harm: what is under way, and how far it reaches, stands in one row (appservice_queues) that
is moved on only from where it was read; the same transaction would arrive twice, under the same id and with the same
content.
"""

import asyncio
import secrets
from collections.abc import Sequence

import asyncpg
import msgspec
import structlog

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core import egress
from madoguchi.core.chat import appservice_news
from madoguchi.core.chat.appservice_news import Heard
from madoguchi.core.chat.registrations import AppService
from madoguchi.core.chat.typing import Typing
from madoguchi.storage import appservices as stored
from madoguchi.storage import stream
from madoguchi.storage.appservices import Mark, Queue
from madoguchi.storage.stream import Announcement

log = structlog.get_logger()

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
# How often the connection that listens is looked at, and locks that another process held are tried again.
_WATCH_S = 3.0
# That nothing concerns an application service is noted now and then, not at each look.
_NOTE_S = 10.0


def wait_after(attempts: int) -> float:
    """Seconds to wait after so many failures (1 or more) before the same transaction is tried again."""
    return min(_FIRST_WAIT_S * 2.0 ** min(attempts - 1, 20), _LONGEST_WAIT_S)


async def run(ctx: Context) -> None:
    """Delivers until it is cancelled. Does nothing where no application service has an address."""
    services = [service for service in ctx.appservices if service.url is not None]
    while services:
        try:
            await _Listening(ctx, services).run()
        except* (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as failed:
            log.warning("database is not answering", error=type(failed.exceptions[0]).__name__)
            await asyncio.sleep(1)
        except* Exception as failed:
            # Whatever it was: the other application services, and the jobs of this process, go on.
            log.error("delivery to application services failed", error=type(failed.exceptions[0]).__name__)
            await asyncio.sleep(10)


class _Listening:
    """One connection to the stream, and a courier for each application service whose lock it holds."""

    def __init__(self, ctx: Context, services: list[AppService]) -> None:
        self._ctx = ctx
        self._services = services
        self._couriers: dict[str, Courier] = {}
        self._typing = Typing(ctx.db, ctx.clock)
        self._pos = 0
        self._notes: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Works until the connection is lost; raises then."""
        connection = await self._ctx.db.listen()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        try:
            await connection.add_listener(stream.CHANNEL, lambda *heard: self._heard(stream.decode(str(heard[3]))))
            await connection.add_listener(stored.CHANNEL, lambda *heard: self._nudged(str(heard[3])))
            # Listening began before this reading: nothing lies between it and the first announcement.
            pos = await stream.position(connection)
            self._pos = max(pos, self._pos)
            async with asyncio.TaskGroup() as couriers:
                while True:
                    for service in self._services:
                        if service.id not in self._couriers and await stored.try_lock(connection, service.id):
                            courier = self._couriers[service.id] = Courier(self._ctx, service, self._typing, self._pos)
                            couriers.create_task(courier.run(), name=f"appservice {service.id}")
                    try:
                        await asyncio.wait_for(lost.wait(), _WATCH_S)
                    except TimeoutError:
                        pass
                    # A connection that was cut without a word would keep silent for ever.
                    await asyncio.wait_for(stream.position(connection), _WATCH_S)
        finally:
            self._typing.close()
            connection.terminate()

    def _heard(self, announcement: Announcement) -> None:
        for pos, kind, key, extra in announcement.notes:
            if kind == "typing":
                self._typing.heard(pos, key, extra)
            self._notes.append((kind, key))
        if announcement.last:
            # Not before: a courier that looked in between would take half of it for all.
            notes, self._notes, self._pos = self._notes, [], announcement.pos
            for courier in self._couriers.values():
                courier.told(announcement.pos, notes)

    def _nudged(self, service: str) -> None:
        if (courier := self._couriers.get(service)) is not None:
            courier.nudged.set()


class Courier:
    """Delivers to one application service."""

    def __init__(self, ctx: Context, service: AppService, typing: Typing, pos: int) -> None:
        self._ctx = ctx
        self._service = service
        self._typing = typing
        self._reach = pos
        self._heard = Heard()
        self._news = asyncio.Event()
        self._noted_at = 0.0
        # Whether messages to devices wait whose announcement is past already, as they may after a start.
        self._more = True
        self.nudged = asyncio.Event()

    # -- told by the one who listens ----------------------------------------------------------------------------------
    def told(self, pos: int, notes: Sequence[tuple[str, str]]) -> None:
        """Everything up to a position has been announced, with these notes (kind and key, see stream.Note)."""
        heard = self._heard
        keys = {"typing": heard.typing, "receipt": heard.receipts, "keys": heard.keys}
        for kind, key in notes:
            heard.kinds.add(kind)
            if kind in keys:
                keys[kind].add(key)
        self._reach = pos
        self._news.set()

    # -- at work ------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Works until it is cancelled; raises what the database raises."""
        assert self._service.url is not None
        timeout_s = float(self._ctx.settings.appservice_timeout)
        async with egress.way(self._service.url, self._service.hs_token, timeout_s=timeout_s) as way:
            queue = await self._read()
            at = queue.pos
            while True:
                if queue.body is not None:
                    await self._until_taken(way, queue)
                    queue = await self._read()
                    at = max(at, queue.pos)
                found = await self._look(at, queue.mark)
                if found.body is not None:
                    queue = await self._make(queue, found, found.body)
                    at = queue.pos
                    continue
                at = found.pos
                if at >= self._reach:
                    queue = await self._rest(queue, at)

    async def _read(self) -> Queue:
        async with self._ctx.db.transaction() as tx:
            return await stored.get_queue(tx, self._service.id)

    async def _look(self, after: int, mark: Mark) -> appservice_news.Found:
        # What is announced from here on belongs to the next look. No further than what has been announced: of what
        # comes after it nobody knows the kind yet.
        heard, upto = self._heard, self._reach
        if after >= upto and not self._more:
            self._news.clear()
            return appservice_news.Found(after, mark)
        self._heard = Heard(everything=False)
        self._news.clear()
        async with self._ctx.db.transaction() as tx:
            found = await appservice_news.look(tx, self._service, self._typing, heard, after, mark, upto)
        self._more = found.more
        if found.pos < upto or found.more:
            # The rest is looked at anew, with what was known of it.
            newer, self._heard = self._heard, heard
            heard.kinds |= newer.kinds
            heard.typing |= newer.typing
            heard.receipts |= newer.receipts
            heard.keys |= newer.keys
        return found

    async def _make(self, queue: Queue, found: appservice_news.Found, body: bytes) -> Queue:
        # Not a mere number: after a backup was played back, the same number would mean something else.
        txn_id = f"{found.pos}-{secrets.token_hex(6)}"
        async with self._ctx.db.transaction() as tx:
            now = self._ctx.clock.now()
            if not await stored.update_made(tx, queue, found.pos, found.mark, txn_id, body, now):
                # Somebody else has gone on from here; what was heard of the rest is not known to be all.
                self._heard.everything = self._more = True
        return await self._read()

    async def _rest(self, queue: Queue, at: int) -> Queue:
        """Waits for news."""
        loop = asyncio.get_running_loop()
        if at > queue.pos:
            due = self._noted_at + _NOTE_S - loop.time()
            try:
                await asyncio.wait_for(self._news.wait(), max(0.0, due))
                return queue
            except TimeoutError:
                self._noted_at = loop.time()
            async with self._ctx.db.transaction() as tx:
                await stored.update_passed(tx, self._service.id, at)
            queue = msgspec.structs.replace(queue, pos=at)
        await self._news.wait()
        return queue

    async def _until_taken(self, way: egress.Way, queue: Queue) -> None:
        assert queue.txn_id is not None and queue.body is not None
        attempts = queue.attempts
        while True:
            self.nudged.clear()
            error = await self._try(way, queue.txn_id, queue.body)
            if error is None:
                break
            attempts += 1
            level = log.warning if attempts == 1 else log.info
            level("application service does not take its transaction", appservice=queue.appservice,
                  attempts=attempts, error=error)  # fmt: skip
            async with self._ctx.db.transaction() as tx:
                await stored.update_failed(tx, queue.appservice, queue.txn_id, error, self._ctx.clock.now())
            try:
                await asyncio.wait_for(self.nudged.wait(), wait_after(attempts))
            except TimeoutError:
                pass
        async with self._ctx.db.transaction() as tx:
            await stored.update_delivered(tx, queue.appservice, queue.txn_id, self._ctx.clock.now())
            if self._service.msc3202:
                # They came by transaction alone; without the flag, the ghost may read them by /sync.
                await stored.delete_delivered_messages(tx, queue.appservice)

    async def _try(self, way: egress.Way, txn_id: str, body: bytes) -> str | None:
        """Sends the transaction once; the name of what went wrong, None if it was taken."""
        try:
            answer = await way.call("PUT", f"/_matrix/app/v1/transactions/{txn_id}", body)
        except (errors.ConnectionFailed, errors.ConnectionTimeout) as error:
            return type(error).__name__
        return None if 200 <= answer.status < 300 else f"status {answer.status}"
