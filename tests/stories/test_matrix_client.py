"""A young person who comes with a Matrix client: matrix-nio as it is, nothing of ours in it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from nio import (
    AsyncClient,
    AsyncClientConfig,
    JoinResponse,
    LoginResponse,
    MatrixRoom,
    RoomMessageText,
    RoomReadMarkersResponse,
    RoomSendError,
    RoomSendResponse,
    SyncResponse,
    TypingNoticeEvent,
)

from tests.cast import DESK, Cast, Json
from tests.house import House
from tests.standins.counsellor import CounsellorClient
from tests.words import word


class Young:
    """Mio at her own client."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.heard: list[tuple[str, str, str]] = []  # room, sender, text
        self.typing: set[str] = set()
        client.add_event_callback(self._hears, RoomMessageText)
        client.add_ephemeral_callback(self._sees_typing, TypingNoticeEvent)

    async def _hears(self, room: MatrixRoom, event: RoomMessageText) -> None:
        self.heard.append((room.room_id, event.sender, event.body))

    async def _sees_typing(self, _room: MatrixRoom, event: TypingNoticeEvent) -> None:
        self.typing = set(event.users)

    async def syncs(self, timeout_ms: int = 0, *, full_state: bool = False) -> None:
        answer = await self.client.sync(timeout_ms, full_state=full_state)
        assert isinstance(answer, SyncResponse), answer
        if self.client.should_upload_keys:
            await self.client.keys_upload()
        if self.client.should_query_keys:
            await self.client.keys_query()
        await self.client.send_to_device_messages()

    async def says(self, room: str, text: str) -> str:
        content = {"msgtype": "m.text", "body": text}
        answer = await self.client.room_send(room, "m.room.message", content, ignore_unverified_devices=True)
        assert isinstance(answer, RoomSendResponse), answer
        return str(answer.event_id)

    async def until(self, true: Callable[[], bool], within_s: float = 20) -> None:
        ends = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < ends, f"did not happen; heard: {self.heard}"
            await self.syncs(500)

    async def hears(self, room: str, text: str) -> None:
        await self.until(lambda: any(where == room and said == text for where, _, said in self.heard))

    async def hears_some(self, room: str, part: str) -> str:
        """Waits for words with this part in them; gives them."""
        await self.until(lambda: any(where == room and part in said for where, _, said in self.heard))
        return next(said for where, _, said in self.heard if where == room and part in said)


@asynccontextmanager
async def at_a_client(house: House, user_id: str, password: str, home: Path) -> AsyncIterator[Young]:
    """Log in with matrix-nio, its store in `home`."""
    home.mkdir(parents=True, exist_ok=True)
    config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True, pickle_key="of the test")
    client = AsyncClient(house.base_url, user_id, store_path=str(home), config=config)
    try:
        answer = await client.login(password, device_name="Matrix client")
        assert isinstance(answer, LoginResponse), answer
        young = Young(client)
        await young.syncs(full_state=True)
        yield young
    finally:
        await client.close()


@pytest.fixture
async def ken(house: House, tmp_path: Path) -> AsyncIterator[CounsellorClient]:
    """健, the demo counsellor, at a Matrix client of his own."""
    staff = house.staff[0]
    async with CounsellorClient(house.base_url, staff.user_id, staff.password, tmp_path / "ken") as ken:
        yield ken


async def my_case(young: Young, cast: Cast) -> Json:
    answer: Json = await cast.line.call("GET", f"{DESK}/cases/mine", token=young.client.access_token)
    return answer


