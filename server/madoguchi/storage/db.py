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


class Database:
    """A pool of connections to one PostgreSQL (15 or newer)."""

    def __init__(self, pool: Pool, url: str) -> None:
        self._pool = pool
        self.url = url
        # The newest stream position that this process has committed: its clients may ask for it at once.
        self.committed = 0

    @classmethod
    async def connect(cls, url: str, *, connections: int = 10, name: str = "madoguchi") -> "Database":
        """Opens the pool. Raises OSError or asyncpg.PostgresError if the database does not answer.

        `url` is a libpq-style URL; `connections` the most that are open at once; `name` what the database's own
        activity view shows.
        """
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=connections,
            max_inactive_connection_lifetime=300,
            server_settings={"application_name": name},
        )
        return cls(pool, url)

    async def close(self) -> None:
        """Waits for what is under way, then closes."""
        await self._pool.close()

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

    async def listen(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection of its own, outside the pool, for LISTEN."""
        return await asyncpg.connect(self.url, server_settings={"application_name": "madoguchi listener"})
