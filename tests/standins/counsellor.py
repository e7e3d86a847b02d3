"""A counsellor at a Matrix client of their own: encrypts, reads the history the keeper hands over, follows the desk."""

import asyncio
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from nio import MegolmEvent, RoomEncryptedMedia, RoomMessage, UnknownEvent, UnknownToDeviceEvent
from nio.crypto.attachments import decrypt_attachment, encrypt_attachment

from madoguchi.crypto import key_bundle
from madoguchi.crypto.device import AgentDevice, Login

DESK = "/_madoguchi/desk/v1"
Json = dict[str, Any]


class CounsellorClient:
    """`async with CounsellorClient(base_url, user_id, password, directory) as ken: …`"""

    def __init__(self, base_url: str, user_id: str, password: str, directory: Path) -> None:
        self.device = AgentDevice(base_url, user_id, directory, bytes(32), name="console")
        self.user_id = user_id
        self._password = password
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._locked: dict[str, MegolmEvent] = {}
        self.events: dict[str, tuple[str, str, Json]] = {}  # event id → (room id, sender, decrypted source)
        self._txn = 0

    async def __aenter__(self) -> Self:
        await self.device.start(Login.by_password(self._password))
        self.device.add_event_callback(self._keep, (RoomMessage, RoomEncryptedMedia, UnknownEvent, MegolmEvent))
        self.device.add_to_device_callback(self._take_history, (UnknownToDeviceEvent,))
        self._task = asyncio.create_task(self.device.run(self._stop))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        self._stop.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self.device.close()

    # -- the desk ----------------------------------------------------------------------------------------------------
    async def queue(self) -> Json:
        return await self.device.call("GET", f"{DESK}/queue")

    async def waits_for_a_case(self, among: set[str] | None = None, within_s: float = 20) -> str:
        """The id of a waiting case, not one of `among`."""
        ends = time.monotonic() + within_s
        while True:
            waiting = [case["case_id"] for case in (await self.queue())["waiting"]]
            if new := [case_id for case_id in waiting if case_id not in (among or set())]:
                return str(new[0])
            assert time.monotonic() < ends, "nobody came"
            await asyncio.sleep(0.1)

    async def accepts(self, case_id: str) -> str:
        """Takes the case, is invited by the keeper, joins; gives the room id."""
        return await self._comes_into(f"{DESK}/cases/{case_id}/accept")

    async def _comes_into(self, by_asking: str) -> str:
        room_id = str((await self.device.call("POST", by_asking, {}))["room_id"])
        ends = time.monotonic() + 20
        while room_id not in self.device.invited_rooms and room_id not in self.device.rooms:
            assert time.monotonic() < ends, "the keeper did not invite"
            await asyncio.sleep(0.05)
        await self.device.call("POST", f"/_matrix/client/v3/rooms/{room_id}/join", {})
        while room_id not in self.device.rooms:
            assert time.monotonic() < ends, "the room did not come"
            await asyncio.sleep(0.05)
        return room_id

    async def opens_the_side_room(self, case_id: str) -> str:
        """Where the staff of the case talk among themselves; is invited by the keeper, joins, gives the room id."""
        return await self._comes_into(f"{DESK}/cases/{case_id}/side_room")

    async def closes(self, case_id: str) -> None:
        await self.device.call("POST", f"{DESK}/cases/{case_id}/close", {})

    # -- the conversation --------------------------------------------------------------------------------------------
    async def says(self, room_id: str, text: str) -> str:
        return await self.sends(room_id, {"msgtype": "m.text", "body": text})

    async def sends(self, room_id: str, content: Json) -> str:
        self._txn += 1
        return await self.device.say(room_id, content, f"{time.monotonic_ns()}.{self._txn}")

    async def encloses(self, room_id: str, content: bytes, mime: str, msgtype: str = "m.image") -> Json:
        """Seals and uploads a file for a room; gives the content of its event."""
        sealed, keys = encrypt_attachment(content)
        path = f"/_matrix/media/v3/upload?jp.madoguchi.room_id={quote(room_id)}"
        answer = await self.device.call("POST", path, sealed, content_type="application/octet-stream")
        file = keys | {"url": answer["content_uri"]}
        return {"msgtype": msgtype, "body": "file", "file": file, "info": {"mimetype": mime, "size": len(content)}}

    async def opens(self, content: Json) -> bytes:
        """The file of an event."""
        file = content["file"]
        sealed = await self.device.download(file["url"])
        plain: bytes = decrypt_attachment(sealed, file["key"]["k"], file["hashes"]["sha256"], file["iv"])
        return plain

    async def takes_back(self, room_id: str, event_id: str) -> None:
        self._txn += 1
        path = f"/_matrix/client/v3/rooms/{room_id}/redact/{event_id}/{time.monotonic_ns()}.{self._txn}"
        await self.device.call("PUT", path, {})

    async def types(self, room_id: str) -> None:
        path = f"/_matrix/client/v3/rooms/{room_id}/typing/{self.user_id}"
        await self.device.call("PUT", path, {"typing": True, "timeout": 10_000})

    async def reads(self, room_id: str, event_id: str) -> None:
        await self.device.call("POST", f"/_matrix/client/v3/rooms/{room_id}/receipt/m.read/{event_id}", {})

    def bodies(self, room_id: str) -> list[str]:
        """What others said in the room, as far as it has been read."""
        contents = [source["content"] for room, sender, source in self.events.values()
                    if room == room_id and sender != self.user_id]  # fmt: skip
        return [content["body"] for content in contents if "body" in content]

    async def conversation(self, room_id: str) -> list[str]:
        """What others said in the room, in the server's order."""
        path, query = f"/_matrix/client/v3/rooms/{room_id}/messages", {"dir": "b", "limit": "500"}
        found: list[Json] = []
        while True:
            page = await self.device.call("GET", path, query=query)
            found += page["chunk"]
            if not page.get("end") or not page["chunk"]:
                break
            query["from"] = page["end"]
        known = [self.events.get(event["event_id"]) for event in reversed(found)]
        contents = [entry[2]["content"] for entry in known if entry and entry[1] != self.user_id]
        return [content["body"] for content in contents if "body" in content]

    async def sees(self, room_id: str, text: str, within_s: float = 20) -> Json:
        """Waits until somebody's words with `text` in them can be read; gives the event."""
        return await self.waits_for(room_id, lambda event: text in event["content"].get("body", ""), within_s, text)

    async def waits_for(self, room_id: str, wanted: Any, within_s: float = 20, what: str = "the event") -> Json:
        ends = time.monotonic() + within_s
        while True:
            for room, sender, source in self.events.values():
                if room == room_id and sender != self.user_id and wanted(source):
                    return source
            locked = len(self._locked)
            assert time.monotonic() < ends, f"{what!r} was not seen: {self.bodies(room_id)}, {locked} not readable"
            await asyncio.sleep(0.05)

    async def reads_history(self, room_id: str) -> None:
        """Fetches what was said before the join."""
        page = await self.device.call("GET", f"/_matrix/client/v3/rooms/{room_id}/messages?dir=b&limit=100")
        for source in reversed(page["chunk"]):
            if source["type"] == "m.room.encrypted" and "ciphertext" in source["content"]:
                event = MegolmEvent.from_dict(source)
                event.room_id = room_id
                await self._keep(None, event, before=True)

    async def _keep(self, room: Any, event: Any, before: bool = False) -> None:
        room_id = room.room_id if room is not None else event.room_id
        if isinstance(event, MegolmEvent):
            event.room_id = room_id
            self._locked[event.event_id] = event
            self._try_locked()
            return
        if event.event_id not in self.events:
            self.events[event.event_id] = (room_id, event.sender, event.source)

    def _try_locked(self) -> None:
        for event_id, event in list(self._locked.items()):
            if self.device.machine.find_session(event.room_id, event.session_id) is not None:
                opened = self.device.decrypt_event(event)
                self.events.setdefault(event_id, (event.room_id, event.sender, opened.source))
                del self._locked[event_id]

    async def _take_history(self, event: UnknownToDeviceEvent) -> None:
        await key_bundle.accept(self.device, event.source, event.sender)
        self._try_locked()
