"""Setting the stage through the API, the same for every server: accounts, rooms, members."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from tests.bench.servers import Server
from tests.bench.wire import Refused, Wire, encode, q

V3 = "/_matrix/client/v3"
ENCRYPTION = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
CIPHERTEXT = secrets.token_urlsafe(600)  # 800 characters; with the rest of the content about 1 kB


@dataclass(frozen=True)
class User:
    user_id: str
    token: str


@dataclass(frozen=True)
class Room:
    room_id: str
    members: tuple[User, ...]

    def send_path(self, txn: str) -> str:
        return f"{V3}/rooms/{q(self.room_id)}/send/m.room.encrypted/{txn}"


def encrypted(n: int) -> dict[str, Any]:
    """Content the size and shape of what clients send; `bench_n` lets the reader know it again."""
    return {
        "algorithm": "m.megolm.v1.aes-sha2",
        "ciphertext": CIPHERTEXT,
        "device_id": "ABCDEFGHIJ",
        "sender_key": "L+4+JCl8MD63dgo8z5Ta+9QAHXiANyOVSfgbHA5d3H8",
        "session_id": "IkwqWxT2zy3DI1E/zM2Wq+CE8tr3eEpsxsVGjGrMPdw",
        "bench_n": n,
    }


async def each(
    items: Iterable[Any], do: Callable[[Any, Wire], Awaitable[Any]], server: Server, at_once: int
) -> list[Any]:
    """`do(item, wire)` for every item, `at_once` at a time, in the items' order."""
    queue = list(enumerate(items))
    queue.reverse()
    results: dict[int, Any] = {}

    async def worker() -> None:
        wire = Wire(server.base_url)
        while queue:
            index, item = queue.pop()
            results[index] = await do(item, wire)
        wire.close()

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return [results[index] for index in sorted(results)]


async def register(server: Server, count: int, prefix: str = "u") -> list[User]:
    """Ordinary accounts with a password."""

    async def one(index: int, wire: Wire) -> User:
        body = {
            "username": f"{prefix}-{index}-{secrets.token_hex(4)}",
            "password": secrets.token_urlsafe(12),
            "auth": {"type": "m.login.dummy"},
        }
        status, answer = await wire.raw(encode("POST", f"{V3}/register", body))
        told = orjson.loads(answer)
        if status == 401:  # interactive authentication in two steps
            body["auth"] = {"type": "m.login.dummy", "session": told["session"]}
            told = await wire.ask("POST", f"{V3}/register", body)
        elif status != 200:
            raise Refused(f"register -> {status} {answer[:300]!r}")
        return User(told["user_id"], told["access_token"])

    return await each(range(count), one, server, at_once=4)


async def register_idle(server: Server, count: int) -> list[User]:
    """Accounts made by an application service: no password to hash, so 2,000 of them take no hour."""

    async def one(index: int, wire: Wire) -> User:
        body = {"type": "m.login.application_service", "username": f"idle-{index}-{secrets.token_hex(4)}"}
        told = await wire.ask("POST", f"{V3}/register", body, server.as_token)
        return User(told["user_id"], told["access_token"])

    return await each(range(count), one, server, at_once=8)


async def open_rooms(server: Server, plans: list[tuple[User, ...]], *, at_once: int = 4) -> list[Room]:
    """One encrypted room per plan: its first user opens it, the others are invited and join."""

    async def one(members: tuple[User, ...], wire: Wire) -> Room:
        body = {
            "preset": "private_chat",
            "initial_state": [ENCRYPTION],
            "invite": [user.user_id for user in members[1:]],
        }
        room_id = (await wire.ask("POST", f"{V3}/createRoom", body, members[0].token))["room_id"]
        for user in members[1:]:
            await wire.ask("POST", f"{V3}/join/{q(room_id)}", {}, user.token)
        return Room(room_id, members)

    return await each(plans, one, server, at_once)


async def open_to_all(server: Server, plans: list[tuple[User, ...]], *, at_once: int = 4) -> list[Room]:
    """One public room per plan: its first user opens it, the others walk in."""

    async def one(members: tuple[User, ...], wire: Wire) -> Room:
        body = {"preset": "public_chat"}
        room_id = (await wire.ask("POST", f"{V3}/createRoom", body, members[0].token))["room_id"]
        for user in members[1:]:
            await wire.ask("POST", f"{V3}/join/{q(room_id)}", {}, user.token)
        return Room(room_id, members)

    return await each(plans, one, server, at_once)


async def fill(server: Server, rooms: list[Room], events_each: int, *, at_once: int = 16) -> None:
    """Say `events_each` things in every room."""

    async def one(item: tuple[int, Room], wire: Wire) -> None:
        n, room = item
        sender = room.members[n % len(room.members)]
        await wire.ask("PUT", room.send_path(f"fill-{n}-{secrets.token_hex(4)}"), encrypted(n), sender.token)

    await each([(n, room) for n in range(events_each) for room in rooms], one, server, at_once)
