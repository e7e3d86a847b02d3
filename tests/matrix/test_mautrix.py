"""An ordinary client made with the library mautrix talks with somebody on matrix-nio in an encrypted room."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nio
import pytest

from tests import environments
from tests.cast import Cast, Json, Person
from tests.clients import (
    ASKING,
    ASLEEP,
    BACKUP,
    DEVICE,
    EDIT,
    FILE,
    HISTORY,
    LOGIN,
    REACTION,
    RECEIPT,
    REDACTION,
    SIGNING,
    TALK,
    TYPING,
    Shown,
)  # fmt: skip
from tests.house import House
from tests.matrix.on_nio import Client

PROGRAM = Path(__file__).parents[1] / "standins" / "mautrix_client.py"


class Device:
    """One device in the program, by its name."""

    def __init__(self, process: asyncio.subprocess.Process, name: str, person: Person) -> None:
        self.process = process
        self.name = name
        self.person = person
        self.device_id = ""

    async def does(self, verb: str, **how: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        order = {"device": self.name, "do": verb, "with": how}
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 30) or b'{"failed": "it is gone"}')
        assert "done" in answer, (order, answer)
        return answer["done"]

    async def logs_in(self) -> None:
        told = await self.does("logs_in", user=self.person.user_id, password=self.person.password, name=self.name)
        assert told["user_id"] == self.person.user_id
        self.device_id = told["device_id"]

    async def sees(self, room: str, text: str) -> Json:
        told: Json = await self.does("waits_for", room=room, type_="m.room.message", content={"body": text})
        assert told["sealed"]
        return told


@pytest.fixture
async def mautrix(house: House, tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        str(await asyncio.to_thread(environments.mautrix)), str(PROGRAM), house.base_url, str(tmp_path),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def laptop(mautrix: asyncio.subprocess.Process, cast: Cast) -> Device:
    """The first device of Mio, who has not logged in yet."""
    return Device(mautrix, "laptop", await cast.person("mio"))


async def test_an_ordinary_client(laptop: Device, ken_on_nio: Client, tmp_path: Path, shows: Shown) -> None:
    mio, ken, me = laptop, ken_on_nio, laptop.person.user_id
    with shows(LOGIN):
        await mio.logs_in()
    room = await ken.opens_a_room(me)
    await mio.does("joins", room=room)
    await ken.sees_join(room, me)
    with shows(TALK):
        hello, answer = secrets.token_hex(6), secrets.token_hex(6)
        first = await mio.does("says", room=room, text=hello)
        event = await ken.sees(room, hello)
        assert event.decrypted and event.event_id == first
        said = await ken.says(room, answer)
        assert (await mio.sees(room, answer))["sender"] == ken.nio.user_id
    with shows(FILE):
        content = secrets.token_bytes(50_000)
        up, down = tmp_path / "up.png", tmp_path / "down.png"
        up.write_bytes(content)
        await mio.does("sends_a_file", room=room, path=str(up))
        image = await ken.waits_for(room, nio.RoomEncryptedImage)
        came = await ken.nio.download(image.url)
        assert isinstance(came, nio.MemoryDownloadResponse), came
        opened = nio.crypto.decrypt_attachment(came.body, image.key["k"], image.hashes["sha256"], image.iv)
        assert (opened, came.body == content) == (content, False)
        uploaded, keys = await ken.nio.upload(lambda *_: content, "image/png", encrypt=True, filesize=len(content))
        assert isinstance(uploaded, nio.UploadResponse), uploaded
        picture = {"msgtype": "m.image", "body": "another", "file": (keys or {}) | {"url": uploaded.content_uri}}
        await ken.nio.room_send(room, "m.room.message", picture, ignore_unverified_devices=True)
        shown = await mio.sees(room, "another")
        await mio.does("opens_a_file", content=shown["content"], path=str(down))
        assert down.read_bytes() == content
    with shows(EDIT):
        await mio.does("corrects", room=room, event=first, text="corrected")
        edited = await ken.sees(room, "* corrected")
        assert edited.decrypted and edited.source["content"]["m.new_content"]["body"] == "corrected"
    with shows(REACTION):
        await mio.does("reacts", room=room, event=said, key="❤")
        reaction = await ken.waits_for(room, nio.ReactionEvent)
        assert (reaction.reacts_to, reaction.key, reaction.decrypted) == (said, "❤", False)
    with shows(TYPING):
        await ken.nio.room_typing(room, True, 20_000)
        await mio.does("waits_for", room=room, type_="m.typing", content={"user_ids": [ken.nio.user_id]})
        await mio.does("types", room=room)
        await ken.syncs_until(lambda: me in ken.nio.rooms[room].typing_users)
    with shows(RECEIPT):
        await mio.does("has_read", room=room, event=said)
        await ken.syncs_until(lambda: me in ken.nio.rooms[room].read_receipts)
        assert ken.nio.rooms[room].read_receipts[me].event_id == said
        await ken.nio.update_receipt_marker(room, first)
        receipt = await mio.does("waits_for", room=room, type_="m.receipt", content={first: None})
        assert ken.nio.user_id in receipt["content"][first]["m.read"]
    with shows(REDACTION):
        await mio.does("takes_back", room=room, event=first)
        assert (await ken.waits_for(room, nio.RedactionEvent)).redacts == first
        await ken.nio.room_redact(room, said)
        await mio.does("waits_for", room=room, type_="m.room.redaction", content={"redacts": said})


async def test_a_second_device(laptop: Device, ken_on_nio: Client, shows: Shown) -> None:
    ken, me = ken_on_nio, laptop.person.user_id
    await laptop.logs_in()
    room = await ken.opens_a_room(me)
    await laptop.does("joins", room=room)
    await ken.sees_join(room, me)
    older = await ken.says(room, "before the phone")
    await laptop.sees(room, "before the phone")
    phone = Device(laptop.process, "phone", laptop.person)
    with shows(SIGNING):
        recovery_key = await laptop.does("keeps_secrets")
        await phone.logs_in()
        await phone.does("proves_itself", recovery_key=recovery_key)
        await laptop.does("trusts", device=phone.device_id)
    with shows(ASKING):
        asked = await phone.does("asks_for_the_key_of", room=room, event=older, from_=laptop.device_id)
        assert asked["given"] and asked["content"]["body"] == "before the phone"
    with shows(DEVICE):
        await ken.syncs_until(lambda: phone.device_id in ken.nio.device_store[me])
        await ken.says(room, "to both")
        await phone.sees(room, "to both")
        await laptop.sees(room, "to both")
        await phone.does("says", room=room, text="from the phone")
        assert (await ken.sees(room, "from the phone")).decrypted
        await laptop.sees(room, "from the phone")


def test_what_it_lacks(shows: Shown) -> None:
    shows.lacks(environments.sources(environments.mautrix(), "mautrix"), BACKUP, HISTORY, ASLEEP)
