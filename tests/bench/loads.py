"""The loads: what is asked of a server, and what is measured while it answers; which server it is, they do not know."""

import asyncio
import contextlib
import random
import secrets
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.bench.people import V3, Room, User, encrypted
from tests.bench.servers import Server
from tests.bench.wire import Refused, Wire, encode, q

Numbers = dict[str, float]


def spread(seconds: list[float]) -> Numbers:
    """p50, p99 and maximum in milliseconds."""
    if not seconds:
        return {"p50_ms": float("nan"), "p99_ms": float("nan"), "max_ms": float("nan")}
    ordered = sorted(seconds)
    p50, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99))
    return {"p50_ms": p50 * 1000, "p99_ms": p99 * 1000, "max_ms": ordered[-1] * 1000}


async def send(server: Server, rooms: list[Room], *, seconds: float, at_once: int = 32) -> Numbers:
    """PUT encrypted messages over `rooms`, `at_once` at a time, for `seconds`; only acknowledged ones count."""
    took: list[float] = []
    run = secrets.token_hex(4)
    counter = iter(range(1 << 60))
    started = time.perf_counter()
    ends = started + seconds
    cpu = server.cpu_s()

    async def worker() -> None:
        wire = Wire(server.base_url)
        while (begun := time.perf_counter()) < ends:
            n = next(counter)
            room = rooms[n % len(rooms)]
            sender = room.members[n % len(room.members)]
            status, answer = await wire.raw(encode("PUT", room.send_path(f"{run}-{n}"), encrypted(n), sender.token))
            if status != 200:
                raise Refused(f"send -> {status} {answer[:300]!r}")
            took.append(time.perf_counter() - begun)
        wire.close()

    await asyncio.gather(*(worker() for _ in range(at_once)))
    lasted = time.perf_counter() - started
    used = server.cpu_s() - cpu
    return {"events_per_s": len(took) / lasted, "cpu_ms_per_event": used / len(took) * 1000} | spread(took)


@dataclass
class Listener:
    """Somebody who long-polls and notes when each message arrived."""

    user: User
    wire: Wire
    arrived: dict[int, float] = field(default_factory=dict)
    since: str = ""

    async def catch_up(self) -> None:
        told = await self.wire.ask("GET", f"{V3}/sync?timeout=0", token=self.user.token)
        self.since = told["next_batch"]

    async def listen(self) -> None:
        while True:
            path = f"{V3}/sync?timeout=30000&since={q(self.since)}"
            status, answer = await self.wire.raw(encode("GET", path, token=self.user.token))
            now = time.perf_counter()
            if status != 200:
                raise Refused(f"sync -> {status} {answer[:300]!r}")
            told = orjson.loads(answer)
            self.since = told["next_batch"]
            for room in told.get("rooms", {}).get("join", {}).values():
                for event in room.get("timeline", {}).get("events", []):
                    n = event["content"].get("bench_n")
                    if n is not None:
                        self.arrived.setdefault(n, now)


async def delivery(
    server: Server, rooms: list[Room], *, rate: float, seconds: float, patience_s: float = 15
) -> Numbers:
    """Start of the PUT to the event in the other member's sync, at `rate` messages a second over `rooms`.

    Open loop: a message is sent when its time has come, whether the server keeps up or not. `lost` counts those that
    had not arrived `patience_s` after the last was sent.
    """
    listeners = {room.room_id: Listener(room.members[1], Wire(server.base_url)) for room in rooms}
    await asyncio.gather(*(listener.catch_up() for listener in listeners.values()))
    ears = [asyncio.create_task(listener.listen()) for listener in listeners.values()]
    await asyncio.sleep(0.5)
    spare: list[Wire] = []
    begun: dict[int, float] = {}
    room_of: dict[int, str] = {}
    first = random.randrange(1 << 40)
    run = secrets.token_hex(4)

    async def say(n: int, room: Room) -> None:
        wire = spare.pop() if spare else Wire(server.base_url)
        request = encode("PUT", room.send_path(f"{run}-{n}"), encrypted(n), room.members[0].token)
        room_of[n] = room.room_id
        begun[n] = time.perf_counter()
        with contextlib.suppress(ConnectionError):
            await wire.raw(request)
            spare.append(wire)

    started = time.perf_counter()
    mouths = []
    for index in range(int(rate * seconds)):
        # A little unevenness: people do not speak on a grid, and a grid can fall in step with a server's timers.
        due = started + (index + random.random() * 0.5) / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        mouths.append(asyncio.create_task(say(first + index, rooms[index % len(rooms)])))

    def missing() -> int:
        return sum(n not in listeners[room_of[n]].arrived for n in begun)

    ends = time.perf_counter() + patience_s
    while time.perf_counter() < ends and (missing() or len(begun) < len(mouths)):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    for task in (*ears, *mouths):
        task.cancel()
    results = await asyncio.gather(*ears, *mouths, return_exceptions=True)
    for listener in listeners.values():
        listener.wire.close()
    for wire in spare:
        wire.close()
    for result in results:
        if isinstance(result, Exception):
            raise result
    took = [listeners[room_of[n]].arrived.get(n, float("inf")) - at for n, at in begun.items()]
    whole = [seconds_ for seconds_ in took if seconds_ != float("inf")]
    return spread(whole) | {"lost": float(len(mouths) - len(whole)), "sent": float(len(mouths))}


