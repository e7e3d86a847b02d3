"""Files that counsellors send, on their way to an app: handed over, or under an address of our own.

Such an address is long and unguessable, good for some days, and taken back with the message, the case, or the channel's
permission to carry words. The file lies on the server as it came, encrypted; only this process opens it, while somebody
looks. What the database has of it is sealed, under the hash of the address.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

import asyncpg
import msgspec

from . import attachments, notices, store
from .attachments import Attachment, Damaged, TooLarge
from .config import Config
from .desk import Desk, Refused, Unreachable
from .intake import milliseconds
from .network import File, Link, Network, Rejected, TryAgain, UploadsFiles
from .seals import Seals

PATH = "/_madoguchi/bridges/files/"
DAY_MS = 24 * 60 * 60 * 1000


class Parcel(msgspec.Struct, frozen=True):
    """What of a file goes into a request: words that hold its address and the link, or the file itself."""

    texts: tuple[str, ...] = ()
    link: Link | None = None
    file: File | None = None


def uploads(network: Network, attachment: Attachment) -> bool:
    """Whether the file itself goes to the app; else its address does, as the first text."""
    return isinstance(network, UploadsFiles) and attachment.size <= network.upload_bytes


class FilesOut:
    def __init__(self, pool: asyncpg.Pool, seals: Seals, config: Config, desk: Desk) -> None:
        self.pool = pool
        self._seals = seals
        self._config = config
        self._desk = desk

    @asynccontextmanager
    async def parcel(
        self, network: Network, person: store.Person, item: store.Leaving, attachment: Attachment
    ) -> AsyncIterator[Parcel]:
        """Makes the file ready to be sent. Raises TryAgain, Rejected."""
        if attachment.size > self._config.largest_file:
            raise Rejected("too_large")
        if not uploads(network, attachment):
            yield await self._link(person, item, attachment)
            return
        try:
            ciphertext = await self.fetch(person, attachment)
        except Unreachable:
            raise TryAgain from None
        except (Refused, Damaged):
            raise Rejected("unreadable") from None
        except TooLarge:
            raise Rejected("too_large") from None
        with ciphertext:
            yield Parcel(
                file=File(
                    kind=attachment.kind,
                    name=attachment.name or notices.NAMES[attachment.kind],
                    type=attachment.type or "application/octet-stream",
                    size=attachments.size_of(ciphertext),
                    read=lambda: attachments.opened(ciphertext, attachment),
                    duration_ms=attachment.duration_ms,
                    width=attachment.width,
                    height=attachment.height,
                )
            )

    async def fetch(self, person: store.Person, attachment: Attachment) -> BinaryIO:
        """The ciphertext, as it was sent. Raises Unreachable, Refused, Damaged, TooLarge."""
        async with self._desk.download(person.user_id or "", attachment.mxc) as pieces:
            return await attachments.take_in(pieces, attachment, self._config.largest_file, self._config.store)

    async def _link(self, person: store.Person, item: store.Leaving, attachment: Attachment) -> Parcel:
        # Made from the event's id, so that a repetition carries the same address; nobody else can make it.
        token = base64.urlsafe_b64encode(self._seals.key("link", item.event_key)).decode().rstrip("=")
        now = milliseconds()
        link = store.FileLink(
            name=self.name_of(token),
            channel_id=item.channel_id,
            person=person.person,
            room_id=item.room_id or "",
            event_key=item.event_key,
            sealed=self._seals.seal(msgspec.msgpack.encode(attachment)),
            expires_at=now + int(self._config.link_days * DAY_MS),
        )
        await store.insert_link(self.pool, link)
        url = f"{self._config.files_url}{PATH}{token}"
        return Parcel(
            texts=(notices.file_link(attachment.kind, url, self._config.link_days),),
            link=Link(
                kind=attachment.kind,
                url=url,
                type=attachment.type,
                size=attachment.size,
                duration_ms=attachment.duration_ms,
            ),
        )

    def name_of(self, token: str) -> str:
        """Under which an address stands in the database."""
        return self._seals.name("link", token)

    async def find(self, token: str) -> tuple[store.FileLink, Attachment] | None:
        """What stands behind an address, if it is still good."""
        link = await store.get_link(self.pool, self.name_of(token), milliseconds())
        if link is None:
            return None
        return link, msgspec.msgpack.decode(self._seals.open(link.sealed), type=Attachment)
