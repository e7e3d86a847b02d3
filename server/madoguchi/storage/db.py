"""The way to PostgreSQL: one pool a process, transactions that commit on return and roll back on raise."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    Tx: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Tx = asyncpg.Connection
    Pool = asyncpg.Pool


# The newest stream position that the transaction under way has taken (storage/stream.py); 0 for none.
taken: ContextVar[int] = ContextVar("taken", default=0)


# Connections kept for what the process looks up for itself, whatever its requests hold.
ASIDE = 3


class Database:
    """Connections to one PostgreSQL (15 or newer): a pool for requests, and a small one for the process itself.

    Two, since a request may hold a connection while it needs a room that is not in memory: with one pool, as many such
    requests as there are connections would wait for each other for ever.
    """

    def __init__(self, pool: Pool, aside: Pool, url: str) -> None:
        self._pool = pool
        self._aside = aside
        self.url = url
        # The newest stream position that this process has committed: its clients may ask for it at once.
        self.committed = 0

    @classmethod
    async def connect(cls, url: str, *, connections: int = 10, name: str = "madoguchi") -> "Database":
        """Opens the pool. Raises OSError or asyncpg.PostgresError if the database does not answer.

        `url` is a libpq-style URL; `connections` the most that are open at once; `name` what the database's own
        activity view shows.
        """

        async def opened(most: int) -> Pool:
            return await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=most,
                max_inactive_connection_lifetime=300,
                server_settings={"application_name": name},
            )

        pool = await opened(connections)
        return cls(pool, await opened(ASIDE), url)

    async def close(self) -> None:
        """Waits for what is under way, then closes."""
        await self._pool.close()
        await self._aside.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A connection in a transaction: returning commits, raising rolls back."""
        mark = taken.set(0)
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection
        self.committed = max(self.committed, taken.get())
        taken.reset(mark)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Tx]:
        """A connection without a transaction: for one statement that is its own."""
        async with self._pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[Tx]:
        """A connection for the process's own look-ups. Whoever holds one must not ask for any other."""
        async with self._aside.acquire() as connection:
            yield connection

    async def listen(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection of its own, outside the pool, for LISTEN."""
        return await asyncpg.connect(self.url, server_settings={"application_name": "madoguchi listener"})