async def idle(server: Server, users: list[User], *, poll_s: float, rounds: int = 2) -> Numbers:
    """Everybody in `users` long-polls and nothing happens. Memory, and CPU per answered poll.

    The first, immediate sync of each is not counted; the polls are spread over the time of one poll.
    """
    before = server.memory_mb()
    polls = 0
    stop = asyncio.Event()
    first_done = 0

    async def person(user: User, delay: float) -> None:
        nonlocal polls, first_done
        wire = Wire(server.base_url)
        await asyncio.sleep(delay)
        since = (await wire.ask("GET", f"{V3}/sync?timeout=0", token=user.token))["next_batch"]
        first_done += 1
        while not stop.is_set():
            path = f"{V3}/sync?timeout={int(poll_s * 1000)}&since={q(since)}"
            told = await wire.ask("GET", path, token=user.token)
            since = told["next_batch"]
            polls += 1
        wire.close()

    # Slowly enough that also the slower server has answered every first sync before counting begins.
    spread_s = max(poll_s, len(users) / 60)
    people = [asyncio.create_task(person(user, index * spread_s / len(users))) for index, user in enumerate(users)]
    while first_done < len(users):
        await asyncio.sleep(0.2)
        for task in people:
            if task.done() and task.exception():
                raise task.exception()  # type: ignore[misc]
    await asyncio.sleep(1)
    counted, cpu, started = polls, server.cpu_s(), time.perf_counter()
    memory = server.memory_mb()
    await asyncio.sleep(poll_s * rounds)
    answered, used, lasted = polls - counted, server.cpu_s() - cpu, time.perf_counter() - started
    memory = max(memory, server.memory_mb())
    stop.set()
    for task in people:
        task.cancel()
    await asyncio.gather(*people, return_exceptions=True)
    return {
        "users": float(len(users)),
        "memory_mb": memory,
        "kb_per_user": (memory - before) * 1000 / len(users),
        "cpu_ms_per_poll": used / max(1, answered) * 1000,
        "cpu_share": used / lasted,
        "polls": float(answered),
    }


async def initial_sync(server: Server, user: User, *, times: int = 3) -> Numbers:
    """The first sync of a device: everything. Median of `times`, and its size."""
    took, size, rooms = [], 0, 0
    for _ in range(times):
        wire = Wire(server.base_url)
        begun = time.perf_counter()
        status, answer = await wire.raw(encode("GET", f"{V3}/sync?timeout=0", token=user.token))
        took.append(time.perf_counter() - begun)
        wire.close()
        if status != 200:
            raise Refused(f"sync -> {status} {answer[:300]!r}")
        size, rooms = len(answer), len(orjson.loads(answer)["rooms"]["join"])
    return {"ms": statistics.median(took) * 1000, "mb": size / 1e6, "rooms": float(rooms)}


async def pages(server: Server, room: Room, *, most: int = 1_000) -> Numbers:
    """A room's whole history by /messages, 100 events a page, at most `most` pages: what one page costs."""
    wire = Wire(server.base_url)
    took, events, at = [], 0, ""
    while len(took) < most:
        begun = time.perf_counter()
        path = f"{V3}/rooms/{q(room.room_id)}/messages?dir=b&limit=100{at}"
        told = await wire.ask("GET", path, token=room.members[0].token)
        took.append(time.perf_counter() - begun)
        events += len(told["chunk"])
        if not told.get("end") or not told["chunk"]:
            break
        at = f"&from={q(told['end'])}"
    wire.close()
    return spread(took) | {"events": float(events), "pages": float(len(took))}


async def one_after_another(server: Server, ask: Any, *, times: int) -> Numbers:
    """`ask(wire, n)` `times` times on one connection: what one request costs, without a queue."""
    wire = Wire(server.base_url)
    took = []
    for n in range(times):
        begun = time.perf_counter()
        await ask(wire, n)
        took.append(time.perf_counter() - begun)
    wire.close()
    return spread(took)
