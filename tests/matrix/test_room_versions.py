"""Rooms of every version that is made here: their ids, who stands above whom, how redactions look."""

import pytest

from tests.cast import V3, Person, refused, segment

VERSIONS = ["10", "11", "12"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_conversation_in_each_version(mio: Person, ken: Person, version: str) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version=version)
    create = await mio.state(room, "m.room.create")
    assert create["room_version"] == version
    assert create.get("creator") == (None if version == "12" else mio.user_id)
    await ken.catches_up()
    event = await mio.says(room, "取り消す")
    await ken.sees(room, "取り消す")
    await mio.redacts(room, event, reason="まちがい")
    redaction = await ken.waits_for(room, lambda e: e["type"] == "m.room.redaction")
    assert redaction["redacts"] == event, "older clients look here in every version"
    assert redaction["content"].get("redacts") == (None if version == "10" else event)
    await refused(ken.sets(room, "m.room.name", {"name": "x"}), 403, "M_FORBIDDEN")
    await mio.gives_power(room, users={} if version == "12" else {mio.user_id: 100, ken.user_id: 100})
    assert (await mio.state(room, "m.room.power_levels"))["users_default"] == 0


async def test_the_default_is_version_11(mio: Person) -> None:
    assert (await mio.state(await mio.opens_a_room(), "m.room.create"))["room_version"] == "11"
    for version in ("1", "9", "13", "org.example"):
        await refused(mio.opens_a_room(room_version=version), 400, "M_UNSUPPORTED_ROOM_VERSION")


async def test_a_room_of_version_12_is_named_by_its_create_event(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version="12")
    assert ":" not in room
    [create] = [e for e in await mio.reads_all(room) if e["type"] == "m.room.create"]
    assert room == "!" + create["event_id"][1:]
    assert room in (await ken.sync())["rooms"]["join"]
    other = await mio.opens_a_room(room_version="12")
    assert other != room


async def test_creators_of_version_12_stand_above_all(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(
        with_=[ken, sato], room_version="12", preset="trusted_private_chat",
        creation_content={"additional_creators": [ken.user_id]},
    )  # fmt: skip
    creators = (await mio.state(room, "m.room.create"))["additional_creators"]
    assert set(creators) == {ken.user_id, sato.user_id}, "who is invited in trust is a creator too"
    await refused(mio.gives_power(room, users={mio.user_id: 100}))
    await refused(mio.gives_power(room, users={ken.user_id: 100}))
    await refused(mio.kicks(room, ken), 403, "M_FORBIDDEN")
    await ken.sets(room, "m.room.tombstone", {"body": "", "replacement_room": "!x"})
    await refused(mio.opens_a_room(room_version="12", creation_content={"additional_creators": ["nobody"]}), 400)
    await refused(mio.opens_a_room(room_version="12", power_level_content_override={"users": {mio.user_id: 100}}), 400)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_emptied_power_level_event_opens_nothing(mio: Person, ken: Person, version: str) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version=version)
    await mio.sets(room, "m.room.power_levels", {})
    await refused(ken.sets(room, "m.room.name", {"name": "x"}), 403, "M_FORBIDDEN")
    await refused(ken.sets(room, "m.room.power_levels", {"users": {ken.user_id: 100}}), 403, "M_FORBIDDEN")
    await ken.says(room, "まだ話せる")


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_redaction_leaves_of_membership_keeps_people_in(mio: Person, ken: Person, version: str) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version=version)
    await ken.put(f"{V3}/profile/{segment(ken.user_id)}/displayname", {"displayname": "けん"})
    [member] = [
        e for e in await mio.get(f"{V3}/rooms/{segment(room)}/state")
        if e["type"] == "m.room.member" and e["state_key"] == ken.user_id
    ]  # fmt: skip
    assert member["content"]["displayname"] == "けん"
    await mio.redacts(room, member["event_id"])
    assert await mio.state(room, "m.room.member", ken.user_id) == {"membership": "join"}
    await ken.says(room, "まだいる")
    assert "けん" not in str(await mio.reads_all(room))
