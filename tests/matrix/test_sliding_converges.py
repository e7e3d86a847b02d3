"""Whatever a client of sliding sync asks for, in whatever order, and whatever happens meanwhile: in the end it has the
same rooms, state, messages and counts as a fresh /v3/sync tells."""

import asyncio
import secrets
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cast import V3, Cast, Json, Person, Refusal, segment
from tests.house import Workers
from tests.matrix.window import Window, everything

LIMIT = 50
ALL = [["*", "*"]]
ROOMS = 4
place = st.integers(0, ROOMS - 1)
ACTIONS = st.one_of(
    st.tuples(st.just("says"), place, st.integers(1, 3)),
    st.tuples(st.just("encrypted"), place),
    st.tuples(st.just("redacts"), place),
    st.tuples(st.just("topic"), place),
    st.tuples(st.just("renames"), place, st.booleans()),
    st.tuples(st.just("profile"), st.just(0)),
    st.tuples(st.just("invites"), place),
    st.tuples(st.just("joins"), place),
    st.tuples(st.just("leaves"), place),
    st.tuples(st.just("kicks"), place),
    st.tuples(st.just("reads"), place),
    st.tuples(st.just("answers"), place),
    st.tuples(st.just("types"), place, st.booleans()),
    st.tuples(st.just("tags"), place),
    st.tuples(st.just("direct"), place),
    st.tuples(st.just("tombstone"), place),
)
# Mostly the same is asked for: who asks for more is sent it anew, which would hide what had been missed.
REQUESTS = st.fixed_dictionaries(
    {
        "last": st.integers(0, ROOMS - 1),
        "limit": st.sampled_from([LIMIT, LIMIT, LIMIT, 2, 0]),
        "state": st.sampled_from([ALL, ALL, ALL, [["m.room.name", ""]], [["m.room.member", "$LAZY"]], []]),
        "subscribes": st.lists(place, max_size=1),
        "lost": st.sampled_from([False, False, True]),
        "worker": st.integers(0, 1),
    }
)
ROUNDS = st.lists(st.tuples(st.lists(ACTIONS, min_size=1, max_size=3), REQUESTS), min_size=3, max_size=10)


async def act(mio: Person, ken: Person, rooms: list[str], action: tuple[Any, ...]) -> None:
    """Something that Mio (in whose rooms all of it happens) or Ken (who watches) does, if they may."""
    what, room = action[0], rooms[action[1]]
    try:
        match what:
            case "says":
                for _ in range(action[2]):
                    await mio.says(room, secrets.token_hex(2))
            case "encrypted":
                await mio.sends(room, "m.room.encrypted", {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"})
            case "redacts":
                await mio.redacts(room, await mio.says(room, "oops"))
            case "topic":
                await mio.sets(room, "m.room.topic", {"topic": secrets.token_hex(2)})
            case "renames":
                await mio.sets(room, "m.room.name", {"name": secrets.token_hex(2)} if action[2] else {})
            case "profile":
                path = f"{V3}/profile/{segment(mio.user_id)}/displayname"
                await mio.put(path, {"displayname": secrets.token_hex(2)})
            case "invites":
                await mio.invites(room, ken)
            case "joins":
                await ken.joins(room)
            case "leaves":
                await ken.leaves(room)
            case "kicks":
                await mio.kicks(room, ken)
            case "reads":
                said = await mio.says(room, "read this")
                await ken.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(said)}")
            case "answers":
                await ken.says(room, "answer")
            case "types":
                path = f"{V3}/rooms/{segment(room)}/typing/{segment(mio.user_id)}"
                await mio.put(path, {"typing": action[2], "timeout": 60_000})
            case "tags":
                path = f"{V3}/user/{segment(ken.user_id)}/rooms/{segment(room)}/tags/u.{secrets.token_hex(1)}"
                await ken.put(path, {})
            case "direct":
                await ken.put(f"{V3}/user/{segment(ken.user_id)}/account_data/m.direct", {mio.user_id: [room]})
            case "tombstone":
                await mio.sets(room, "m.room.tombstone", {"body": "x", "replacement_room": "!x:madoguchi.test"})
    except Refusal as no:
        if no.status not in (400, 403):
            raise


async def request(window: Window, rooms: list[str], asked: Json, elsewhere: list[Person]) -> None:
    window.lists = {
        "all": everything(0, asked["last"], asked["limit"]) | {"required_state": asked["state"]},
    }
    config = {"timeline_limit": LIMIT, "required_state": ALL}
    window.subscriptions = {rooms[n]: config for n in asked["subscribes"]}
    person = elsewhere[asked["worker"]]
    if asked["lost"]:
        await window.asks(person=person)
    else:
        await window.looks(person=person)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=ROUNDS)
