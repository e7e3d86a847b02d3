"""Server-side key backup: what is sealed comes back as it was, and the better key stays."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from madoguchi.core.chat.backups import is_better
from madoguchi.storage.backups import BackedUpKey
from tests.cast import V3, Person, refused, segment

Json = dict[str, Any]
ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
ROOM, OTHER_ROOM = "!room:madoguchi.test", "!other:madoguchi.test"
VERSIONS = f"{V3}/room_keys/version"
KEYS = f"{V3}/room_keys/keys"


def key(first: int = 0, forwarded: int = 0, verified: bool = False, mark: str = "") -> Json:
    data = {"ciphertext": f"sealed{mark}", "ephemeral": "abc", "mac": "def"}
    return {
        "first_message_index": first,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": data,
    }


async def begun(person: Person) -> str:
    body = {"algorithm": ALGORITHM, "auth_data": {"public_key": "abcdefg", "signatures": {}}}
    return str((await person.post(VERSIONS, body))["version"])


def session(room: str, session_id: str) -> str:
    return f"{KEYS}/{segment(room)}/{segment(session_id)}"


async def test_a_backup_is_begun_changed_and_ended(mio: Person) -> None:
    await refused(mio.get(VERSIONS), 404, "M_NOT_FOUND")
    first = await begun(mio)
    second = await begun(mio)
    assert int(second) > int(first)
    shown = await mio.get(VERSIONS)
    assert shown["version"] == second and shown["count"] == 0 and shown["algorithm"] == ALGORITHM
    changed = {"algorithm": ALGORITHM, "auth_data": {"public_key": "new"}, "version": second}
    await mio.put(f"{VERSIONS}/{second}", changed)
    assert (await mio.get(f"{VERSIONS}/{second}"))["auth_data"] == {"public_key": "new"}
    await refused(mio.put(f"{VERSIONS}/{second}", changed | {"algorithm": "other"}), 400, "M_INVALID_PARAM")
    await refused(mio.put(f"{VERSIONS}/{second}", changed | {"version": first}), 400, "M_INVALID_PARAM")
    await mio.delete(f"{VERSIONS}/{second}")
    await mio.delete(f"{VERSIONS}/{second}")
    await refused(mio.get(f"{VERSIONS}/{second}"), 404, "M_NOT_FOUND")
    assert (await mio.get(VERSIONS))["version"] == first
    assert int(await begun(mio)) > int(second)
    for nonsense in ("0", "999", "01", "x", "１", "9" * 40):
        await refused(mio.get(f"{VERSIONS}/{segment(nonsense)}"), 404, "M_NOT_FOUND")
        await refused(mio.delete(f"{VERSIONS}/{segment(nonsense)}"), 404, "M_NOT_FOUND")


async def test_keys_come_back_as_they_were_put(mio: Person) -> None:
    version = await begun(mio)
    one = await mio.put(session(ROOM, "s/1"), key(mark="1"), version=version)
    assert one["count"] == 1
    two = await mio.put(f"{KEYS}/{segment(ROOM)}", {"sessions": {"s2": key(mark="2")}}, version=version)
    assert two["count"] == 2 and two["etag"] != one["etag"]
    both = {"rooms": {ROOM: {"sessions": {"s2": key(mark="2")}}, OTHER_ROOM: {"sessions": {"s3": key(mark="3")}}}}
    three = await mio.put(KEYS, both, version=version)
    assert three["count"] == 3
    shown = await mio.get(VERSIONS)
    assert (shown["count"], shown["etag"]) == (3, three["etag"])
    assert await mio.get(session(ROOM, "s/1"), version=version) == key(mark="1")
    assert set((await mio.get(f"{KEYS}/{segment(ROOM)}", version=version))["sessions"]) == {"s/1", "s2"}
    rooms = (await mio.get(KEYS, version=version))["rooms"]
    assert {room: set(told["sessions"]) for room, told in rooms.items()} == {ROOM: {"s/1", "s2"}, OTHER_ROOM: {"s3"}}
    await refused(mio.get(session(ROOM, "none"), version=version), 404, "M_NOT_FOUND")
    assert await mio.get(f"{KEYS}/{segment('!empty:x')}", version=version) == {"sessions": {}}


async def test_keys_are_taken_out_one_by_one_by_room_and_all(mio: Person) -> None:
    version = await begun(mio)
    body = {"rooms": {room: {"sessions": {"a": key(), "b": key()}} for room in (ROOM, OTHER_ROOM)}}
    await mio.put(KEYS, body, version=version)
    etags = {(await mio.get(VERSIONS))["etag"]}
    for path, left in ((session(ROOM, "a"), 3), (session(ROOM, "a"), 3), (f"{KEYS}/{segment(ROOM)}", 2), (KEYS, 0)):
        answer = await mio.delete(path, version=version)
        assert answer["count"] == left
        etags.add(answer["etag"])
    assert len(etags) == 4
    assert await mio.get(KEYS, version=version) == {"rooms": {}}


async def test_only_the_newest_version_takes_keys(mio: Person) -> None:
    await refused(mio.put(KEYS, {"rooms": {}}, version="1"), 404, "M_NOT_FOUND")
    old = await begun(mio)
    await mio.put(session(ROOM, "a"), key(), version=old)
    new = await begun(mio)
    for path, body in (
        (session(ROOM, "b"), key()),
        (f"{KEYS}/{segment(ROOM)}", {"sessions": {"b": key()}}),
        (KEYS, {"rooms": {}}),
    ):
        wrong = await refused(mio.put(path, body, version=old), 403, "M_WRONG_ROOM_KEYS_VERSION")
        assert wrong.body["current_version"] == new
    # The old one can still be read.
    assert await mio.get(session(ROOM, "a"), version=old) == key()
    await refused(mio.get(KEYS), 400, "M_MISSING_PARAM")


async def test_backups_are_their_owners_alone(mio: Person, ken: Person) -> None:
    version = await begun(mio)
    await mio.put(session(ROOM, "a"), key(), version=version)
    await refused(ken.get(f"{VERSIONS}/{version}"), 404, "M_NOT_FOUND")
    await refused(ken.get(session(ROOM, "a"), version=version), 404, "M_NOT_FOUND")
    assert await begun(ken)
    await refused(ken.get(session(ROOM, "a"), version=version), 404, "M_NOT_FOUND")


async def test_the_better_key_stays_whatever_the_order(mio: Person) -> None:
    version = await begun(mio)
    worst_to_best = [
        key(1, 1, False),
        key(1, 0, False),
        key(0, 5, False),
        key(7, 7, True),
        key(7, 6, True),
        key(2, 9, True),
    ]
    for n, better in enumerate(worst_to_best):
        answer = await mio.put(session(ROOM, "s"), better, version=version)
        assert answer["count"] == 1
        for worse in worst_to_best[: n + 1]:
            same = await mio.put(session(ROOM, "s"), worse | {"session_data": {"mark": "worse"}}, version=version)
            assert same == answer
        assert await mio.get(session(ROOM, "s"), version=version) == better


async def test_two_devices_that_upload_at_once_lose_nothing(mio: Person) -> None:
    version = await begun(mio)
    bodies = [
        {"sessions": {f"s{n}": key(first=device), "shared": key(first=9 - device)}}
        for device in range(3)
        for n in range(8)
    ]
    await asyncio.gather(*(mio.put(f"{KEYS}/{segment(ROOM)}", body, version=version) for body in bodies))
    sessions = (await mio.get(f"{KEYS}/{segment(ROOM)}", version=version))["sessions"]
    assert len(sessions) == (await mio.get(VERSIONS))["count"] == 9
    assert sessions["shared"]["first_message_index"] == 7
    assert all(told["first_message_index"] == 0 for name, told in sessions.items() if name != "shared")


async def test_keys_of_the_wrong_shape_are_refused(mio: Person) -> None:
    version = await begun(mio)
    for wrong in ({}, key() | {"is_verified": 1}, key() | {"first_message_index": "0"}, key() | {"session_data": "x"}):
        await refused(mio.put(session(ROOM, "a"), wrong, version=version), 400)
    for wrong in (key(first=-1), key(first=2**63), key(forwarded=-1)):
        await refused(mio.put(session(ROOM, "a"), wrong, version=version), 400)
    await refused(mio.put(session(ROOM, "x" * 300), key(), version=version), 400, "M_INVALID_PARAM")
    assert (await mio.get(VERSIONS))["count"] == 0


# -- the rule itself --------------------------------------------------------------------------------------------------
stored = st.builds(
    BackedUpKey,
    room_id=st.just(ROOM),
    session_id=st.just("s"),
    first_message_index=st.integers(0, 3),
    forwarded_count=st.integers(0, 3),
    is_verified=st.booleans(),
    session_data=st.just(b"{}"),
)


def by_the_letter(new: BackedUpKey, old: BackedUpKey) -> bool:
    """The specification's three sentences, one after the other."""
    if new.is_verified != old.is_verified:
        return new.is_verified
    if new.first_message_index != old.first_message_index:
        return new.first_message_index < old.first_message_index
    return new.forwarded_count < old.forwarded_count


@given(stored, stored)
def test_the_rule_is_the_specifications(new: BackedUpKey, old: BackedUpKey) -> None:
    assert is_better(new, old) == by_the_letter(new, old)
    assert not (is_better(new, old) and is_better(old, new))


@given(st.lists(stored, min_size=1), st.randoms())
def test_what_stays_does_not_depend_on_the_order_of_uploads(keys: list[BackedUpKey], chance: Any) -> None:
    def stays(order: list[BackedUpKey]) -> tuple[bool, int, int]:
        kept = order[0]
        for offered in order[1:]:
            kept = offered if is_better(offered, kept) else kept
        return kept.is_verified, kept.first_message_index, kept.forwarded_count

    shuffled = list(keys)
    chance.shuffle(shuffled)
    assert stays(keys) == stays(shuffled)
