"""A room moves to another version, and rooms that name other rooms."""

from typing import Any

import pytest

from tests.cast import V1, V3, Json, Person, refused, segment


async def upgraded(who: Person, room: str, version: str, **more: Any) -> str:
    answer: Json = await who.post(f"{V3}/rooms/{segment(room)}/upgrade", {"new_version": version} | more)
    return str(answer["replacement_room"])


@pytest.mark.parametrize(("old", "new"), [("10", "11"), ("11", "12"), ("12", "11"), ("12", "12")])
async def test_the_new_room_has_the_old_ones_furniture(
    mio: Person, ken: Person, sato: Person, old: str, new: str
) -> None:
    room = await mio.opens_a_room(
        with_=[ken], encrypted=True, room_version=old, name="ひろば", topic="よる",
        visibility="public", preset="public_chat",
        room_alias_name=f"hiroba-{mio.localpart}",
    )  # fmt: skip
    await mio.bans(room, sato)
    await mio.gives_power(room, users_default=10)
    there = await upgraded(mio, room, new)
    tombstone = await ken.state(room, "m.room.tombstone")
    assert tombstone["replacement_room"] == there
    # The old room is closed: Ken, who is no moderator, can't speak there any more.
    await refused(ken.says(room, "まだ？"), 403, "M_FORBIDDEN")
    create = await mio.state(there, "m.room.create")
    assert create["room_version"] == new
    assert create["predecessor"]["room_id"] == room
    assert (await mio.state(there, "m.room.name")) == {"name": "ひろば"}
    assert (await mio.state(there, "m.room.topic"))["topic"] == "よる"
    assert (await mio.state(there, "m.room.encryption"))["algorithm"] == "m.megolm.v1.aes-sha2"
    assert (await mio.state(there, "m.room.join_rules")) == {"join_rule": "public"}
    assert (await mio.state(there, "m.room.power_levels"))["users_default"] == 10
    assert await mio.members(there) == {mio.user_id: "join", sato.user_id: "ban"}
    alias = f"#hiroba-{mio.localpart}:madoguchi.test"
    assert (await ken.get(f"{V3}/directory/room/{segment(alias)}"))["room_id"] == there
    assert (await mio.state(there, "m.room.canonical_alias")) == {"alias": alias}
    shown = {each["room_id"] for each in (await ken.get(f"{V3}/publicRooms", limit=500))["chunk"]}
    assert there in shown
    assert room not in shown
    # Mio still rules; who is banned stays so; everybody else follows the sign.
    await mio.sets(there, "m.room.name", {"name": "あたらしい"})
    await refused(sato.joins(there), 403, "M_FORBIDDEN")
    await ken.joins(there)
    await ken.says(there, "ついた")


async def test_what_somebody_had_set_for_the_old_room_goes_with_them(mio: Person, ken: Person, aoi: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, aoi], preset="public_chat")
    tags = f"{V3}/user/{segment(ken.user_id)}/rooms/{{}}/tags"
    await ken.put(tags.format(segment(room)) + "/m.favourite", {"order": 0.25})
    rules = f"{V3}/pushrules/global"
    about = {"conditions": [{"kind": "event_match", "key": "room_id", "pattern": room}], "actions": []}
    await ken.put(f"{rules}/override/{segment(room)}", about)
    await aoi.put(f"{rules}/room/{segment(room)}", {"actions": ["notify"]})
    await aoi.put(f"{rules}/room/{segment(room)}/enabled", {"enabled": False})
    there = await upgraded(mio, room, "11")
    await ken.catches_up()
    for person in (ken, aoi):
        await person.joins(there)
    assert (await ken.get(tags.format(segment(there))))["tags"] == {"m.favourite": {"order": 0.25}}
    muted = await ken.get(f"{rules}/override/{segment(there)}")
    assert muted["actions"] == [] and muted["conditions"][0]["pattern"] == there
    own = await aoi.get(f"{rules}/room/{segment(there)}")
    assert own["actions"] == ["notify"] and own["enabled"] is False
    # Clients are told; the old room keeps what it had.
    told = await ken.catches_up()
    assert "m.push_rules" in {event["type"] for event in told["account_data"]["events"]}
    data = told["rooms"]["join"][there]["account_data"]["events"]
    assert [event["type"] for event in data] == ["m.tag"]
    assert (await ken.get(tags.format(segment(room))))["tags"] == {"m.favourite": {"order": 0.25}}
    # Who leaves and comes again keeps what they have set since; a stranger gets nothing.
    await ken.delete(tags.format(segment(there)) + "/m.favourite")
    await ken.put(tags.format(segment(there)) + "/u.mine", {})
    await ken.leaves(there)
    await ken.joins(there)
    assert (await ken.get(tags.format(segment(there))))["tags"] == {"u.mine": {}}


