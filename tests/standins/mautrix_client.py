"""An ordinary client made with the library `mautrix`: it logs in by password, syncs, and does what it is told.

It is a program of its own, run by `tests/matrix/test_mautrix.py` in an environment of its own, with nothing of ours in
it. Arguments: the server and a folder for its stores. Each line of its standard input is an order, a JSON object
`{"device": …, "do": …, "with": {…}}`; each is answered by one line of its standard output, `{"done": …}` or
`{"failed": …}`. `device` is a name for one of its devices, which `logs_in` makes.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from mautrix.client import Client
from mautrix.crypto import OlmMachine, PgCryptoStateStore, PgCryptoStore
from mautrix.crypto.attachments import decrypt_attachment, encrypt_attachment
from mautrix.types import (
    Event,
    EventFilter,
    EventType,
    Filter,
    MediaMessageEventContent,
    MessageType,
    PaginationDirection,
    RoomEventFilter,
    RoomFilter,
    TextMessageEventContent,
    TrustState,
)
from mautrix.util.async_db import Database

PATIENCE_S = 15


class Device:
    """One device of somebody, with its store."""

    def __init__(self, server: str, folder: Path) -> None:
        self.folder = folder
        self.client = Client(base_url=server)
        self.heard: list[dict[str, Any]] = []
        self.heard_more = asyncio.Condition()

    async def logs_in(self, user: str, password: str, name: str) -> dict[str, str]:
        told = await self.client.login(user, password=password, device_name=name)
        database = Database.create(f"sqlite:{self.folder / name}.db", upgrade_table=PgCryptoStore.upgrade_table)
        await database.start()
        await PgCryptoStateStore.upgrade_table.upgrade(database)
        self.client.state_store = PgCryptoStateStore(database)
        self.store = self.client.sync_store = PgCryptoStore(told.user_id, "pickled", database)
        await self.store.open()
        await self.store.put_device_id(told.device_id)
        self.machine = OlmMachine(self.client, self.store, self.client.state_store)
        await self.machine.load()
        self.client.crypto = self.machine
        await self.machine.share_keys()
        self.client.add_event_handler(EventType.ALL, self._hears)
        timeline = RoomEventFilter(limit=50, lazy_load_members=True)
        self.client.start(Filter(room=RoomFilter(timeline=timeline), presence=EventFilter(not_types=[EventType.ALL])))
        return {"user_id": told.user_id, "device_id": told.device_id}

    async def _hears(self, event: Event) -> None:
        told = {
            "room": getattr(event, "room_id", None), "type": str(event.type), "sender": getattr(event, "sender", None),
            "event_id": getattr(event, "event_id", None), "redacts": getattr(event, "redacts", None),
            "content": plain(event.content), "sealed": was_sealed(event),
        }  # fmt: skip
        async with self.heard_more:
            self.heard.append(told)
            self.heard_more.notify_all()

    async def waits_for(self, room: str, type_: str, content: dict[str, Any]) -> dict[str, Any]:
        """The first event of this type in the room whose content has at least this; None stands for anything."""

        def fits(event: dict[str, Any]) -> bool:
            told = event["content"]
            return (event["room"], event["type"]) == (room, type_) and all(
                key in told and value in (None, told[key]) for key, value in content.items()
            )

        def found() -> dict[str, Any] | None:
            return next(filter(fits, self.heard), None)

        async with asyncio.timeout(PATIENCE_S), self.heard_more:
            await self.heard_more.wait_for(found)
        return found() or {}

    async def joins(self, room: str) -> None:
        await self.waits_for(room, "m.room.member", {"membership": "invite"})
        await self.client.join_room_by_id(room)

    async def says(self, room: str, text: str) -> str:
        return await self.client.send_text(room, text)

    async def corrects(self, room: str, event: str, text: str) -> str:
        content = TextMessageEventContent(msgtype=MessageType.TEXT, body=text)
        content.set_edit(event)
        return await self.client.send_message(room, content)

    async def reacts(self, room: str, event: str, key: str) -> str:
        return await self.client.react(room, event, key)

    async def takes_back(self, room: str, event: str) -> str:
        return await self.client.redact(room, event)

    async def types(self, room: str) -> None:
        await self.client.set_typing(room, timeout=20_000)

    async def has_read(self, room: str, event: str) -> None:
        await self.client.send_receipt(room, event)

    async def sends_a_file(self, room: str, path: str) -> str:
        sealed, file = encrypt_attachment(Path(path).read_bytes())
        file.url = await self.client.upload_media(sealed, mime_type="application/octet-stream")
        message = MediaMessageEventContent(msgtype=MessageType.IMAGE, body="picture", file=file)
        return await self.client.send_message(room, message)

    async def opens_a_file(self, content: dict[str, Any], path: str) -> None:
        """Writes the file of a message to `path`, in clear."""
        file = MediaMessageEventContent.deserialize(content).file
        sealed = await self.client.download_media(file.url)
        Path(path).write_bytes(decrypt_attachment(sealed, file.key.key, file.hashes["sha256"], file.iv))

    async def keeps_secrets(self) -> str:
        """Cross-signs this device and puts the keys into secret storage; answers the recovery key."""
        return await self.machine.generate_recovery_key()

    async def proves_itself(self, recovery_key: str) -> None:
        """Signs this device with the keys in secret storage."""
        await self.machine.verify_with_recovery_key(recovery_key)

    async def trusts(self, device: str) -> str:
        """Waits until this device sees that its owner has signed another; answers how it trusts it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                known = await self.machine.get_or_fetch_device(self.client.mxid, device)
                if known and (trust := await self.machine.resolve_trust(known)) >= TrustState.CROSS_SIGNED_TOFU:
                    return str(trust)
                await asyncio.sleep(0.05)

    async def asks_for_the_key_of(self, room: str, event: str, from_: str) -> dict[str, Any]:
        """Reads an event from before this device, once another of the same person (`from_`) has given its key."""
        page = await self.client.get_messages(room, PaginationDirection.BACKWARD, limit=50)
        sealed = next(each for each in page.events if each.event_id == event)
        asked = sealed.content
        # A dictionary though the annotation says a list: whoever has answered is deleted from it by name.
        given = await self.machine.request_room_key(
            room, asked.sender_key, asked.session_id, {self.client.mxid: {from_: True}}, timeout=PATIENCE_S
        )
        opened = await self.machine.decrypt_megolm_event(sealed)
        return {"given": given, "content": plain(opened.content)}


def plain(told: Any) -> Any:
    """As JSON has it."""
    if isinstance(told, dict):
        return {plain(key): plain(value) for key, value in told.items()}
    return plain(told.serialize()) if hasattr(told, "serialize") else told


def was_sealed(event: Event) -> bool:
    try:
        return bool(event["mautrix"]["was_encrypted"])
    except (AttributeError, KeyError, TypeError):
        return False


async def lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def main(server: str, folder: str) -> None:
    devices: dict[str, Device] = {}
    orders = await lines()
    while line := await orders.readline():
        order = json.loads(line)
        if order["device"] not in devices:
            devices[order["device"]] = Device(server, Path(folder))
        device = devices[order["device"]]
        try:
            answer = {"done": await getattr(device, order["do"])(**order["with"])}
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(main(*sys.argv[1:]))
