"""The Context of a command: what `madoguchi staff add` or the first start need to apply the rules without a server."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from madoguchi.clock import Clock
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.chat import appservices
from madoguchi.core.chat.sessions import Sessions
from madoguchi.storage.db import Database


def registrations(settings: Settings) -> list[Path]:
    """The registration files that the server knows: our own bridges' where it exists, then the configured ones."""
    own = settings.keys / "registration-bridges.yaml"
    return [*([own] if own.is_file() else []), *settings.appservices]


@contextlib.asynccontextmanager
async def context(settings: Settings) -> AsyncIterator[Context]:
    """A Context with database, clock, sessions and registrations. It serves nobody: hub, writer and such are absent.

    `settings.database_url` must be set (see up/database.py, `reachable`). Running workers hear of what is changed
    through the announcements of the same transactions.
    """
    clock = Clock()
    db = await Database.connect(settings.database_url, connections=2, name="madoguchi command")
    absent = cast(Any, None)
    try:
        yield Context(
            settings=settings, db=db, hub=absent, rooms=absent, writer=absent, sessions=Sessions(db, clock),
            typing=absent, media=absent, limits=absent, clock=clock,
            appservices=appservices.load(registrations(settings), settings.server_name),
        )  # fmt: skip
    finally:
        await db.close()
