"""The Context of a command: what `madoguchi staff add` or the first start need to apply the rules without a server."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

from madoguchi.clock import Clock
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.chat import media, registrations, web_push
from madoguchi.core.chat.sessions import Sessions
from madoguchi.core.chat.writer import Writer
from madoguchi.storage.db import Database


@contextlib.asynccontextmanager
async def context(settings: Settings, name: str = "madoguchi command") -> AsyncIterator[Context]:
    """A Context with database, clock, sessions, files and registrations. It serves nobody: hub and such are absent, and
    the writer, which makes event ids, takes no messages.

    `settings.database_url` must be set (see up/database.py, `reachable`). Running workers hear of what is changed
    through the announcements of the same transactions.
    """
    services = registrations.load(settings.registrations, settings.server_name)
    clock = Clock()
    db = await Database.connect(settings.database_url, connections=2, name=name)
    absent = cast(Any, None)
    try:
        yield Context(
            settings=settings, db=db, hub=absent, rooms=absent, writer=Writer(db, absent, absent, clock),
            sessions=Sessions(db, clock), sliding=absent, typing=absent, presence=absent,
            media=media.open_store(settings), thumbnails=absent, limits=absent, clock=clock,
            appservices=services, web_push=web_push.open_sender(settings),
        )  # fmt: skip
    finally:
        await db.close()
