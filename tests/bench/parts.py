"""The parts of the bench: who is set on the stage for each, and which load runs on it."""

import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from tests.bench import loads
from tests.bench.loads import Numbers
from tests.bench.people import V3, Room, User, encrypted, fill, open_rooms, open_to_all, register, register_idle
from tests.bench.servers import Ours, Server, answers
from tests.bench.wire import Wire, q
from tests.house import free_port
from tests.postgres import Postgres

Results = dict[str, dict[str, Numbers]]  # measure -> server -> numbers


class Bench:
    """What the parts share: the servers, running, and the results so far."""

    def __init__(self, servers: list[Server], postgres: Postgres, *, quick: bool, rounds: int) -> None:
        self.servers = servers
        self.postgres = postgres
        self.quick = quick
        self.rounds = rounds or (1 if quick else 3)
        self.results: Results = {}
        self._stages: dict[str, list[Room]] = {}

    def note(self, measure: str, server: str, numbers: Numbers) -> None:
        self.results.setdefault(measure, {})[server] = numbers
        told = "  ".join(f"{key} {value:,.2f}" for key, value in numbers.items())
        print(f"  {measure:<24} {server:<10} {told}", flush=True)

    async def alternately(self, measure: str, load: Callable[[Server], Awaitable[Numbers]], rounds: int) -> None:
        """The load on each server in turn, `rounds` times; the median of every number is noted."""
        runs: dict[str, list[Numbers]] = {server.name: [] for server in self.servers}
        for _ in range(rounds):
            for server in self.servers:
                runs[server.name].append(await load(server))
        for name, numbers in runs.items():
            self.note(measure, name, {key: statistics.median(run[key] for run in numbers) for key in numbers[0]})

    async def rooms(self, server: Server) -> list[Room]:
        """50 encrypted rooms of two or three people."""
        if server.name not in self._stages:
            users = await register(server, 20)
            plans: list[tuple[User, ...]] = []
            for n in range(50):
                members = [users[n % 20], users[(n + 1) % 20], users[(n + 7) % 20]]
                plans.append(tuple(members[: 2 + n % 2]))
            self._stages[server.name] = await open_rooms(server, plans)
        return self._stages[server.name]


async def delivery(bench: Bench) -> None:
    """From the start of the PUT to the event in the peer's sync: 10 pairs, at 5, 20 and 200 messages a second."""
    pairs: dict[str, list[Room]] = {}
    for server in bench.servers:
        people = await register(server, 20, prefix="pair")
        pairs[server.name] = await open_rooms(server, list(zip(people[::2], people[1::2], strict=True)))
    for rate, seconds in ((5, 20), (20, 15), (200, 10)):
        lasting = seconds / 4 if bench.quick else seconds

        async def load(server: Server, rate: int = rate, lasting: float = lasting) -> Numbers:
            return await loads.delivery(server, pairs[server.name], rate=rate, seconds=lasting)

        await bench.alternately(f"delivery at {rate}/s", load, 1 if rate == 200 else min(2, bench.rounds))


