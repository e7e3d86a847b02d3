"""Membership in all its forms; the refusal stands beside the permission."""

from tests.cast import V3, Person, refused, segment


async def test_an_invitation_is_seen_accepted_or_declined(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(name="相談")
    await mio.invites(room, ken, reason="たすけて")
    await mio.invites(room, sato)
    invited = (await ken.catches_up())["rooms"]["invite"][room]["invite_state"]["events"]
    types = {event["type"] for event in invited}
    assert {"m.room.create", "m.room.join_rules", "m.room.member", "m.room.name"} <= types
    mine = next(e for e in invited if e["type"] == "m.room.member" and e["state_key"] == ken.user_id)
    assert mine["content"]["membership"] == "invite"
    assert mine["content"]["reason"] == "たすけて"
    await ken.joins(room)
    await sato.catches_up()
    await sato.leaves(room)
    told = await sato.catches_up()
    assert room in told["rooms"].get("leave", {})
    assert await mio.members(room) == {mio.user_id: "join", ken.user_id: "join", sato.user_id: "leave"}


async def test_who_is_not_invited_does_not_come_in(mio: Person, ken: Person, aoi: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await refused(aoi.joins(room), 403, "M_FORBIDDEN")
    await refused(aoi.invites(room, aoi), 403, "M_FORBIDDEN")
    await refused(aoi.leaves(room), 403, "M_FORBIDDEN")
    await refused(aoi.says(room, "x"), 403, "M_FORBIDDEN")
    await refused(mio.invites(room, ken), 403, "M_FORBIDDEN")  # is in already
    await refused(aoi.joins("!nowhere:example.org"))


async def test_joining_twice_changes_nothing(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.catches_up()
    await ken.joins(room)
    told = await mio.catches_up()
    assert room not in told.get("rooms", {}).get("join", {})


async def test_kick_ban_and_unban(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato])
    await refused(ken.kicks(room, sato), 403, "M_FORBIDDEN")
    await refused(ken.bans(room, mio), 403, "M_FORBIDDEN")
    await ken.catches_up()
    await mio.kicks(room, ken, reason="終わり")
    left = (await ken.catches_up())["rooms"]["leave"][room]
    events = left["timeline"]["events"] + left.get("state", {}).get("events", [])
    assert any(e["type"] == "m.room.member" and e["content"].get("reason") == "終わり" for e in events)
    await refused(ken.says(room, "まだいる"), 403, "M_FORBIDDEN")
    await refused(ken.joins(room), 403, "M_FORBIDDEN")
    await mio.bans(room, ken)
    await refused(mio.invites(room, ken), 403)
    await refused(sato.unbans(room, ken), 403, "M_FORBIDDEN")
    await mio.unbans(room, ken)
    await mio.invites(room, ken)
    await ken.joins(room)
    assert (await mio.members(room))[ken.user_id] == "join"


async def test_leaving_forgetting_and_coming_back(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await refused(ken.forgets(room), 400)
    await ken.leaves(room)
    assert (await ken.state(room, "m.room.create"))["room_version"]  # may still read what was
    await ken.forgets(room)
    await refused(ken.reads(room), 403, "M_FORBIDDEN")
    assert room not in (await ken.sync(filter={"room": {"include_leave": True}})).get("rooms", {}).get("leave", {})
    await mio.invites(room, ken)
    await ken.joins(room)
    await mio.says(room, "おかえり")
    await ken.sees(room, "おかえり")


async def test_members_are_filtered_and_told_as_of_a_position(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    before = (await mio.catches_up())["next_batch"]
    await mio.invites(room, sato)
    await ken.leaves(room)
    assert await mio.members(room, membership="join") == {mio.user_id: "join"}
    assert await mio.members(room, not_membership="join") == {ken.user_id: "leave", sato.user_id: "invite"}
    assert await mio.members(room, at=before) == {mio.user_id: "join", ken.user_id: "join"}


async def test_knocking(mio: Person, ken: Person) -> None:
    rule = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room = await mio.opens_a_room(initial_state=[rule])
    await refused(ken.joins(room), 403, "M_FORBIDDEN")
    await ken.post(f"{V3}/knock/{segment(room)}", {"reason": "入れてください"})
    assert room in (await ken.sync())["rooms"]["knock"]
    assert (await mio.members(room))[ken.user_id] == "knock"
    await mio.invites(room, ken)
    await ken.joins(room)
    closed = await mio.opens_a_room()
    await refused(ken.post(f"{V3}/knock/{segment(closed)}", {}), 403, "M_FORBIDDEN")


async def test_a_restricted_room_opens_to_the_members_of_another(mio: Person, ken: Person, aoi: Person) -> None:
    home = await mio.opens_a_room(with_=[ken])
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": home}]}
    room = await mio.opens_a_room(initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": rule}])
    await ken.joins(room)
    await refused(aoi.joins(room), 403, "M_FORBIDDEN")
    forged = {"membership": "join", "join_authorised_via_users_server": mio.user_id}
    await refused(aoi.sets(room, "m.room.member", forged, aoi.user_id), 403, "M_FORBIDDEN")
    await ken.leaves(home)
    await ken.leaves(room)
    await refused(ken.joins(room), 403, "M_FORBIDDEN")


async def test_membership_by_state_event_follows_the_same_rules(mio: Person, ken: Person, aoi: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.sets(room, "m.room.member", {"membership": "invite"}, aoi.user_id)
    await refused(mio.sets(room, "m.room.member", {"membership": "join"}, aoi.user_id), 403, "M_FORBIDDEN")
    await refused(mio.sets(room, "m.room.member", {"membership": "no such"}, aoi.user_id))
    await refused(ken.sets(room, "m.room.member", {"membership": "leave"}, mio.user_id), 403, "M_FORBIDDEN")
    await aoi.joins(room)
    await aoi.sets(room, "m.room.member", {"membership": "join", "displayname": "あおい"}, aoi.user_id)
    assert (await mio.state(room, "m.room.member", aoi.user_id))["displayname"] == "あおい"
