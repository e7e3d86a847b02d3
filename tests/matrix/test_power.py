"""Authorisation rules and power levels (spec: rooms, authorization rules of versions 10 to 12)."""

import pytest

from tests.cast import Person, refused

VERSIONS = pytest.mark.parametrize("version", ["10", "11", "12"])


@VERSIONS
async def test_what_a_member_may_not_do_until_given_the_power(mio: Person, ken: Person, version: str) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version=version)
    await refused(ken.sets(room, "m.room.name", {"name": "私の部屋"}), 403, "M_FORBIDDEN")
    await refused(ken.gives_power(room, users={ken.user_id: 100}), 403, "M_FORBIDDEN")
    users = (await mio.state(room, "m.room.power_levels")).get("users", {})
    await mio.gives_power(room, users=users | {ken.user_id: 50})
    await ken.sets(room, "m.room.name", {"name": "相談室"})
    await refused(ken.gives_power(room, users=users | {ken.user_id: 100}), 403, "M_FORBIDDEN")  # above oneself
    await refused(ken.sets(room, "m.room.server_acl", {"allow": ["*"]}), 403, "M_FORBIDDEN")


@VERSIONS
async def test_power_levels_must_be_integers(mio: Person, ken: Person, version: str) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version=version)
    users = (await mio.state(room, "m.room.power_levels")).get("users", {})
    for wrong in ("50", 50.5, None, [50]):
        await refused(mio.gives_power(room, users=users | {ken.user_id: wrong}))
        await refused(mio.gives_power(room, events_default=wrong))
    await refused(mio.gives_power(room, users=users | {"not a user id": 50}))


async def test_nobody_takes_power_from_an_equal(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version="11")
    equal = {mio.user_id: 100, ken.user_id: 100}
    await mio.gives_power(room, users=equal)
    await refused(mio.gives_power(room, users=equal | {ken.user_id: 0}), 403, "M_FORBIDDEN")
    await refused(mio.kicks(room, ken), 403, "M_FORBIDDEN")
    await mio.gives_power(room, users=equal | {mio.user_id: 0})  # oneself one may
    await refused(mio.sets(room, "m.room.name", {"name": "x"}), 403, "M_FORBIDDEN")


async def test_in_version_12_the_creator_stands_above_all_levels(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], room_version="12")
    levels = await mio.state(room, "m.room.power_levels")
    assert mio.user_id not in levels.get("users", {})
    await refused(mio.gives_power(room, users={mio.user_id: 100}))  # the creator has no entry
    await mio.gives_power(room, users={ken.user_id: 100})
    await refused(ken.kicks(room, mio), 403, "M_FORBIDDEN")
    await mio.kicks(room, ken)


async def test_messages_need_the_power_the_room_asks_for(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.gives_power(room, events_default=50, events={"m.reaction": 0})
    await refused(ken.says(room, "静かに"), 403, "M_FORBIDDEN")
    said = await mio.says(room, "聞いて")
    await ken.sends(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": "👍"}})
    await mio.gives_power(room, events_default=0)
    await ken.says(room, "話せる")


async def test_a_state_key_that_is_a_user_id_belongs_to_that_user(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.gives_power(room, state_default=0)
    await ken.sets(room, "jp.example.status", {"away": True}, ken.user_id)
    await refused(ken.sets(room, "jp.example.status", {"away": True}, mio.user_id), 403, "M_FORBIDDEN")


async def test_a_create_event_comes_once(mio: Person) -> None:
    room = await mio.opens_a_room()
    await refused(mio.sets(room, "m.room.create", {"room_version": "11"}))


async def test_inviting_needs_its_own_power(mio: Person, ken: Person, aoi: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.gives_power(room, invite=50)
    await refused(ken.invites(room, aoi), 403, "M_FORBIDDEN")
    await mio.gives_power(room, invite=0)
    await ken.invites(room, aoi)
