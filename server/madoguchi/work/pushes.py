"""Tells push gateways, and browsers' push services, of new events, until each has taken them: in one `work` process,
whichever holds the lock.

Two loops. One holds what happens in the stream against the rules of those who have pushers, and writes down what is to
be pushed in the transaction that notes how far it has looked. The other sends what is due, and tries again later what
no gateway took. Of a room only the newest is kept: a gateway that was away for hours is told once, not a hundred times.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import structlog

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core import egress
from madoguchi.core.chat import pushing, web_push
from madoguchi.storage import push as stored_push
from madoguchi.storage import pushes as stored
from madoguchi.storage import stream
from madoguchi.storage.pushes import Push

log = structlog.get_logger()

_AT_ONCE = 20
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 30 * 60.0
# After a day nobody needs to be told any more that something was new then.
GIVEN_UP_AFTER = timedelta(days=1)
_WATCH_S = 3.0
_TIMEOUT_S = 10.0
_GATHER_S = 0.1
_NOBODY_S = 2.0


def wait_after(attempts: int) -> timedelta:
    """How long to wait after so many failures (1 or more)."""
    return timedelta(seconds=min(_FIRST_WAIT_S * 2.0 ** min(attempts - 1, 20), _LONGEST_WAIT_S))


async def run(ctx: Context) -> None:
    """Works until it is cancelled."""
    while True:
        try:
            await _Pushing(ctx).run()
        except* (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as failed:
            log.warning("database is not answering", error=type(failed.exceptions[0]).__name__)
            await asyncio.sleep(1)
        except* Exception as failed:
            # Whatever it was: the jobs of this process go on.
            log.error("pushing failed", error=type(failed.exceptions[0]).__name__)
            await asyncio.sleep(10)


class _Pushing:
    """One connection to the stream, and the two loops while it holds the lock."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._news = asyncio.Event()
        self._due = asyncio.Event()
        self._ways: dict[str, egress.Way] = {}

    async def run(self) -> None:
        connection = await self._ctx.db.listen()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        try:
            await connection.add_listener(stream.CHANNEL, lambda *_: self._news.set())
            self._news.set()
            async with asyncio.TaskGroup() as loops:
                held = False
                while not lost.is_set():
                    if not held and await stored.try_lock(connection):
                        held = True
                        loops.create_task(self._looks(), name="push look")
                        loops.create_task(self._sends(), name="push send")
                    try:
                        await asyncio.wait_for(lost.wait(), _WATCH_S)
                    except TimeoutError:
                        # A connection that was cut without a word would keep silent for ever.
                        await asyncio.wait_for(stream.position(connection), _WATCH_S)
                raise ConnectionError("the listening connection is lost")
        finally:
            connection.terminate()
            for way in self._ways.values():
                await way.close()

    async def _looks(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            more = True
            while more:
                async with self._ctx.db.transaction() as tx:
                    upto = await stream.position(tx)
                    after = await stored.lock_position(tx)
                    anybody = await stored.has_pushers(tx)
                    due, end = await pushing.look(self._ctx.db, tx, after, upto) if anybody else ([], upto)
                    if due:
                        await stored.insert_pushes(tx, due, self._ctx.clock.now())
                    if end != after:
                        # Also back, to the position of a backup that was played back.
                        await stored.update_position(tx, end)
                if due:
                    self._due.set()
                more = end < upto
            # What comes meanwhile is looked at together: on a busy evening nobody waits for this.
            await asyncio.sleep(_GATHER_S if anybody else _NOBODY_S)

    async def _sends(self) -> None:
        while True:
            self._due.clear()
            async with self._ctx.db.transaction() as tx:
                found = await stored.list_due(tx, self._ctx.clock.now(), _AT_ONCE)
                following = await stored.next_due(tx) if not found else None
            if found:
                await asyncio.gather(*(self._send(push) for push in found))
                continue
            seconds = 60.0
            if following is not None:
                seconds = max(0.05, (following - self._ctx.clock.now()).total_seconds())
            try:
                await asyncio.wait_for(self._due.wait(), seconds)
            except TimeoutError:
                pass

    async def _send(self, push: Push) -> None:
        now = self._ctx.clock.now()
        if now - push.since > GIVEN_UP_AFTER:
            await self._end(push)
        elif push.pusher.kind == web_push.KIND:
            await self._tell_browser(push, now)
        else:
            await self._tell_gateway(push, now)

    async def _tell_browser(self, push: Push, now: datetime) -> None:
        sender, subscription = self._ctx.web_push, web_push.subscription_of(push.pusher)
        named = web_push.service_of(self._ctx.settings, subscription.endpoint) is not None
        if push.event_id is None or sender is None or not named:
            await self._end(push)
            return
        if subscription.expires_at is not None and subscription.expires_at <= now.timestamp() * 1000:
            await self._reject(push)
            return
        time_to_read = push.since + timedelta(seconds=self._ctx.settings.web_push_after)
        async with self._ctx.db.transaction() as tx:
            if now < time_to_read:
                await stored.update_put_off(tx, push, time_to_read)
                return
            if not await web_push.is_news(tx, push, now):
                await stored.delete_push(tx, push)
                return
        wanted = sender.request(subscription, now)
        answer = await self._post(wanted.service, wanted.path, wanted.body, wanted.headers)
        status = None if answer is None else answer.status
        # Forbidden: the browser has bound its subscription to another key than ours is now.
        if status in (403, 404, 410):
            await self._reject(push)
        elif status is None or status in (408, 429) or status >= 500:
            await self._put_off(push, now)
        else:
            async with self._ctx.db.transaction() as tx:
                if status < 300:
                    await stored.update_told(tx, push, now)
                await stored.delete_push(tx, push)

    async def _tell_gateway(self, push: Push, now: datetime) -> None:
        origin = pushing.origin_of(str(push.pusher.data.get("url")))
        if origin is None or origin not in self._ctx.settings.push_gateways or push.pusher.kind != "http":
            await self._end(push)
            return
        async with self._ctx.db.transaction() as tx:
            body = await pushing.notification(self._ctx.db, tx, push)
        if body is None:
            await self._end(push)
            return
        answer = await self._ask(origin, msgspec.json.encode(body))
        if answer is None:
            await self._put_off(push, now)
        elif pushing.rejected(answer, push.pusher):
            await self._reject(push)
        else:
            await self._end(push)

    async def _put_off(self, push: Push, now: datetime) -> None:
        async with self._ctx.db.transaction() as tx:
            await stored.update_failed(tx, push, now + wait_after(push.attempts + 1))

    async def _reject(self, push: Push) -> None:
        async with self._ctx.db.transaction() as tx:
            await stored_push.delete_pusher(tx, push.user_id, push.pusher.app_id, push.pusher.pushkey)
        log.info("a push key was rejected", app_id=push.pusher.app_id)

    async def _ask(self, origin: str, body: bytes) -> dict[str, Any] | None:
        """The gateway's answer, or None if it has not taken it."""
        got = await self._post(origin, pushing.NOTIFY_PATH, body)
        if got is None or got.status >= 300:
            # What it finds wrong with this one it will find wrong again.
            return {} if got is not None and 400 <= got.status < 500 and got.status not in (408, 429) else None
        try:
            answer = msgspec.json.decode(got.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return answer if isinstance(answer, dict) else {}

    async def _post(
        self, origin: str, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> egress.Answer | None:
        """What came back, or None if nobody was reached."""
        way = self._ways.get(origin)
        if way is None:
            way = self._ways[origin] = egress.Way(origin, None, timeout_s=_TIMEOUT_S)
        try:
            answer = await way.call("POST", path, body, headers)
        except errors.Refused as refused:
            log.warning("push gateway is not reached", gateway=origin, error=type(refused).__name__)
            return None
        if answer.status >= 300:
            log.warning("push gateway refuses", gateway=origin, status=answer.status)
        return answer

    async def _end(self, push: Push) -> None:
        async with self._ctx.db.transaction() as tx:
            await stored.delete_push(tx, push)
