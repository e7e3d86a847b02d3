"""A small bridge made with the library `mautrix`, as bridges are: one encrypted ghost that answers what it hears.

It is a program of its own, run by `tests/stories/test_mautrix.py` in an environment of its own, with nothing of ours in
it. Its one argument is a JSON object; what happens to it, it says on its standard output, one JSON object a line. Its
ghost's device is made without a login (MSC4190), and everything reaches it by transactions: it never calls /sync.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from mautrix.appservice import AppService
from mautrix.appservice.state_store import FileASStateStore
from mautrix.client import Client
from mautrix.crypto import OlmMachine, PgCryptoStore, StateStore
from mautrix.errors import EncryptionError, SessionNotFound
from mautrix.types import EventType, MessageType, TextMessageEventContent
from mautrix.util.async_db import Database


class Rooms(StateStore):
    """What the encryption asks about rooms, answered by the server."""

    def __init__(self) -> None:
        self.client: Client

    async def is_encrypted(self, room_id: str) -> bool:
        return await self.get_encryption_info(room_id) is not None

    async def get_encryption_info(self, room_id: str) -> Any:
        return await self.client.get_state_event(room_id, EventType.ROOM_ENCRYPTION)

    async def find_shared_rooms(self, user_id: str) -> list[str]:
        return list(await self.client.get_joined_rooms())


class Bridge:
    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.az = AppService(
            told["server"], told["domain"], told["as_token"], told["hs_token"], told["bot"], id=told["id"],
            ephemeral_events=True, encryption_events=True,
            state_store=FileASStateStore(told["state"], binary=False),
        )  # fmt: skip
        self.az.matrix_event_handler(self.hears)
        self.open = asyncio.Event()

    async def starts(self) -> None:
        await self.az.start("127.0.0.1", self.told["port"])
        self.ghost = self.az.intent.user(self.told["ghost"])
        await self.ghost.ensure_registered()
        rooms = Rooms()
        rooms.client = self.client = Client(
            mxid=self.told["ghost"], base_url=self.told["server"], token=self.told["as_token"],
            state_store=self.az.state_store,
        )  # fmt: skip
        database = Database.create(f"sqlite:{self.told['state']}.db", upgrade_table=PgCryptoStore.upgrade_table)
        await database.start()
        store = PgCryptoStore("kite", "kite", database)
        await store.open()
        await self.client.create_device_msc4190("KITE", "kite")
        await store.put_device_id("KITE")
        self.machine = OlmMachine(self.client, store, rooms)
        self.az.otk_handler = self.machine.handle_as_otk_counts
        self.az.device_list_handler = self.machine.handle_as_device_lists
        self.az.to_device_handler = self.machine.handle_as_to_device_event
        await self.machine.load()
        if not self.machine.account.shared:
            await self.machine.share_keys()
        self.open.set()
        # Now the server need not wait any longer with what it has for us.
        await self.az.ping_self("starting")
        says(ready=True)

    async def hears(self, event: Any) -> None:
        await self.open.wait()
        says(room=event.room_id)
        if event.type == EventType.ROOM_MEMBER:
            await self.machine.handle_member_event(event)
            says(member=event.state_key, membership=str(event.content.membership))
        elif event.type == EventType.RECEIPT:
            says(receipt=list(event.content))
        elif event.type == EventType.TYPING:
            says(typing=event.content.user_ids)
        elif event.type == EventType.ROOM_MESSAGE:
            says(clear=True)
        elif event.type == EventType.ROOM_ENCRYPTED and event.sender != self.told["ghost"]:
            try:
                opened = await self.machine.decrypt_megolm_event(event)
            except SessionNotFound:
                await self.machine.wait_for_session(event.room_id, event.content.session_id, timeout=10)
                opened = await self.machine.decrypt_megolm_event(event)
            says(heard=opened.content.body, by=opened.sender)
            await self.answers(event.room_id, f"{opened.content.body} {self.told['echo']}")

    async def answers(self, room_id: str, text: str) -> None:
        content = TextMessageEventContent(msgtype=MessageType.TEXT, body=text)
        try:
            sealed = await self.machine.encrypt_megolm_event(room_id, EventType.ROOM_MESSAGE, content)
        except EncryptionError:
            members = await self.client.get_joined_members(room_id)
            await self.machine.share_group_session(room_id, list(members))
            sealed = await self.machine.encrypt_megolm_event(room_id, EventType.ROOM_MESSAGE, content)
        await self.client.send_message_event(room_id, EventType.ROOM_ENCRYPTED, sealed, disable_encryption=True)


def says(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def main() -> None:
    bridge = Bridge(json.loads(sys.argv[1]))
    await bridge.starts()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    asyncio.run(main())
