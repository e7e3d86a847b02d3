"""What the machine can do at all: the ceiling that our own numbers are held against.

Two trivial servers, each a process of its own with the same load on it as a homeserver: one answers a PUT at once
(aiohttp on uvloop: the price of HTTP), one answers it after a group commit of whatever has gathered (one `unnest`
batch a transaction: the price of being durable).

    python -m tests.bench.ceiling PORT [DATABASE_URL]
"""

import asyncio
import sys
from typing import Any

import asyncpg
import uvloop
from aiohttp import web


class GroupCommit:
    """One connection, one batch at a time; everybody waits for the commit that holds their event."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self.connection = connection
        self.waiting: list[tuple[bytes, asyncio.Future[int]]] = []
        self.something = asyncio.Event()

    async def write(self, content: bytes) -> int:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waiting.append((content, future))
        self.something.set()
        return await future

    async def run(self) -> None:
        while True:
            await self.something.wait()
            self.something.clear()
            batch, self.waiting = self.waiting, []
            async with self.connection.transaction():
                pos = await self.connection.fetchval(
                    "UPDATE ceiling_stream SET pos = pos + $1 RETURNING pos", len(batch)
                )
                await self.connection.execute(
                    "INSERT INTO ceiling_events (pos, content) SELECT * FROM unnest($1::bigint[], $2::bytea[])",
                    range(pos - len(batch) + 1, pos + 1),
                    [content for content, _ in batch],
                )
                await self.connection.execute("SELECT pg_notify('ceiling', $1)", str(pos))
            for _, future in batch:
                future.set_result(pos)


async def main(port: int, database_url: str | None) -> None:
    committed: GroupCommit | None = None
    if database_url:
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS ceiling_stream (pos bigint NOT NULL);"
            "INSERT INTO ceiling_stream SELECT 0 WHERE NOT EXISTS (SELECT FROM ceiling_stream);"
            "CREATE TABLE IF NOT EXISTS ceiling_events (pos bigint PRIMARY KEY, content bytea NOT NULL)"
        )
        committed = GroupCommit(connection)
        writer = asyncio.create_task(committed.run())

    async def put(request: web.BaseRequest) -> web.Response:
        if request.method != "PUT":
            return web.Response(body=b"{}", content_type="application/json")
        content = await request.read()
        pos = await committed.write(content) if committed else 0
        return web.Response(body=b'{"event_id":"$%d"}' % pos, content_type="application/json")

    runner = web.ServerRunner(web.Server(put))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    if committed:
        await writer
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
