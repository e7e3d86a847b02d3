"""Two matrix-nio clients talk, end-to-end encrypted, with nothing between them but the server."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nio
import pytest

from tests.cast import Cast, Person
from tests.clients import (
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
)
from tests.house import House
from tests.matrix.on_nio import Client


@pytest.fixture
async def clients(house: House, tmp_path: Path) -> AsyncIterator[list[Client]]:
    clients = [Client(house.base_url, tmp_path / name, name) for name in ("mio", "ken", "phone")]
    try:
        yield clients
    finally:
        for client in clients:
            await client.nio.close()


async def a_sealed_room(mio: Client, ken: Client) -> str:
    room = await mio.opens_a_room(ken.nio.user_id)
    invited = await ken.syncs(5_000)
    assert room in invited.rooms.invite
    assert isinstance(await ken.nio.join(room), nio.JoinResponse)
    for _ in range(5):
        for client in (mio, ken):
            await client.syncs(300)
        if len(mio.nio.rooms[room].users) == len(ken.nio.rooms[room].users) == 2:
            break
    assert mio.nio.rooms[room].encrypted and ken.nio.rooms[room].encrypted
    return room


async def stored(person: Person, room: str) -> str:
    """All that the server can tell of a room, as text."""
    return str(await person.reads_all(room, limit=100))


async def test_two_people_talk_and_the_server_understands_nothing(
    cast: Cast, clients: list[Client], shows: Shown
) -> None:
    mio_person, ken_person = await cast.person("mio"), await cast.person("ken")
    mio, ken, _ = clients
    with shows(LOGIN):
        await mio.logs_in(mio_person)
        await ken.logs_in(ken_person)
    room = await a_sealed_room(mio, ken)
    words = [secrets.token_hex(8) for _ in range(4)]
    with shows(TALK):
        await mio.says(room, words[0])
        event = await ken.sees(room, words[0])
        assert event.decrypted and event.sender == mio.nio.user_id
        await ken.says(room, words[1])
        assert (await mio.sees(room, words[1])).decrypted
    await mio.says(room, words[2])
    await ken.sees(room, words[2])
    # After a restart with the same store, in the same session.
    await ken.comes_back()
    await ken.syncs(full_state=True)
    await ken.says(room, words[3])
    await mio.sees(room, words[3])
    told = await stored(mio_person, room)
    assert not any(word in told for word in words) and told.count("m.megolm.v1.aes-sha2") >= 4


async def test_a_new_device_reads_what_is_written_after_it_came(
    cast: Cast, clients: list[Client], shows: Shown
) -> None:
    mio_person, ken_person = await cast.person("mio"), await cast.person("ken")
    mio, ken, phone = clients
    await mio.logs_in(mio_person)
    await ken.logs_in(ken_person)
    room = await a_sealed_room(mio, ken)
    await mio.says(room, "before")
    await ken.sees(room, "before")
    await phone.logs_in(ken_person)
    for _ in range(3):
        await mio.syncs(500)
    # Mio's client has learnt of the device by device_lists, keys/query and keys/claim.
    assert phone.nio.device_id in {device.id for device in mio.nio.device_store.active_user_devices(ken.nio.user_id)}
    with shows(DEVICE):
        await mio.says(room, "after")
        assert (await phone.sees(room, "after")).decrypted
        assert (await ken.sees(room, "after")).decrypted
        await phone.says(room, "from the phone")
        await mio.sees(room, "from the phone")


async def test_media_edit_reaction_redaction_and_receipt(cast: Cast, clients: list[Client], shows: Shown) -> None:
    mio_person, ken_person = await cast.person("mio"), await cast.person("ken")
    mio, ken, _ = clients
    await mio.logs_in(mio_person)
    await ken.logs_in(ken_person)
    room = await a_sealed_room(mio, ken)
    first = await mio.says(room, "first")
    await ken.sees(room, "first")
    # A file: sealed on the way up, opened after the way down.
    with shows(FILE):
        content = secrets.token_bytes(50_000)
        uploaded, keys = await mio.nio.upload(lambda *_: content, "image/png", encrypt=True, filesize=len(content))
        assert isinstance(uploaded, nio.UploadResponse), uploaded
        assert keys is not None
        picture = {"msgtype": "m.image", "body": "picture", "file": keys | {"url": uploaded.content_uri}}
        await mio.nio.room_send(room, "m.room.message", picture, ignore_unverified_devices=True)
        image = await ken.waits_for(room, nio.RoomEncryptedImage)
        down = await ken.nio.download(image.url)
        assert isinstance(down, nio.MemoryDownloadResponse), down
        assert down.body != content
        opened = nio.crypto.decrypt_attachment(down.body, image.key["k"], image.hashes["sha256"], image.iv)
        assert opened == content
    # An edit.
    with shows(EDIT):
        new = {"msgtype": "m.text", "body": "corrected"}
        relation = {"rel_type": "m.replace", "event_id": first}
        edit = {"msgtype": "m.text", "body": "* corrected", "m.new_content": new, "m.relates_to": relation}
        await mio.nio.room_send(room, "m.room.message", edit, ignore_unverified_devices=True)
        edited = await ken.sees(room, "* corrected")
        assert edited.source["content"]["m.new_content"]["body"] == "corrected"
    # A reaction, which nio sends in clear.
    with shows(REACTION):
        annotation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": first, "key": "❤"}}
        await ken.nio.room_send(room, "m.reaction", annotation, ignore_unverified_devices=True)
        reaction = await mio.waits_for(room, nio.ReactionEvent)
        assert (reaction.reacts_to, reaction.key, reaction.decrypted) == (first, "❤", False)
    # Taken back: nothing is left of it.
    with shows(REDACTION):
        assert isinstance(await mio.nio.room_redact(room, first), nio.RoomRedactResponse)
        redaction = await ken.waits_for(room, nio.RedactionEvent)
        assert redaction.redacts == first
        assert (await ken_person.get(f"/_matrix/client/v3/rooms/{room}/event/{first}"))["content"] == {}
    with shows(TYPING):
        await ken.nio.room_typing(room, True, 20_000)
        await mio.syncs_until(lambda: ken.nio.user_id in mio.nio.rooms[room].typing_users)
    # A read mark.
    with shows(RECEIPT):
        marked = await ken.nio.room_read_markers(room, edited.event_id, edited.event_id)
        assert isinstance(marked, nio.RoomReadMarkersResponse), marked
        await mio.syncs_until(lambda: ken.nio.user_id in mio.nio.rooms[room].read_receipts)
        assert mio.nio.rooms[room].read_receipts[ken.nio.user_id].event_id == edited.event_id


async def test_a_conversation_crosses_without_loss(cast: Cast, clients: list[Client]) -> None:
    mio_person, ken_person = await cast.person("mio"), await cast.person("ken")
    mio, ken, _ = clients
    await mio.logs_in(mio_person)
    await ken.logs_in(ken_person)
    room = await a_sealed_room(mio, ken)

    async def talks(client: Client) -> list[str]:
        texts = [f"{client.name} {n}" for n in range(15)]
        for text in texts:
            await client.says(room, text)
            await client.syncs()
        return texts

    said: list[list[str]] = list(await asyncio.gather(talks(mio), talks(ken)))
    for client, texts in ((ken, said[0]), (mio, said[1])):
        await client.sees(room, texts[-1])
        others = mio if client is ken else ken
        heard: list[Any] = [
            event.body
            for where, event in client.heard
            if where == room and isinstance(event, nio.RoomMessageText) and event.sender == others.nio.user_id
        ]
        assert heard == texts


def test_what_it_lacks(shows: Shown) -> None:
    shows.lacks(Path(nio.__file__).parent, SIGNING, BACKUP, HISTORY, ASLEEP)