async def test_the_picture_is_the_same_in_the_end(workers: Workers, rounds: list[Any]) -> None:
    cast = Cast(workers.base_urls[0])
    try:
        mio, ken = await asyncio.gather(cast.person("mio"), cast.person("ken"))
        elsewhere = [ken, ken.through(cast.line_to(workers.base_urls[1]))]
        rooms = [await mio.opens_a_room(with_=[ken], initial_state=[]) for _ in range(ROOMS)]
        window = Window(ken)
        for actions, asked in rounds:
            for action in actions:
                await act(mio, ken, rooms, action)
            await request(window, rooms, asked, elsewhere)
        window.lists = {"all": everything(0, 99, LIMIT)}
        window.subscriptions = {}
        # The other worker may hear of the last things a moment later.
        still = 0
        for _ in range(50):
            await window.looks(person=elsewhere[len(rounds) % 2])
            still = still + 1 if window.told["rooms"] == {} else 0
            if still == 3:
                break
            await asyncio.sleep(0.1)
        assert still == 3
        await window.looks()
        assert window.told["rooms"] == {}
        await agree(window, ken)
    finally:
        await cast.leave_the_stage()


async def agree(window: Window, ken: Person) -> None:
    """Holds the client's picture against a first /v3/sync."""
    filter_ = {"room": {"timeline": {"limit": LIMIT}}}
    told = await ken.sync(filter=filter_, full_state=True)
    joined = {
        room_id
        for room_id, room in window.rooms.items()
        if room.invite is None
        and room.state.get(("m.room.member", ken.user_id), {}).get("content", {}).get("membership") == "join"
    }
    assert joined == set(told["rooms"]["join"])
    assert {room_id for room_id, room in window.rooms.items() if room.invite is not None} >= set(
        told["rooms"]["invite"]
    )
    direct = next((e["content"] for e in told["account_data"]["events"] if e["type"] == "m.direct"), {})
    assert window.data.get("m.direct", {}) == direct
    for room_id in joined:
        room, whole = window.rooms[room_id], told["rooms"]["join"][room_id]
        events = whole["timeline"]["events"]
        state = {(e["type"], e["state_key"]): e for e in whole["state"]["events"]}
        state |= {(e["type"], e["state_key"]): e for e in events if "state_key" in e}
        assert {key: e["event_id"] for key, e in room.state.items()} == {k: e["event_id"] for k, e in state.items()}
        mine = [event["event_id"] for event in room.timeline]
        assert len(set(mine)) == len(mine), "an event was told twice"
        theirs = [event["event_id"] for event in events]
        size = min(len(mine), len(theirs))
        assert mine[-size:] == theirs[-size:]
        assert size >= min(len(theirs), LIMIT)
        count = whole["unread_notifications"]
        assert room.counts == (count["notification_count"], count["highlight_count"])
        assert room.name == state.get(("m.room.name", ""), {}).get("content", {}).get("name")
        if room.name is None:
            assert room.heroes == whole["summary"]["m.heroes"]
        assert room.is_dm == (room_id in {each for found in direct.values() for each in found})
        data = {event["type"]: event["content"] for event in whole["account_data"]["events"]}
        assert room.data == data
        receipts: dict[tuple[str, str], str] = {}
        typing: list[str] = []
        for event in whole["ephemeral"]["events"]:
            if event["type"] == "m.typing":
                typing = event["content"]["user_ids"]
            else:
                for event_id, kinds in event["content"].items():
                    receipts |= {(kind, user): event_id for kind, users in kinds.items() for user in users}
        assert room.receipts == receipts
        assert room.typing == typing