async def test_only_those_with_the_power_and_known_versions(mio: Person, ken: Person, aoi: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await refused(upgraded(ken, room, "11"), 403, "M_FORBIDDEN")
    await refused(upgraded(aoi, room, "11"), 403, "M_FORBIDDEN")
    await refused(upgraded(mio, room, "99"), 400, "M_UNSUPPORTED_ROOM_VERSION")
    await refused(upgraded(mio, room, "11", additional_creators=[ken.user_id]), 400, "M_INVALID_PARAM")
    await refused(upgraded(mio, room, "12", additional_creators=["ken"]), 400, "M_INVALID_PARAM")
    await refused(mio.post(f"{V3}/rooms/{segment(room)}/upgrade", {}), 400, "M_MISSING_PARAM")
    there = await upgraded(mio, room, "12", additional_creators=[ken.user_id])
    assert (await mio.state(there, "m.room.create"))["additional_creators"] == [ken.user_id]
    assert (await mio.state(there, "m.room.power_levels"))["users"] == {}


async def space(who: Person, name: str, **more: Any) -> str:
    return await who.opens_a_room(name=name, creation_content={"type": "m.space"}, **more)


async def names(who: Person, space: str, **query: Any) -> list[str]:
    rooms = (await who.get(f"{V1}/rooms/{segment(space)}/hierarchy", **query))["rooms"]
    return [room["name"] for room in rooms]


async def test_a_space_shows_its_rooms_in_order_and_only_what_one_may_see(
    mio: Person, ken: Person, aoi: Person
) -> None:
    top, inner = await space(mio, "top"), await space(mio, "inner")
    rooms = {name: await mio.opens_a_room(name=name) for name in ("a", "b", "c", "deep")}
    hidden = await ken.opens_a_room(name="hidden")
    via = {"via": ["madoguchi.test"]}
    await mio.sets(top, "m.space.child", via | {"order": "b"}, rooms["b"])
    await mio.sets(top, "m.space.child", via, inner)
    await mio.sets(top, "m.space.child", via | {"order": "a", "suggested": True}, rooms["a"])
    await mio.sets(top, "m.space.child", via, hidden)
    await mio.sets(top, "m.space.child", {}, rooms["c"])  # taken out again
    await mio.sets(inner, "m.space.child", via, rooms["deep"])
    await mio.sets(inner, "m.space.child", via, top)  # a circle
    assert await names(mio, top) == ["top", "a", "b", "inner", "deep"]
    assert await names(mio, top, max_depth=1) == ["top", "a", "b", "inner"]
    assert await names(mio, top, max_depth=0) == ["top"]
    assert await names(mio, top, suggested_only=True) == ["top", "a"]
    whole = (await mio.get(f"{V1}/rooms/{segment(top)}/hierarchy"))["rooms"]
    assert [child["state_key"] for child in whole[0]["children_state"]] == [rooms["a"], rooms["b"], inner, hidden]
    assert whole[0]["room_type"] == "m.space"
    # Page after page, the same.
    seen, query = [], {"limit": 2}
    while True:
        page = await mio.get(f"{V1}/rooms/{segment(top)}/hierarchy", **query)
        assert len(page["rooms"]) <= 2
        seen += [room["name"] for room in page["rooms"]]
        if "next_batch" not in page:
            break
        query["from_"] = page["next_batch"]
    assert seen == ["top", "a", "b", "inner", "deep"]
    for wrong in ({"from_": "x"}, {"from_": query["from_"], "max_depth": 1}, {"limit": 0}, {"max_depth": -1}):
        await refused(mio.get(f"{V1}/rooms/{segment(top)}/hierarchy", **wrong), 400, "M_INVALID_PARAM")
    # A stranger learns nothing, not even that it is there.
    await refused(names(aoi, top), 403, "M_FORBIDDEN")
    await refused(names(aoi, "!none:madoguchi.test"), 403, "M_FORBIDDEN")
    # Whom the join rule would let in may look.
    await mio.invites(top, aoi)
    assert await names(aoi, top) == ["top"]
    await aoi.joins(top)
    allow = [{"type": "m.room_membership", "room_id": top}]
    await mio.sets(rooms["a"], "m.room.join_rules", {"join_rule": "restricted", "allow": allow})
    assert await names(aoi, top) == ["top", "a"]
    summary = await aoi.get(f"{V1}/room_summary/{segment(rooms['a'])}")
    assert summary["name"] == "a"
    await refused(aoi.get(f"{V1}/room_summary/{segment(rooms['b'])}"), 404, "M_NOT_FOUND")