async def initial(bench: Bench) -> None:
    """The first sync of somebody in 200 rooms with ten messages each, and in 1,000 rooms with two."""
    for measure, count, each in (("initial sync", 200, 10), ("initial sync, 1,000 rooms", 1_000, 2)):
        reader: dict[str, User] = {}
        for server in bench.servers:
            user, other = await register(server, 2, prefix="reader")
            rooms = await open_rooms(server, [(user, other)] * (count // 10 if bench.quick else count))
            await fill(server, rooms, each)
            reader[server.name] = user

        async def load(server: Server, reader: dict[str, User] = reader) -> Numbers:
            return await loads.initial_sync(server, reader[server.name])

        await bench.alternately(measure, load, bench.rounds)


async def history(bench: Bench) -> None:
    """All of a room's messages, page after page of 100, the newest first."""
    for server in bench.servers:
        [room] = await open_rooms(server, [tuple(await register(server, 2, prefix="history"))])
        await fill(server, [room], 200 if bench.quick else 1_000)
        bench.note("messages, 1,000 events", server.name, await loads.pages(server, room, most=10))


async def send(bench: Bench) -> None:
    """Acknowledged events a second, 32 at once over 50 rooms."""
    for server in bench.servers:
        await loads.send(server, await bench.rooms(server), seconds=2)  # warm

    async def load(server: Server) -> Numbers:
        return await loads.send(server, await bench.rooms(server), seconds=3 if bench.quick else 10)

    await bench.alternately("send", load, bench.rounds)


async def idle(bench: Bench) -> None:
    """2,000 people come to a freshly started server, sit down in rooms of twenty, and nothing happens."""
    for server in bench.servers:
        server.stop()
    for server in bench.servers:
        server.start(with_appservice=True)
        fresh = server.memory_mb()
        users = await register_idle(server, 200 if bench.quick else 2000)
        await open_to_all(server, [tuple(users[n : n + 20]) for n in range(0, len(users), 20)])
        numbers = await loads.idle(server, users, poll_s=10 if bench.quick else 30)
        bench.note("idle long polls", server.name, {"fresh_mb": fresh} | numbers)
        server.stop()
    for server in bench.servers:
        server.start()


async def ceiling(bench: Bench) -> None:
    """The same send load on two trivial servers: what HTTP costs, and what a durable commit costs."""
    user = User("@nobody:bench.test", "none")
    rooms = [Room(f"!room{n}:bench.test", (user, user)) for n in range(50)]
    database = bench.postgres.create("ceiling")
    for name, more in (("http", []), ("group commit", [database])):
        server = Trivial(name, more)
        server.start_trivial()
        try:
            await loads.send(server, rooms, seconds=1)
            runs = [await loads.send(server, rooms, seconds=3 if bench.quick else 6) for _ in range(bench.rounds)]
        finally:
            server.stop()
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        bench.note("ceiling", name, median)


class Trivial(Server):
    """A server of ceiling.py, under the same load."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name = name
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.arguments = arguments

    def start_trivial(self) -> None:
        command = [sys.executable, "-m", "tests.bench.ceiling", str(self.port), *self.arguments]
        self.process = subprocess.Popen(command)
        while not answers(self.base_url):
            if self.process.poll() is not None:
                raise RuntimeError(f"the ceiling's {self.name} did not start")
            time.sleep(0.05)


async def scaling(bench: Bench) -> None:
    """Cost grows with what is new: send, sync and a page of history at 100 and at 100,000 events, at 10 and at 2,000
    rooms."""
    ours = next((server for server in bench.servers if isinstance(server, Ours)), None)
    if ours is None:
        return
    many_events, many_rooms = (3_000, 100) if bench.quick else (100_000, 2_000)
    user, other = await register(ours, 2, prefix="scale")
    short, long = await open_rooms(ours, [(user, other)] * 2)
    await fill(ours, [short], 100)
    await fill(ours, [long], many_events, at_once=64)
    for label, room in (("100 events", short), (f"{many_events:,} events", long)):
        bench.note("scaling: send", label, await loads.one_after_another(ours, _sends(room), times=300))
        bench.note("scaling: sync", label, await _sync_costs(ours, room))
        bench.note("scaling: messages", label, await loads.pages(ours, room))
    for count in (10, many_rooms):
        user, other = await register(ours, 2, prefix="rooms")
        rooms = await open_rooms(ours, [(user, other)] * count, at_once=8)
        label = f"{count:,} rooms"
        bench.note("scaling: send", label, await loads.one_after_another(ours, _sends(rooms[0]), times=300))
        bench.note("scaling: sync", label, await _sync_costs(ours, rooms[0]))


def _sends(room: Room) -> Callable[[Wire, int], Awaitable[None]]:
    run = f"{time.time_ns():x}"

    async def ask(wire: Wire, n: int) -> None:
        await wire.ask("PUT", room.send_path(f"{run}-{n}"), encrypted(n), room.members[0].token)

    return ask


async def _sync_costs(server: Server, room: Room) -> Numbers:
    """An incremental sync that finds one new event, by a member of `room`."""
    sender, reader = room.members[0], room.members[1]
    mouth, ear = Wire(server.base_url), Wire(server.base_url)
    since = (await ear.ask("GET", f"{V3}/sync?timeout=0", token=reader.token))["next_batch"]
    took = []
    run = f"{time.time_ns():x}"
    for n in range(200):
        await mouth.ask("PUT", room.send_path(f"{run}-{n}"), encrypted(n), sender.token)
        begun = time.perf_counter()
        found = False
        while not found:  # an answer without the event is a wait more
            told = await ear.ask("GET", f"{V3}/sync?timeout=1000&since={q(since)}", token=reader.token)
            since = told["next_batch"]
            found = room.room_id in told.get("rooms", {}).get("join", {})
        took.append(time.perf_counter() - begun)
    mouth.close()
    ear.close()
    return loads.spread(took)


# In this order: latency before the flood, idle memory on a fresh start.
PARTS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "delivery": delivery,
    "initial": initial,
    "history": history,
    "send": send,
    "idle": idle,
    "ceiling": ceiling,
    "scaling": scaling,
}
