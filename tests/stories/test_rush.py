"""`make soak`: three hundred young people within ten minutes, forty counsellors, and nobody is lost.

Everybody speaks HTTP as the pages do, from an address of their own, with the limits and the proof of work of a real
desk. What the many say only looks encrypted; some are real Matrix devices, and of these every word has to be readable.
"""

import asyncio
import multiprocessing
import os
import random
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import figures
from tests.cast import DESK, V3, Cast, Json, Line, Person, Refusal, password_login, solved
from tests.house import House
from tests.standins.counsellor import CounsellorClient
from tests.stories.test_history import Young
from tests.words import word


@dataclass(frozen=True)
class Size:
    """minutes: within which people arrive; real: how many of them are Matrix devices; talk_s: how long a
    conversation lasts."""

    people: int
    minutes: float
    counsellors: int
    real: int
    talk_s: float


SIZE = Size(24, 0.5, 6, 3, 6.0) if figures.QUICK else Size(300, 10.0, 40, 24, 60.0)
CAPACITY = 4
# What the issue asks, on a machine of two cores that does nothing else.
ACCEPT_P99_MS = 200.0
FILTER = {"room": {"timeline": {"limit": 100}}, "presence": {"not_types": ["*"]}}


@dataclass
class Talk:
    """One case: what was said in it and acknowledged, by either side."""

    case_id: str
    room_id: str
    by_young: set[str] = field(default_factory=set)
    by_staff: set[str] = field(default_factory=set)
    told_all: asyncio.Event = field(default_factory=asyncio.Event)
    handed: bool = False
    closed: bool = False


