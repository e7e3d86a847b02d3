"""What a request handler may reach of its process: built once in `app.py`, passed down, never imported."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from madoguchi.clock import Clock

if TYPE_CHECKING:
    from madoguchi.config import Settings
    from madoguchi.core.chat.hub import Hub
    from madoguchi.core.chat.media import MediaStore
    from madoguchi.core.chat.presence import Presence
    from madoguchi.core.chat.registrations import AppService
    from madoguchi.core.chat.room_cache import Rooms
    from madoguchi.core.chat.sessions import Sessions
    from madoguchi.core.chat.sliding.sent import Connections
    from madoguchi.core.chat.thumbnails import Thumbnailer
    from madoguchi.core.chat.typing import Typing
    from madoguchi.core.chat.web_push import Sender
    from madoguchi.core.chat.writer import Writer
    from madoguchi.core.desk.queue import Boards
    from madoguchi.storage.db import Database
    from madoguchi.web.limits import Limits


@dataclass(slots=True)
class Context:
    """The process-wide parts, by name."""

    settings: "Settings"
    db: "Database"
    hub: "Hub"
    rooms: "Rooms"
    writer: "Writer"
    sessions: "Sessions"
    sliding: "Connections"
    typing: "Typing"
    presence: "Presence"
    media: "MediaStore"
    thumbnails: "Thumbnailer"
    limits: "Limits"
    clock: Clock = field(default_factory=Clock)
    appservices: "list[AppService]" = field(default_factory=list)
    # The desk's queue as it was last read, for all who wait for news of it; made at its first use.
    boards: "Boards | None" = None
    # None: the operator has named no push service of browsers.
    web_push: "Sender | None" = None
