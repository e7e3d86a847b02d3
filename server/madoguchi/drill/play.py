"""Plays a drill against a running desk, over HTTP like everybody: the bridge, the people, and two administrators.

The desk is real: its queue, links, moves, keeper and signatures. Not played are the app itself, counsellors, and keys:
nobody says anything, so there is nothing to encrypt.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

import aiohttp
import msgspec

from madoguchi.drill.people import Behaviour

DESK = "/_madoguchi/desk/v1"
V3 = "/_matrix/client/v3"
CHANNEL = "drill"
_AT_ONCE = 16
_SAMPLE_S = 0.25
_INVITED_WITHIN_S = 60.0
Json: TypeAlias = dict[str, Any]


class Failed(Exception):
    """The desk answered what it should not have."""


class Sample(msgspec.Struct, frozen=True):
    """How many stood where, so many minutes after the switch."""

    minute: float
    counts: dict[str, int]


class Left(msgspec.Struct, frozen=True):
    """Somebody who had not moved at the end."""

    case_id: str
    risk: str
    standing: str


class Result(msgspec.Struct, frozen=True):
    """What a drill found. Minutes are those of the people, not of the clock.

    moved_95: when 95 % of all had moved; None if they never had. offered_s: seconds of the clock until everybody's
    offer had been given to the app; entered_s: those from the person's word to the keeper's invitation, middle and
    highest. refused: the closing was refused because of those left.
    """

    people: int
    speed: float
    samples: list[Sample]
    moved_95: float | None
    left: list[Left]
    refused: bool
    closed_by_two: bool
    offered_s: float
    high_risk_first: bool
    entered_s: tuple[float, float]


class Play:
    """One drill.

    speed: how many minutes of the people pass in one minute of the clock; minutes: when the channel is to be closed;
    channel, kind, prefix: the channel and its kind, and how the user ids of its ghosts begin
    """

    def __init__(
        self,
        base_url: str,
        as_token: str,
        people: Sequence[Behaviour],
        speed: float,
        minutes: float,
        *,
        channel: str = CHANNEL,
        kind: str = CHANNEL,
        prefix: str = "drill_",
    ) -> None:
        self._base_url = base_url
        self._channel, self._kind, self._prefix = channel, kind, prefix
        self._as_token = as_token
        self._people = people
        self._speed = speed
        self._minutes = minutes
        self._http: aiohttp.ClientSession | None = None
        self._ghosts: dict[str, Behaviour] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: list[str] = []
        self._offered_at: float | None = None
        self._entered: list[float] = []
        self._began = 0.0

    async def run(self, first: str, second: str) -> Result:
        """first, second: access tokens of two administrators. Raises Failed, aiohttp.ClientError."""
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=64)) as http:
            self._http = http
            await self._arrive(first)
            self._began = time.monotonic()
            await self._switch(first, "draining")
            bridge = asyncio.create_task(self._bridge())
            samples = [await self._sample(first)]
            while self._minute() < self._minutes:
                await asyncio.sleep(_SAMPLE_S)
                if bridge.done() and bridge.exception() is not None:
                    break
                samples.append(await self._sample(first))
                if len(self._told) == len(self._people) and not self._tasks:
                    break
            bridge.cancel()
            for task in self._tasks:
                task.cancel()
            results = await asyncio.gather(bridge, *self._tasks, return_exceptions=True)
            for failed in results:
                if isinstance(failed, Exception):
                    raise failed
            return await self._end(first, second, samples)

    async def _end(self, first: str, second: str, samples: list[Sample]) -> Result:
        found = await self._call("GET", f"{DESK}/channels/{self._channel}/suspension", token=first)
        left = [
            Left(person["case_id"], person["risk"], person["standing"] or "none")
            for person in found["people"]
            if person["standing"] != "moved"
        ]
        refused = closed = False
        try:
            await self._switch(first, "closed")
        except Failed:
            refused = True
            await self._switch(first, "closed", sign=True)
            await self._switch(second, "closed", sign=True)
            found = await self._call("GET", f"{DESK}/channels/{self._channel}/suspension", token=first)
            closed = found["mode"] == "closed"
        total = len(self._people)
        enough = (sample.minute for sample in samples if sample.counts.get("moved", 0) >= 0.95 * total)
        entered = sorted(self._entered) or [0.0]
        high = {ghost for ghost, person in self._ghosts.items() if person.risk == "high"}
        return Result(
            people=total,
            speed=self._speed,
            samples=samples,
            moved_95=next(enough, None),
            left=left,
            refused=refused,
            closed_by_two=closed,
            offered_s=(self._offered_at or time.monotonic()) - self._began,
            high_risk_first=set(self._told[: len(high)]) == high,
            entered_s=(entered[len(entered) // 2], entered[-1]),
        )

    async def _arrive(self, admin: str) -> None:
        """Everybody opens a case by the app; some are at risk."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(person: Behaviour) -> None:
            async with places:
                body = {"type": "m.login.application_service", "username": f"{self._prefix}{person.number}"}
                made = await self._call("POST", f"{V3}/register", body | {"inhibit_login": True}, token=self._as_token)
                ghost = str(made["user_id"])
                self._ghosts[ghost] = person
                case = {"channel": self._kind, "channel_id": self._channel}
                opened = await self._as_ghost("POST", f"{DESK}/cases", ghost, case)
                if person.risk != "none":
                    path = f"{DESK}/cases/{opened['case_id']}/risk"
                    await self._call("PUT", path, {"risk": person.risk}, token=admin)

        await asyncio.gather(*(one(person) for person in self._people))

    async def _bridge(self) -> None:
        """Brings the offers as the desk's own bridges do, in the order that the desk gives them in."""
        after: int | None = None
        while True:
            query = {} if after is None else {"after": str(after), "timeout": "5000"}
            found = await self._call("GET", f"{DESK}/bridge/errands", query=query, token=self._as_token)
            after = int(found["pos"])
            for errand in found["errands"]:
                if errand["kind"] == "offer":
                    await self._offer(errand["user_id"], errand["case_id"])
            if len(self._told) == len(self._people) and self._offered_at is None:
                self._offered_at = time.monotonic()

    async def _offer(self, ghost: str, case_id: str) -> None:
        person = self._ghosts[ghost]
        told = f"{DESK}/bridge/cases/{quote(case_id, safe='')}/told"
        ticket = await self._as_ghost("POST", f"{DESK}/bridge/ticket", ghost, {})
        await self._as_ghost("POST", told, ghost, {"what": "queued"})
        await self._as_ghost("POST", told, ghost, {"what": "notified" if person.reached else "unreachable"})
        self._told.append(ghost)
        if person.opens_after is not None:
            task = asyncio.create_task(self._reacts(person, str(ticket["url"]).rpartition("#move=")[2]))
            self._tasks.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        # One that failed stays, for the end to raise what it failed by.
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    async def _reacts(self, person: Behaviour, token: str) -> None:
        assert person.opens_after is not None
        await asyncio.sleep(person.opens_after * 60 / self._speed)
        await self._call("POST", f"{DESK}/move/look", {"token": token})
        await asyncio.sleep(person.decides_after * 60 / self._speed)
        if person.declines:
            await self._call("POST", f"{DESK}/move/decline", {"token": token})
            return
        began = time.monotonic()
        moved = await self._call("POST", f"{DESK}/move", {"token": token})
        path = f"{V3}/join/{quote(moved['room_id'], safe='')}"
        while True:
            try:
                await self._call("POST", path, {}, token=str(moved["access_token"]))
                self._entered.append(time.monotonic() - began)
                return
            except Failed:
                if time.monotonic() - began > _INVITED_WITHIN_S:
                    raise
                await asyncio.sleep(0.2)

    async def _sample(self, admin: str) -> Sample:
        found = await self._call("GET", f"{DESK}/channels/{self._channel}/suspension", token=admin)
        return Sample(self._minute(), found["counts"])

    async def _switch(self, admin: str, mode: str, sign: bool = False) -> None:
        body = {"mode": mode, "reason": "drill 停止訓練", "sign": sign}
        await self._call("PUT", f"{DESK}/channels/{self._channel}/mode", body, token=admin)

    async def _as_ghost(self, method: str, path: str, ghost: str, body: Json) -> Json:
        return await self._call(method, path, body, token=self._as_token, query={"user_id": ghost})

    async def _call(
        self, method: str, path: str, body: Json | None = None, *, token: str = "", query: dict[str, str] | None = None
    ) -> Json:
        assert self._http is not None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._http.request(
            method, self._base_url + path, json=body, headers=headers, params=query
        ) as answer:
            found: Json = await answer.json()
            if answer.status >= 400:
                raise Failed(f"{method} {path.partition('?')[0]}: {answer.status} {found.get('errcode')}")
            return found

    def _minute(self) -> float:
        return (time.monotonic() - self._began) * self._speed / 60
