"""Whatever happens between two syncs, through whichever process, and however small the timelines: who follows a room by
/sync, closing gaps through /messages, has every event that they may see once and in order, and the room's state."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.cast import V3, Cast, Json, Person, Refusal, segment
from tests.house import Workers

DEEDS = [
    "mio says", "mio says", "mio says", "ken says", "topic", "name", "ken leaves", "ken joins", "ken joins", "kick",
    "invite", "redact", "ken's name", "sync", "sync", "sync", "lost sync",
]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    visibility: str
    state_after: bool
    deeds: list[str]
    seed: int


PLANS = st.builds(
    Plan,
    visibility=st.sampled_from(["shared", "joined", "invited"]),
    state_after=st.booleans(),
    deeds=st.lists(st.sampled_from(DEEDS), min_size=10, max_size=28),
    seed=st.integers(0, 1 << 30),
)


@dataclass
class Follower:
    """What a client makes of the answers, whichever worker gives them."""

    room: str
    state_after: bool
    dice: random.Random
    since: str | None = None
    joined: bool = False
    timeline: list[str] = field(default_factory=list)
    state: dict[tuple[str, str], str] = field(default_factory=dict)

    async def syncs(self, hand: Person, *, lost: bool = False) -> None:
        chosen = {"room": {"timeline": {"limit": self.dice.choice([1, 2, 5, 50])}}}
        told = await hand.sync(since=self.since, filter=chosen, use_state_after=self.state_after)
        if lost:
            return
        rooms = told["rooms"]
        if self.room in rooms["join"]:
            await self.takes(hand, rooms["join"][self.room], True)
        elif self.room in rooms["leave"]:
            await self.takes(hand, rooms["leave"][self.room], False)
        elif self.room in rooms["invite"]:
            # Gone and invited anew since the last answer: only the invitation is told.
            self.joined = False
        self.since = told["next_batch"]

    async def takes(self, hand: Person, part: Json, joined: bool) -> None:
        events = part["timeline"]["events"]
        new = joined and not self.joined
        earlier: list[Json] = []
        if new or part["timeline"]["limited"]:
            more = {} if new or self.since is None else {"to": self.since}
            earlier = await hand.reads_all(self.room, from_=part["timeline"]["prev_batch"], limit=3, **more)
        if new:
            self.timeline, self.state = [], {}
        self.timeline += [event["event_id"] for event in [*reversed(earlier), *events]]
        after = part.get("state_after")
        for event in after["events"] if after is not None else [*part["state"]["events"], *events]:
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event["event_id"]
        self.joined = joined


async def perform(deed: str, mio: Person, ken: Person, room: str, said: list[str], dice: random.Random) -> None:
    if deed == "mio says":
        said.append(await mio.says(room, str(len(said))))
    elif deed == "ken says":
        await ken.says(room, "健")
    elif deed in ("topic", "name"):
        await mio.sets(room, f"m.room.{deed}", {deed: str(dice.random())})
    elif deed == "ken leaves":
        await ken.leaves(room)
    elif deed == "ken joins":
        await ken.joins(room)
    elif deed == "kick":
        await mio.kicks(room, ken)
    elif deed == "invite":
        await mio.invites(room, ken)
    elif deed == "redact" and said:
        await mio.redacts(room, dice.choice(said))
    elif deed == "ken's name":
        await ken.put(f"{V3}/profile/{segment(ken.user_id)}/displayname", {"displayname": str(dice.random())})


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(plan=PLANS)
@pytest.mark.timeout(240)
async def test_who_follows_a_room_has_all_of_it(workers: Workers, plan: Plan) -> None:
    cast = Cast(workers.base_urls[0])
    try:
        lines = [cast.line_to(url) for url in workers.base_urls]
        mio, ken = await asyncio.gather(cast.person("mio"), cast.person("ken"))
        dice = random.Random(plan.seed)
        visibility = {"history_visibility": plan.visibility}
        room = await mio.opens_a_room(
            preset="public_chat",
            initial_state=[{"type": "m.room.history_visibility", "state_key": "", "content": visibility}],
        )
        follower = Follower(room, plan.state_after, dice)
        said: list[str] = []
        for deed in plan.deeds:
            line = dice.choice(lines)
            if deed in ("sync", "lost sync"):
                await follower.syncs(ken.through(line), lost=deed == "lost sync")
                continue
            with contextlib.suppress(Refusal):  # not there, or there already
                await perform(deed, mio.through(line), ken.through(line), room, said, dice)
        # A worker knows its own doing, and so all that was done before it.
        await mio.through(lines[0]).says(room, "終わり")
        ken = ken.through(lines[0])
        await follower.syncs(ken)
        assert len(set(follower.timeline)) == len(follower.timeline), "something came twice"
        if follower.joined:
            whole = [event["event_id"] for event in await ken.reads_all(room, dir_="f", limit=100)]
            assert follower.timeline == whole
            now = await ken.get(f"{V3}/rooms/{segment(room)}/state")
            assert follower.state == {(event["type"], event["state_key"]): event["event_id"] for event in now}
    finally:
        await cast.leave_the_stage()