async def test_somebody_with_a_matrix_client_joins_the_desk_and_talks(
    house: House, cast: Cast, ken: CounsellorClient, tmp_path: Path
) -> None:
    account = await cast.person("mio")
    async with at_a_client(house, account.user_id, account.password, tmp_path / "mio") as mio:
        joined = await mio.client.join(f"#desk:{house.server_name}")
        assert isinstance(joined, JoinResponse), joined
        room = joined.room_id
        await mio.until(lambda: room in mio.client.rooms)
        assert mio.client.rooms[room].encrypted
        assert house.facts["server_name"] in room or room.startswith("!")

        waiting = word("眠れない")
        await mio.says(room, waiting)
        place = await my_case(mio, cast)
        assert place["room_id"] == room
        assert place["state"] == "waiting"
        assert place["place"] >= 1

        assert await ken.accepts(place["case_id"]) == room
        await ken.reads_history(room)
        await ken.sees(room, waiting)
        assert (await my_case(mio, cast))["counsellor"]["user_id"] == ken.user_id

        await mio.until(lambda: ken.user_id in mio.client.rooms[room].users)
        await ken.device.room_typing(room, True, 20_000)
        await mio.until(lambda: mio.typing == {ken.user_id})
        answered, thanks = word("聞いています"), word("ありがとう")
        await ken.says(room, answered)
        await mio.hears(room, answered)
        event = await mio.says(room, thanks)
        await ken.sees(room, thanks)
        marked = await ken.device.room_read_markers(room, event, event)
        assert isinstance(marked, RoomReadMarkersResponse), marked
        await mio.until(lambda: ken.user_id in mio.client.rooms[room].read_receipts)

        clear = await mio.client._send(
            RoomSendResponse, "PUT", f"/_matrix/client/v3/rooms/{room}/send/m.room.message/clear",
            '{"msgtype": "m.text", "body": "not locked"}', response_data=(room,),
        )  # fmt: skip
        assert isinstance(clear, RoomSendError)
        assert clear.status_code == "M_FORBIDDEN"

        await ken.closes(place["case_id"])
        assert (await my_case(mio, cast))["state"] == "closed"
        refused = await mio.client.room_send(
            room, "m.room.message", {"msgtype": "m.text", "body": word("まだ")}, ignore_unverified_devices=True
        )
        assert isinstance(refused, RoomSendError)
        assert refused.status_code == "M_FORBIDDEN"


async def test_somebody_from_the_web_goes_on_with_a_matrix_client(
    house: House, cast: Cast, ken: CounsellorClient, tmp_path: Path
) -> None:
    """One tap on the page, then the same account in an ordinary client: no name anywhere."""
    case = await cast.line.call("POST", f"{DESK}/cases", {"channel": "web", "with_password": True})
    room = case["room_id"]
    async with AsyncExitStack() as stack:
        mio = await stack.enter_async_context(at_a_client(house, case["user_id"], case["password"], tmp_path / "mio"))
        assert room in mio.client.rooms
        first = word("はじめまして")
        await mio.says(room, first)
        await ken.accepts(case["case_id"])
        await ken.reads_history(room)
        await ken.sees(room, first)
        reply = word("こんばんは")
        await ken.says(room, reply)
        await mio.hears(room, reply)
        members = {user: member.display_name for user, member in mio.client.rooms[room].users.items()}
        assert members[f"@keeper:{house.server_name}"] == "記録係"
        assert case["user_id"] not in (members[case["user_id"]] or "")
        await ken.closes(case["case_id"])


async def test_two_counsellors_click_together_and_one_gets_the_case(
    house: House, cast: Cast, ken: CounsellorClient, tmp_path: Path
) -> None:
    case = await cast.line.call("POST", f"{DESK}/cases", {"channel": "web"})
    staff = house.staff[1]
    async with CounsellorClient(house.base_url, staff.user_id, staff.password, tmp_path / "sato") as sato:
        path = f"{DESK}/cases/{case['case_id']}/accept"

        async def click(who: CounsellorClient) -> Json:
            async with who.device.client_session.post(
                house.base_url + path, headers={"Authorization": f"Bearer {who.device.access_token}"}, json={}
            ) as answer:
                told: Json = await answer.json()
                return told | {"status": answer.status}

        answers = await asyncio.gather(click(ken), click(sato))
        assert sorted(answer["status"] for answer in answers) == [200, 409]
        winner = (ken, sato)[[answer["status"] for answer in answers].index(200)]
        refusal = next(answer for answer in answers if answer["status"] == 409)
        assert refusal["errcode"] == "JP_MADOGUCHI_ALREADY_TAKEN"
        assert refusal["by"]["user_id"] == winner.user_id
        await winner.closes(case["case_id"])
