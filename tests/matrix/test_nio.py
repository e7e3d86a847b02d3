"""Two matrix-nio clients talk, end-to-end encrypted, with nothing between them but the server."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nio
import pytest

from tests.cast import Cast, Person
from tests.house import House


class Client:
    """A nio client with its own store, in a few words."""

    def __init__(self, homeserver: str, store: Path, name: str) -> None:
        self.homeserver = homeserver
        self.store = store
        self.name = name
        self.heard: list[tuple[str, nio.Event]] = []
        self.nio = self._fresh("")

    def _fresh(self, user: str) -> nio.AsyncClient:
        self.store.mkdir(parents=True, exist_ok=True)
        config = nio.AsyncClientConfig(store_sync_tokens=True, encryption_enabled=True)
        client = nio.AsyncClient(self.homeserver, user, store_path=str(self.store), config=config)
        client.add_event_callback(self._hears, nio.Event)
        return client

    async def _hears(self, room: nio.MatrixRoom, event: nio.Event) -> None:
        self.heard.append((room.room_id, event))

    async def logs_in(self, person: Person) -> None:
        await self.nio.close()
        self.nio = self._fresh(person.user_id)
        answer = await self.nio.login(person.password, device_name=self.name)
        assert isinstance(answer, nio.LoginResponse), answer
        await self.syncs()

    async def comes_back(self) -> None:
        """A new process with the same store."""
        user, device, token = self.nio.user_id, self.nio.device_id, self.nio.access_token
        await self.nio.close()
        self.nio = self._fresh(user)
        self.nio.restore_login(user, device, token)

    async def syncs(self, timeout_ms: int = 0, *, full_state: bool = False) -> nio.SyncResponse:
        """One round of what `sync_forever` does. full_state: nio keeps no rooms over a restart."""
        answer = await self.nio.sync(timeout_ms, full_state=full_state)
        assert isinstance(answer, nio.SyncResponse), answer
        await self.nio.run_response_callbacks([answer])
        await self.nio.send_to_device_messages()
        if self.nio.should_upload_keys:
            assert isinstance(await self.nio.keys_upload(), nio.KeysUploadResponse)
        if self.nio.should_query_keys:
            assert isinstance(await self.nio.keys_query(), nio.KeysQueryResponse)
        if self.nio.should_claim_keys:
            answer = await self.nio.keys_claim(self.nio.get_users_for_key_claiming())
            assert isinstance(answer, nio.KeysClaimResponse), answer
        return answer

    async def says(self, room: str, text: str) -> str:
        content = {"msgtype": "m.text", "body": text}
        answer = await self.nio.room_send(room, "m.room.message", content, ignore_unverified_devices=True)
        assert isinstance(answer, nio.RoomSendResponse), answer
        return answer.event_id

    async def sees(self, room: str, text: str) -> nio.RoomMessageText:
        for _ in range(20):
            for where, event in self.heard:
                if where == room and isinstance(event, nio.RoomMessageText) and event.body == text:
                    return event
            await self.syncs(1_000)
        undecrypted = [event for _, event in self.heard if isinstance(event, nio.MegolmEvent)]
        raise AssertionError(f"{self.name} did not see {text!r}; could not decrypt {len(undecrypted)}")

    async def waits_for(self, room: str, kind: type[Any]) -> Any:
        """The next event of a kind."""
        for _ in range(20):
            for where, event in self.heard:
                if where == room and isinstance(event, kind):
                    return event
            await self.syncs(1_000)
        raise AssertionError(f"{self.name} saw no {kind.__name__}")


@pytest.fixture
async def clients(house: House, tmp_path: Path) -> AsyncIterator[list[Client]]:
    clients = [Client(house.base_url, tmp_path / name, name) for name in ("mio", "ken", "phone")]
    try:
        yield clients
    finally:
        for client in clients:
            await client.nio.close()


async def a_sealed_room(mio: Client, ken: Client) -> str:
    created = await mio.nio.room_create(
        invite=[ken.nio.user_id],
        preset=nio.RoomPreset.private_chat,
        initial_state=[nio.EnableEncryptionBuilder().as_dict()],
    )
    assert isinstance(created, nio.RoomCreateResponse), created
    invited = await ken.syncs(5_000)
    assert created.room_id in invited.rooms.invite
    assert isinstance(await ken.nio.join(created.room_id), nio.JoinResponse)
    for _ in range(5):
        for client in (mio, ken):
            await client.syncs(300)
        if len(mio.nio.rooms[created.room_id].users) == len(ken.nio.rooms[created.room_id].users) == 2:
            break
    assert mio.nio.rooms[created.room_id].encrypted and ken.nio.rooms[created.room_id].encrypted
    return created.room_id


async def stored(person: Person, room: str) -> str:
    """All that the server can tell of a room, as text."""
    return str(await person.reads_all(room, limit=100))


async def test_two_people_talk_and_the_server_understands_nothing(cast: Cast, clients: list[Client]) -> None:
    mio_person, ken_person = await cast.person("mio"), await cast.person("ken")
    mio, ken, _ = clients
    await mio.logs_in(mio_person)
    await ken.logs_in(ken_person)
    room = await a_sealed_room(mio, ken)
    words = [secrets.token_hex(8) for _ in range(4)]
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


async def test_a_new_device_reads_what_is_written_after_it_came(cast: Cast, clients: list[Client]) -> None:
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
    await mio.says(room, "after")
    assert (await phone.sees(room, "after")).decrypted
    assert (await ken.sees(room, "after")).decrypted
    await phone.says(room, "from the phone")
    await mio.sees(room, "from the phone")


async def test_media_edit_reaction_redaction_and_receipt(cast: Cast, clients: list[Client]) -> None:
    mio_person, ken_person = await cast.person("mio"), await cast.person("ken")
    mio, ken, _ = clients
    await mio.logs_in(mio_person)
    await ken.logs_in(ken_person)
    room = await a_sealed_room(mio, ken)
    first = await mio.says(room, "first")
    await ken.sees(room, "first")
    # A file: sealed on the way up, opened after the way down.
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
    new = {"msgtype": "m.text", "body": "corrected"}
    relation = {"rel_type": "m.replace", "event_id": first}
    edit = {"msgtype": "m.text", "body": "* corrected", "m.new_content": new, "m.relates_to": relation}
    await mio.nio.room_send(room, "m.room.message", edit, ignore_unverified_devices=True)
    edited = await ken.sees(room, "* corrected")
    assert edited.source["content"]["m.new_content"]["body"] == "corrected"
    # A reaction, which nio sends in clear.
    annotation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": first, "key": "❤"}}
    await ken.nio.room_send(room, "m.reaction", annotation, ignore_unverified_devices=True)
    reaction = await mio.waits_for(room, nio.ReactionEvent)
    assert (reaction.reacts_to, reaction.key) == (first, "❤")
    # Taken back: nothing is left of it.
    assert isinstance(await mio.nio.room_redact(room, first), nio.RoomRedactResponse)
    redaction = await ken.waits_for(room, nio.RedactionEvent)
    assert redaction.redacts == first
    assert (await ken_person.get(f"/_matrix/client/v3/rooms/{room}/event/{first}"))["content"] == {}
    # A read mark.
    marked = await ken.nio.room_read_markers(room, edited.event_id, edited.event_id)
    assert isinstance(marked, nio.RoomReadMarkersResponse), marked
    for _ in range(20):
        if ken.nio.user_id in mio.nio.rooms[room].read_receipts:
            break
        await mio.syncs(500)
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
