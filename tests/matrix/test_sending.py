"""Sending: transaction ids, sizes, shapes, redaction, relations, encrypted rooms."""

import asyncio

from tests.cast import MEGOLM, V1, V3, Cast, Json, Line, Person, refused, segment

CIPHERTEXT = {
    "algorithm": "m.megolm.v1.aes-sha2",
    "ciphertext": "AwgAEnACgAkLmt6qF84IK++J7UDH2Za1YVchHyprqTqsg",
    "device_id": "DEVICE",
    "sender_key": "IlRMeOPX2e0MurIyfWEucYBRVOEEUMrOHqn/8mLqMjA",
    "session_id": "X3lUlvLELLYxeTx4yOVu6UDpasGEVO0Jbu+QFnm0cKQ",
}


async def test_a_retry_with_the_same_transaction_id_is_the_same_event(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.catches_up()
    first = await mio.says(room, "一度だけ", txn="t1")
    again = await asyncio.gather(*(mio.says(room, "一度だけ", txn="t1") for _ in range(5)))
    assert set(again) == {first}
    assert await ken.says(room, "一度だけ", txn="t1") != first  # a transaction id belongs to a device
    other = await mio.logs_in_again()
    assert await other.says(room, "二度目", txn="t1") != first
    seen = [e for e in await ken.reads_all(room) if e["sender"] == mio.user_id and e["type"] == "m.room.message"]
    assert len(seen) == 2


async def test_the_sender_alone_is_told_the_transaction_id(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await mio.catches_up()
    await mio.says(room, "しるし", txn="my-own")
    assert (await mio.sees(room, "しるし"))["unsigned"]["transaction_id"] == "my-own"
    assert "transaction_id" not in (await ken.sees(room, "しるし")).get("unsigned", {})
    other = await mio.logs_in_again()
    assert "transaction_id" not in (await other.sees(room, "しるし")).get("unsigned", {})


async def test_an_event_may_not_be_larger_than_the_specification_allows(mio: Person) -> None:
    room = await mio.opens_a_room()
    await mio.says(room, "あ" * 15_000)
    await refused(mio.says(room, "あ" * 22_000), 413, "M_TOO_LARGE")
    await refused(mio.sets(room, "jp.example.big", {"x": "x" * 70_000}), 413, "M_TOO_LARGE")
    await refused(mio.sends(room, "t" * 300, {}), None)
    await refused(mio.sets(room, "jp.example.key", {}, "k" * 300), None)


async def test_an_encrypted_room_takes_no_clear_text(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], encrypted=True)
    await mio.sends(room, "m.room.encrypted", CIPHERTEXT)
    assert await mio.state(room, "m.room.encryption") == MEGOLM


async def test_redaction_removes_the_content_for_everybody(mio: Person, ken: Person, sato: Person) -> None:
    room = await mio.opens_a_room(with_=[ken, sato])
    mine = await ken.says(room, "言わなければよかった")
    await refused(sato.redacts(room, mine), 403, "M_FORBIDDEN")
    await sato.catches_up()
    redaction = await ken.redacts(room, mine, reason="取り消し")
    event = await mio.get(f"{V3}/rooms/{segment(room)}/event/{segment(mine)}")
    assert event["content"] == {}
    assert event["unsigned"]["redacted_because"]["event_id"] == redaction
    told = (await sato.catches_up())["rooms"]["join"][room]["timeline"]["events"]
    assert [e["event_id"] for e in told] == [redaction]
    assert told[0]["content"]["redacts"] == mine
    assert bodies_of(await mio.reads_all(room)) == []
    theirs = await sato.says(room, "消される")
    await mio.redacts(room, theirs)  # who has the power may redact others
    assert bodies_of(await ken.reads_all(room)) == []


async def test_redacting_state_keeps_what_the_room_stands_on(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    named = await mio.sets(room, "m.room.name", {"name": "秘密"})
    await mio.redacts(room, named)
    assert await ken.state(room, "m.room.name") == {}
    state = await mio.get(f"{V3}/rooms/{segment(room)}/state")
    levels = next(e for e in state if e["type"] == "m.room.power_levels")
    await mio.redacts(room, levels["event_id"])
    assert (await mio.state(room, "m.room.power_levels")).get("users", {}) == levels["content"]["users"]


async def test_a_redaction_is_idempotent_by_its_transaction_id(mio: Person) -> None:
    room = await mio.opens_a_room()
    event = await mio.says(room, "x")
    assert await mio.redacts(room, event, txn="r1") == await mio.redacts(room, event, txn="r1")


async def test_an_edit_a_reaction_and_a_thread_are_found_as_relations(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    root = await mio.says(room, "もと")
    edit = await mio.sends(
        room,
        "m.room.message",
        {
            "msgtype": "m.text",
            "body": "* なおした",
            "m.new_content": {"msgtype": "m.text", "body": "なおした"},
            "m.relates_to": {"rel_type": "m.replace", "event_id": root},
        },
    )
    reaction = {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "🌙"}}
    liked = await ken.sends(room, "m.reaction", reaction)
    reply = await ken.sends(
        room,
        "m.room.message",
        {"msgtype": "m.text", "body": "返事", "m.relates_to": {"rel_type": "m.thread", "event_id": root}},
    )
    relations = f"{V1}/rooms/{segment(room)}/relations/{segment(root)}"

    def ids(told: Json) -> list[str]:
        return [event["event_id"] for event in told["chunk"]]

    assert ids(await mio.get(relations)) == [reply, liked, edit]
    assert ids(await mio.get(f"{relations}/m.thread")) == [reply]
    assert ids(await mio.get(f"{relations}/m.annotation/m.reaction")) == [liked]
    bundled = (await ken.get(f"{V3}/rooms/{segment(room)}/event/{segment(root)}"))["unsigned"]["m.relations"]
    assert bundled["m.replace"]["event_id"] == edit
    assert bundled["m.thread"]["count"] == 1
    threads = (await mio.get(f"{V1}/rooms/{segment(room)}/threads"))["chunk"]
    assert [event["event_id"] for event in threads] == [root]


async def test_strange_but_lawful_types_keys_and_contents_survive(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    content = {"深い": {"い": [{"れ": [1, -1, 9007199254740991, True, None, "", "\u2028𠮷🏳️‍🌈"]}]}, "": {}}
    event = await mio.sends(room, "jp.example/奇妙 な?型#%", content)
    told = await ken.get(f"{V3}/rooms/{segment(room)}/event/{segment(event)}")
    assert told["type"] == "jp.example/奇妙 な?型#%"
    assert told["content"] == content
    await mio.sets(room, "jp.example.state", content, "鍵/と?#%")
    assert await ken.state(room, "jp.example.state", "鍵/と?#%") == content


async def test_content_must_be_canonical(mio: Person) -> None:
    room = await mio.opens_a_room()
    await refused(mio.sends(room, "jp.example.number", {"x": 1.5}), 400, "M_BAD_JSON")
    await refused(mio.sends(room, "jp.example.number", {"x": 2**60}), 400, "M_BAD_JSON")


async def test_a_retry_is_known_to_another_worker(cast: Cast, mio: Person) -> None:
    room = await mio.opens_a_room()
    line: Line = cast.line_to(cast.base_url)
    assert await mio.says(room, "x", txn="again") == await mio.through(line).says(room, "x", txn="again")


def bodies_of(events: list[Json]) -> list[str]:
    return [e["content"]["body"] for e in events if e["type"] == "m.room.message" and "body" in e["content"]]