class Counsellor:
    """A member of staff at a page: a long poll on the queue, another on the conversations."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.invited: dict[str, asyncio.Event] = {}
        self.heard: dict[str, set[str]] = {}
        self.handled: set[str] = set()
        self.known: set[str] = set()
        self.shown: list[str] = []
        self.click: asyncio.Task[None] | None = None

    def invitation(self, room_id: str) -> asyncio.Event:
        return self.invited.setdefault(room_id, asyncio.Event())


class Rush:
    """What happens, how long it took, and what was acknowledged."""

    def __init__(self, house: House, cast: Cast, home: Path, phones: ProcessPoolExecutor) -> None:
        self.house, self.cast, self.home, self.phones = house, cast, home, phones
        self.dice = random.Random(3)
        self.lines = 0
        self.talks: dict[str, Talk] = {}
        self.arrived: dict[str, float] = {}
        self.told: dict[str, list[float]] = {}
        self.taken: dict[str, set[str]] = {}
        self.taken_at: dict[str, float] = {}
        self.late = self.handed = self.stale = 0
        self.took: dict[str, list[float]] = {}
        self.readable = 0
        self.wired: set[str] = set()
        self.over = asyncio.Event()
        self.work: set[asyncio.Task[None]] = set()

    def line(self) -> Line:
        """A line from an address of its own, as through the operator's proxy."""
        self.lines += 1
        line = self.cast.line_to(self.house.base_url)
        line.http.headers["X-Forwarded-For"] = f"10.9.{self.lines // 250}.{self.lines % 250 + 1}"
        return line

    async def timed(self, what: str, call: "asyncio.Future[Json]") -> Json:
        began = time.perf_counter()
        answer = await call
        self.took.setdefault(what, []).append(time.perf_counter() - began)
        return answer

    def cpu_s(self) -> dict[str, float]:
        """What the house's own processes have used until now, besides the database."""
        return {name: sum(self.house.process(name).cpu_times()[:2]) for name in ("serve", "keeper", "work")}

    # -- young people ------------------------------------------------------------------------------------------------
    async def comes(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        line = self.line()
        await line.call("GET", f"{DESK}/desk")
        challenge = await line.call("GET", f"{DESK}/challenge")
        proof = await asyncio.get_running_loop().run_in_executor(self.phones, solved, challenge)
        asking = asyncio.ensure_future(line.call("POST", f"{DESK}/cases", {"channel": "web", "proof": proof}))
        case = await self.timed("arrive", asking)
        mio = Person(line, "mio", "", case)
        talk = self.talks[case["case_id"]] = Talk(case["case_id"], case["room_id"])
        self.arrived[talk.case_id] = time.perf_counter()
        hearing = asyncio.create_task(self.hears(mio, talk))
        for _ in range(2):
            talk.by_young.add(await self.says(mio, talk.room_id))
        pos: Json = {}
        while (mine := await mio.get(f"{DESK}/cases/mine", **pos))["state"] == "waiting":
            pos = {"after": mine["pos"], "timeout": 20_000}
        for _ in range(3):
            await asyncio.sleep(SIZE.talk_s * self.dice.uniform(0.1, 0.3))
            talk.by_young.add(await self.says(mio, talk.room_id))
        talk.told_all.set()
        await hearing

    async def says(self, who: Person, room_id: str) -> str:
        content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "A" * 600, "session_id": f"s{who.user_id}"}
        return await who.sends(room_id, "m.room.encrypted", content | {"sender_key": "k", "device_id": who.device_id})

    async def hears(self, mio: Person, talk: Talk) -> None:
        """Listens until the case has ended and everything that was said in it has come, each once."""
        seen: list[str] = []
        while not (talk.closed and talk.by_staff <= set(seen)):
            since = mio.since
            told = await mio.catches_up(20_000, filter=FILTER)
            timeline = told.get("rooms", {}).get("join", {}).get(talk.room_id, {}).get("timeline", {"events": []})
            events = timeline["events"]
            if timeline.get("limited") and since is not None:
                events = (await mio.reads_all(talk.room_id, from_=timeline["prev_batch"], to=since))[::-1] + events
            seen += [event["event_id"] for event in events if event["type"] == "m.room.encrypted"]
        assert len(seen) == len(set(seen)), "an event came twice"
        assert talk.by_young <= set(seen)

    # -- counsellors -------------------------------------------------------------------------------------------------
    async def counsels(self, me: Counsellor) -> None:
        listening = asyncio.create_task(self.listens(me))
        pos: Json = {}
        while not self.over.is_set():
            told = await me.person.get(f"{DESK}/queue", **pos)
            now = time.perf_counter()
            waiting = [case["case_id"] for case in told["waiting"]]
            for case_id in set(waiting) - me.known:
                self.told.setdefault(case_id, []).append(now)
            me.known |= set(waiting)
            me.shown = waiting
            for own in told["mine"]:
                if own["case_id"] not in me.handled and own["case_id"] in self.talks:
                    me.handled.add(own["case_id"])
                    self.begins(self.talks_with(me, self.talks[own["case_id"]]))
            # Those of the Matrix devices are for the counsellors who can read them.
            open_ = [case_id for case_id in waiting if case_id in self.arrived]
            free = sum(not own["handing_over"] for own in told["mine"]) < CAPACITY
            if open_ and free and (me.click is None or me.click.done()):
                me.click = self.begins(self.takes(me, self.dice.choice(open_[:3])))
            pos = {"after": told["pos"], "timeout": 1_000 if waiting and free else 20_000}
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    def begins(self, what: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(what)
        self.work.add(task)
        return task

    async def takes(self, me: Counsellor, case_id: str) -> None:
        """Several see it at once and click, unless it has gone from their page before."""
        await asyncio.sleep(self.dice.uniform(0.1, 1.5))
        if case_id not in me.shown:
            return
        # The finger is on its way.
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        try:
            await me.person.post(f"{DESK}/cases/{case_id}/accept")
        except Refusal as told:
            if told.status != 409:
                raise
            self.late += 1
        else:
            # Whoever has it already is given it again.
            self.taken.setdefault(case_id, set()).add(me.person.user_id)
            self.taken_at.setdefault(case_id, time.perf_counter())
        self.took.setdefault("accept", []).append(time.perf_counter() - began)

    async def listens(self, me: Counsellor) -> None:
        while True:
            told = await me.person.catches_up(20_000, filter=FILTER)
            for room_id in told.get("rooms", {}).get("invite", {}):
                me.invitation(room_id).set()
            for room_id, room in told.get("rooms", {}).get("join", {}).items():
                heard = me.heard.setdefault(room_id, set())
                heard |= {event["event_id"] for event in room.get("timeline", {}).get("events", [])}

    async def talks_with(self, me: Counsellor, talk: Talk) -> None:
        await asyncio.wait_for(me.invitation(talk.room_id).wait(), 60)
        await me.person.joins(talk.room_id)
        before = await me.person.reads_all(talk.room_id, limit=100)
        for _ in range(3):
            talk.by_staff.add(await self.says(me.person, talk.room_id))
            await asyncio.sleep(SIZE.talk_s * self.dice.uniform(0.2, 0.4))
        if not talk.handed and self.dice.random() < 0.15 and await self.hands_over(me, talk):
            return
        await talk.told_all.wait()
        read = {event["event_id"] for event in before}
        async with asyncio.timeout(60):
            while not talk.by_young <= read | me.heard.get(talk.room_id, set()):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await me.person.post(f"{DESK}/cases/{talk.case_id}/close")
        talk.closed = True

    async def hands_over(self, me: Counsellor, talk: Talk) -> bool:
        found = (await me.person.get(f"{DESK}/colleagues"))["colleagues"]
        able = [each["user_id"] for each in found if each["present"] and each["free"] and each["role"] == "counsellor"]
        able = [user_id for user_id in able if user_id in self.wired]
        if not able:
            return False
        talk.handed = True
        body = {"to": self.dice.choice(able), "reason": "end of shift"}
        try:
            await me.person.post(f"{DESK}/cases/{talk.case_id}/hand_over", body)
        except Refusal as told:
            # Others gave them cases meanwhile.
            if told.status != 409:
                raise
            return False
        self.handed += 1
        return True

    # -- whoever leads the shift -------------------------------------------------------------------------------------
    async def watches(self, lead: Person) -> None:
        while not self.over.is_set():
            asked = time.perf_counter()
            board = await self.timed("board", asyncio.ensure_future(lead.get(f"{DESK}/board")))
            waiting = {case["case_id"] for case in board["cases"] if case["state"] == "waiting"}
            self.stale += sum(at < asked for case_id, at in self.taken_at.items() if case_id in waiting)
            await asyncio.sleep(0.5)

    async def looks_at_the_clock(self) -> None:
        """How much later than it should this generator gets to act: what it measures waits that long, too."""
        while not self.over.is_set():
            due = time.perf_counter() + 0.02
            await asyncio.sleep(0.02)
            self.took.setdefault("generator_late", []).append(time.perf_counter() - due)

    # -- people at Matrix devices ------------------------------------------------------------------------------------
    async def real(self, staff: list[tuple[str, str]]) -> None:
        """One after another, each with a counsellor who reads every word, and answers."""
        async with AsyncExitStack() as stack:
            desk = [
                await stack.enter_async_context(CounsellorClient(self.house.base_url, *each, self.home / each[0][1:]))
                for each in staff
            ]
            for number in range(SIZE.real):
                ken = desk[number % len(desk)]
                began = time.monotonic()
                mio = await Young.arrives(self.house, self.home)
                stack.push_async_callback(mio.device.close)
                said = [word(f"言葉{number}-{n}") for n in range(2)]
                for text in said:
                    await mio.says(text)
                clicked = time.perf_counter()
                room = await ken.accepts(mio.case_id)
                await ken.reads_history(room)
                for text in said:
                    await ken.sees(room, text, within_s=60)
                self.took.setdefault("click_to_readable", []).append(time.perf_counter() - clicked)
                answer = word(f"返事{number}")
                await ken.says(room, answer)
                await mio.hears(answer)
                await ken.closes(mio.case_id)
                self.readable += 1
                await asyncio.sleep(max(0.0, SIZE.minutes * 60 / SIZE.real - (time.monotonic() - began)))


@pytest.fixture
def phones() -> Iterator[ProcessPoolExecutor]:
    """Where the proofs of work are done: a young person's phone is no part of the machine that is measured."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=os.nice, initargs=(19,)) as phones:
        yield phones


@pytest.fixture
async def rush(phones: ProcessPoolExecutor, tmp_path: Path) -> AsyncIterator[Rush]:
    """A house with limits and proof of work as they come; nobody records what is said to it, which would cost time."""
    with tempfile.TemporaryDirectory(prefix="mado-", dir=os.environ.get("MADOGUCHI_TEST_TMP", "/tmp")) as directory:
        env = {"MADOGUCHI_LIMITS": "on", "MADOGUCHI_TRUSTED_PROXIES": "127.0.0.1/32", "PYTHONPATH": ""}
        house = House(Path(directory) / "data", env=env)
        house.opens()
        cast = Cast(house.base_url)
        try:
            yield Rush(house, cast, tmp_path, phones)
        finally:
            await cast.leave_the_stage()
            house.closes()


async def hires(rush: Rush) -> tuple[list[Counsellor], Person, list[tuple[str, str]]]:
    """The staff: those at pages, who leads the shift, and (user id, password) of those at Matrix devices."""
    password = secrets.token_urlsafe(12)
    link = rush.house.facts["admin_link"].rpartition("link=")[2]
    body = {"token": link, "localpart": "admin", "name": "admin", "password": password}
    await rush.line().call("POST", f"{DESK}/admin/redeem", body)

    async def signs_in(user: str, password: str) -> Person:
        line = rush.line()
        return Person(line, user, password, await line.call("POST", f"{V3}/login", password_login(user, password)))

    admin = await signs_in("admin", password)
    added = []
    for number in range(SIZE.counsellors):
        staff = {"localpart": f"c{number}", "name": f"相談員{number}", "role": "counsellor", "capacity": CAPACITY}
        added.append(await admin.post(f"{DESK}/staff", staff))
    at_devices = [(each["user_id"], each["password"]) for each in added[:2]]
    people = [Counsellor(await signs_in(each["user_id"], each["password"])) for each in added[2:]]
    rush.wired = {each.person.user_id for each in people}
    return people, admin, at_devices


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_three_hundred_come_within_ten_minutes_and_nobody_is_lost(rush: Rush) -> None:
    people, lead, at_devices = await hires(rush)
    spent, began = rush.cpu_s(), time.monotonic()
    desk = [asyncio.create_task(rush.counsels(each)) for each in people]
    desk += [asyncio.create_task(rush.watches(lead)), asyncio.create_task(rush.looks_at_the_clock())]
    real = asyncio.create_task(asyncio.to_thread(asyncio.run, rush.real(at_devices)))
    count = SIZE.people - SIZE.real
    coming = [rush.comes(rush.dice.uniform(0, SIZE.minutes * 60)) for _ in range(count)]
    arrivals = asyncio.gather(*coming, real)
    # Whoever fails on the way ends it at once, not at the end of an hour.
    while not arrivals.done():
        await asyncio.wait([arrivals, *desk, *rush.work], return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in (*desk, *rush.work) if task.done()]:
            task.result()
            rush.work.discard(task)
    await arrivals
    rush.over.set()
    await asyncio.gather(*desk)
    waits = [rush.taken_at[case_id] - at for case_id, at in rush.arrived.items()]
    news = [max(0.0, at - rush.arrived[case_id]) for case_id, seen in rush.told.items()
            if case_id in rush.arrived for at in seen]  # fmt: skip
    numbers = {name: value for what, took in rush.took.items() for name, value in figures.spread(what, took).items()}
    lasted, now = time.monotonic() - began, rush.cpu_s()
    numbers |= {f"{name}_cpu_percent": round((now[name] - spent[name]) / lasted * 100, 1) for name in spent}
    figures.note(
        "rush", people=SIZE.people, counsellors=SIZE.counsellors, minutes=SIZE.minutes, real_devices=rush.readable,
        lost=count - len(rush.taken), clicked_too_late=rush.late, handed_over=rush.handed, board_stale=rush.stale,
        **numbers, **figures.spread("queue_news", news), **figures.spread("wait", waits),
    )  # fmt: skip
    assert len(rush.arrived) == count and rush.readable == SIZE.real
    assert rush.taken.keys() == rush.arrived.keys(), "somebody was never accepted"
    assert all(len(by) == 1 for by in rush.taken.values()), "two have accepted the same case"
    assert all(talk.closed for talk in rush.talks.values())
    assert rush.stale == 0
    assert rush.late > 0 or figures.QUICK
    assert b'"request failed"' not in (rush.house.data / "logs" / "serve.log").read_bytes()
    if not figures.QUICK:
        assert numbers["accept_p99_ms"] <= ACCEPT_P99_MS
