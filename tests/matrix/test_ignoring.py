"""People whom somebody does not want to hear of."""

from typing import Any

from tests.cast import V3, Person, segment

Json = dict[str, Any]


async def ignores(person: Person, *others: Person) -> None:
    path = f"{V3}/user/{segment(person.user_id)}/account_data/m.ignored_user_list"
    await person.put(path, {"ignored_users": {other.user_id: {} for other in others}})


def bodies(answer: Json, room: str) -> list[str]:
    events = answer["rooms"]["join"].get(room, {}).get("timeline", {}).get("events", [])
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


async def test_messages_of_the_ignored_are_not_seen_until_they_are_no_longer(
    mio: Person, ken: Person, sato: Person
) -> None:
    room = await mio.opens_a_room(with_=[ken, sato])
    await mio.catches_up()
    await ken.says(room, "before")
    await ignores(mio, ken)
    await ken.says(room, "from Ken")
    event = await sato.says(room, "from Sato")
    told = await mio.catches_up(timeout_ms=5000)
    assert bodies(told, room) == ["from Sato"]
    assert told["rooms"]["join"][room]["unread_notifications"]["notification_count"] == 1
    assert bodies(await mio.sync(), room) == ["from Sato"]
    page = await mio.reads(room, limit=10)
    assert [e["content"]["body"] for e in page["chunk"] if e["type"] == "m.room.message"] == ["from Sato"]
    context = await mio.get(f"{V3}/rooms/{segment(room)}/context/{segment(event)}")
    assert not [e for e in context["events_before"] if e["type"] == "m.room.message"]
    listed = (await mio.get(f"{V3}/notifications"))["notifications"]
    assert [told["event"]["sender"] for told in listed] == [sato.user_id]
    # What Ken changes of the room still holds, so Mio sees it.
    await mio.gives_power(room, users={mio.user_id: 100, ken.user_id: 100})
    await ken.sets(room, "m.room.topic", {"topic": "news"})
    told = await mio.catches_up(timeout_ms=5000)
    assert "m.room.topic" in [e["type"] for e in told["rooms"]["join"][room]["timeline"]["events"]]
    await ignores(mio)
    await ken.says(room, "again")
    assert bodies(await mio.catches_up(timeout_ms=5000), room) == ["again"]
    assert bodies(await mio.sync(), room) == ["before", "from Ken", "from Sato", "again"]


async def test_invitations_of_the_ignored_are_not_shown(mio: Person, ken: Person, sato: Person) -> None:
    await ignores(mio, ken)
    await mio.catches_up()
    unwanted = await ken.opens_a_room()
    await ken.invites(unwanted, mio)
    wanted = await sato.opens_a_room()
    await sato.invites(wanted, mio)
    assert list((await mio.catches_up(timeout_ms=5000))["rooms"]["invite"]) == [wanted]
    assert list((await mio.sync())["rooms"]["invite"]) == [wanted]
