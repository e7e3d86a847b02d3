"""Creating rooms: presets, initial state, versions, aliases; what the room then says of itself."""

import pytest

from tests.cast import MEGOLM, V1, V3, Cast, Json, Person, refused, segment


async def state_of(person: Person, room: str) -> dict[tuple[str, str], Json]:
    events = await person.get(f"{V3}/rooms/{segment(room)}/state")
    return {(event["type"], event["state_key"]): event for event in events}


async def test_a_private_room_is_for_the_invited_alone(mio: Person, ken: Person, aoi: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], name="相談", topic="ねむれない夜")
    state = await state_of(mio, room)
    assert state["m.room.create", ""]["content"]["room_version"] == "11"
    assert state["m.room.create", ""]["content"]["creator"] == mio.user_id
    assert state["m.room.create", ""]["sender"] == mio.user_id
    assert state["m.room.join_rules", ""]["content"]["join_rule"] == "invite"
    assert state["m.room.history_visibility", ""]["content"]["history_visibility"] == "shared"
    assert state["m.room.guest_access", ""]["content"]["guest_access"] == "can_join"
    assert state["m.room.name", ""]["content"]["name"] == "相談"
    assert state["m.room.topic", ""]["content"]["topic"] == "ねむれない夜"
    assert state["m.room.power_levels", ""]["content"]["users"][mio.user_id] == 100
    assert await mio.members(room) == {mio.user_id: "join", ken.user_id: "join"}
    await refused(aoi.joins(room), 403, "M_FORBIDDEN")


async def test_a_public_room_is_for_everybody(mio: Person, aoi: Person) -> None:
    room = await mio.opens_a_room(preset="public_chat")
    state = await state_of(mio, room)
    assert state["m.room.join_rules", ""]["content"]["join_rule"] == "public"
    assert state.get(("m.room.guest_access", ""), {}).get("content", {}).get("guest_access") in (None, "forbidden")
    await aoi.joins(room)
    assert (await mio.members(room))[aoi.user_id] == "join"


async def test_in_a_trusted_room_the_invited_have_the_same_power(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], preset="trusted_private_chat", is_direct=True)
    state = await state_of(mio, room)
    if state["m.room.create", ""]["content"]["room_version"] != "12":
        assert state["m.room.power_levels", ""]["content"]["users"][ken.user_id] == 100
    assert state["m.room.member", ken.user_id]["content"]["membership"] == "join"


async def test_initial_state_and_the_creators_wishes_are_kept(mio: Person) -> None:
    room = await mio.opens_a_room(
        encrypted=True,
        creation_content={"m.federate": False, "type": "jp.example.case"},
        power_level_content_override={"events_default": 10},
        initial_state=[{"type": "jp.example.note", "state_key": "a", "content": {"x": 1}}],
    )
    state = await state_of(mio, room)
    assert state["m.room.encryption", ""]["content"] == MEGOLM
    assert state["jp.example.note", "a"]["content"] == {"x": 1}
    assert state["m.room.create", ""]["content"]["type"] == "jp.example.case"
    assert state["m.room.create", ""]["content"]["m.federate"] is False
    assert state["m.room.power_levels", ""]["content"]["events_default"] == 10


@pytest.mark.parametrize("version", ["10", "11", "12"])
async def test_every_stable_room_version_works(mio: Person, ken: Person, version: str) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version=version)
    create = (await state_of(mio, room))["m.room.create", ""]
    assert create["content"]["room_version"] == version
    if version == "12":
        assert room == "!" + create["event_id"][1:]
    else:
        assert room.endswith(":" + mio.user_id.split(":", 1)[1])
    await mio.says(room, "こんばんは")
    await ken.sees(room, "こんばんは")
    event = await mio.says(room, "まちがえた")
    await mio.redacts(room, event)
    seen = await ken.get(f"{V3}/rooms/{segment(room)}/event/{segment(event)}")
    assert seen["content"] == {}


async def test_an_unknown_room_version_is_refused(mio: Person) -> None:
    await refused(mio.opens_a_room(room_version="org.example.none"), 400, "M_UNSUPPORTED_ROOM_VERSION")


async def test_an_alias_leads_to_its_room(mio: Person, ken: Person, cast: Cast) -> None:
    name = f"soudan-{mio.localpart[-8:]}"
    room = await mio.opens_a_room(preset="public_chat", room_alias_name=name)
    alias = f"#{name}:{mio.user_id.split(':', 1)[1]}"
    assert (await ken.get(f"{V3}/directory/room/{segment(alias)}"))["room_id"] == room
    assert (await mio.state(room, "m.room.canonical_alias"))["alias"] == alias
    await ken.joins(alias)
    assert (await ken.members(room))[ken.user_id] == "join"
    await refused(mio.opens_a_room(room_alias_name=name), 400, "M_ROOM_IN_USE")
    await refused(ken.delete(f"{V3}/directory/room/{segment(alias)}"), 403, "M_FORBIDDEN")
    await mio.delete(f"{V3}/directory/room/{segment(alias)}")
    await refused(ken.get(f"{V3}/directory/room/{segment(alias)}"), 404, "M_NOT_FOUND")


async def test_state_is_read_by_type_and_key_and_only_by_members(mio: Person, ken: Person, aoi: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.sets(room, "m.room.topic", {"topic": "一"})
    assert (await ken.state(room, "m.room.topic"))["topic"] == "一"
    await refused(ken.state(room, "m.room.avatar"), 404, "M_NOT_FOUND")
    await refused(aoi.state(room, "m.room.topic"), 403, "M_FORBIDDEN")
    await refused(aoi.state("!none:example.org", "m.room.topic"), 403, "M_FORBIDDEN")
    event = await ken.get(f"{V3}/rooms/{segment(room)}/state/m.room.topic/", format="event")
    assert event["sender"] == mio.user_id


async def test_joined_members_and_joined_rooms(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    other = await mio.opens_a_room()
    joined = (await mio.get(f"{V3}/rooms/{segment(room)}/joined_members"))["joined"]
    assert set(joined) == {mio.user_id, ken.user_id}
    assert set((await mio.get(f"{V3}/joined_rooms"))["joined_rooms"]) == {room, other}
    assert (await ken.get(f"{V3}/joined_rooms"))["joined_rooms"] == [room]


async def test_nothing_about_rooms_works_without_a_token(cast: Cast, mio: Person) -> None:
    room = await mio.opens_a_room()
    line = cast.line
    await refused(line.call("GET", f"{V3}/rooms/{segment(room)}/state"), 401, "M_MISSING_TOKEN")
    await refused(line.call("GET", f"{V3}/sync", token="nonsense"), 401, "M_UNKNOWN_TOKEN")
    await refused(line.call("POST", f"{V3}/createRoom", {}), 401, "M_MISSING_TOKEN")
    await refused(line.call("GET", f"{V1}/rooms/{segment(room)}/threads"), 401, "M_MISSING_TOKEN")
