"""Somebody on matrix-nio: the client that others in this folder talk with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nio

from tests.cast import Person


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

    async def opens_a_room(self, with_: str, *, sealed: bool = True) -> str:
        created = await self.nio.room_create(
            invite=[with_],
            preset=nio.RoomPreset.private_chat,
            initial_state=[nio.EnableEncryptionBuilder().as_dict()] if sealed else [],
        )
        assert isinstance(created, nio.RoomCreateResponse), created
        return str(created.room_id)

    async def syncs_until(self, holds: Callable[[], bool]) -> None:
        for _ in range(40):
            if holds():
                return
            await self.syncs(500)
        raise AssertionError(f"{self.name} waited in vain")

    async def sees_join(self, room: str, user_id: str) -> None:
        """Syncs until somebody is in the room, so that what is said then is sealed for them too."""

        def is_in() -> bool:
            known = self.nio.rooms.get(room)
            return known is not None and user_id in known.users and user_id not in known.invited_users

        await self.syncs_until(is_in)

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
