"""History visibility against a model of the specification's rules, over any coming and going.

A message is for somebody if the room was world_readable when it was said, or they were in; if it was `shared` and they
came in at any time afterwards; if it was `invited` and they were invited then.
"""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.cast import V3, Cast, Json, a_cast, refused, segment
from tests.house import House
from tests.matrix.kept import kept

VISIBILITIES = ["joined", "invited", "shared", "world_readable"]
STEPS = st.sampled_from(["say", "say", "say", "invite", "come", "go", "kick", *VISIBILITIES])


class Model:
    """What the rules say that Ken may read."""

    def __init__(self) -> None:
        self.visibility = "shared"
        self.membership = "leave"
        self.said: list[tuple[str, str, str]] = []  # text, visibility and Ken's membership when it was said
        self.came_after: list[int] = []  # how many things had been said each time he came in

    def may_read(self) -> list[str]:
        return [
            text
            for n, (text, visibility, membership) in enumerate(self.said)
            if visibility == "world_readable"
            or membership == "join"
            or (visibility == "shared" and any(count > n for count in self.came_after))
            or (visibility == "invited" and membership == "invite")
            # Invited is the weaker rule: whoever was in may read as well, which the line for `join` says.
        ]


@pytest.fixture
async def cast(house: House) -> AsyncIterator[Cast]:
    async for cast in a_cast(house.base_url):
        yield cast


def bodies(events: list[Json]) -> list[str]:
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
@example(steps=["say", "invite", "say", "come", "say", "go", "say", "invite", "come", "say"])
@example(steps=["invited", "say", "invite", "say", "shared", "say", "go", "joined", "say", "invite", "come"])
@example(steps=["invite", "come", "kick", "world_readable", "say", "shared", "say"])
async def test_everybody_reads_what_the_rules_say(cast: Cast, steps: list[str]) -> None:
    mio, ken = await kept(cast, "mio"), await kept(cast, "ken")
    room, model = await mio.opens_a_room(), Model()
    for n, step in enumerate([*steps, "invite", "come"]):
        if step == "say":
            await mio.says(room, str(n))
            model.said.append((str(n), model.visibility, model.membership))
        elif step in VISIBILITIES:
            await mio.sets(room, "m.room.history_visibility", {"history_visibility": step})
            model.visibility = step
        elif step == "invite" and model.membership == "leave":
            await mio.invites(room, ken)
            model.membership = "invite"
        elif step == "come" and model.membership == "invite":
            await ken.joins(room)
            model.membership = "join"
            model.came_after.append(len(model.said))
        elif step == "go" and model.membership != "leave":
            await ken.leaves(room)
            model.membership = "leave"
        elif step == "kick" and model.membership != "leave":
            await mio.kicks(room, ken)
            model.membership = "leave"
    expected = model.may_read()
    assert bodies(await ken.reads_all(room, dir_="f", limit=5)) == expected
    assert bodies(await ken.reads_all(room, dir_="b", limit=3)) == expected[::-1]
    told = await ken.sync(filter={"room": {"rooms": [room], "timeline": {"limit": 50}}})
    timeline = told["rooms"]["join"][room]["timeline"]
    # A timeline may be cut anywhere, as long as what stands before it is found from there.
    before = await ken.reads_all(room, from_=timeline["prev_batch"], limit=4) if "prev_batch" in timeline else []
    assert bodies(before[::-1]) + bodies(timeline["events"]) == expected
    assert timeline.get("limited") or bodies(before) == []
    for event in await mio.reads_all(room, limit=100):
        if event["type"] != "m.room.message":
            continue
        reading = ken.get(f"{V3}/rooms/{segment(room)}/event/{segment(event['event_id'])}")
        if event["content"]["body"] in expected:
            await reading
        else:
            assert (await refused(reading)).status in (403, 404)
