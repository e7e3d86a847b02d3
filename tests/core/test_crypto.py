"""Canonical JSON, cross-signing, our own devices, and history for whoever is invited."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey
from nio import RoomMessageText, UnknownToDeviceEvent

from madoguchi.crypto import canonical_json, cross_signing, key_bundle
from madoguchi.crypto.cross_signing import CrossSigningKeys
from madoguchi.crypto.device import AgentDevice, Login
from madoguchi.crypto.sealed_file import SealBroken, SealedFile
from tests.core.homeserver import Homeserver

KEY = bytes(range(32))
ROOM = "!case:x"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


# -- canonical JSON ----------------------------------------------------------------------------------------------------
@given(json_values)
def test_canonical_json_is_one_form_and_loses_nothing(value: Any) -> None:
    encoded = canonical_json.encode(value)
    assert json.loads(encoded) == value
    assert canonical_json.encode(json.loads(encoded)) == encoded


def test_canonical_json_is_as_in_the_specification() -> None:
    assert canonical_json.encode({"本": 2, "日": 1}) == '{"日":1,"本":2}'.encode()
    assert canonical_json.encode({"a": "\u65e5"}) == '{"a":"日"}'.encode()
    assert canonical_json.encode({"b": [1, {"d": None, "c": True}], "a": -0}) == b'{"a":0,"b":[1,{"c":true,"d":null}]}'


@pytest.mark.parametrize("value", [1.5, 2**53, {"a": float("nan")}, {1: 2}, "\ud800", {"a": {1, 2}}])
def test_canonical_json_refuses_what_has_no_form(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical_json.encode(value)


# -- cross-signing -----------------------------------------------------------------------------------------------------
def signed_world() -> tuple[CrossSigningKeys, dict[str, Any]]:
    keys = CrossSigningKeys.make("@ken:x")
    device = SigningKey.generate()
    public = cross_signing.public(device)
    unsigned = {
        "user_id": "@ken:x",
        "device_id": "D",
        "algorithms": [],
        "keys": {"ed25519:D": public, "curve25519:D": public},
    }
    device_keys = keys.sign_device(cross_signing.sign(unsigned, "@ken:x", "D", device))
    body = keys.upload_body()
    return keys, {
        "device_keys": {"@ken:x": {"D": device_keys}},
        "master_keys": {"@ken:x": body["master_key"]},
        "self_signing_keys": {"@ken:x": body["self_signing_key"]},
    }


def test_a_device_its_owner_has_signed_is_found() -> None:
    keys, query = signed_world()
    assert set(cross_signing.signed_devices(query, "@ken:x")) == {"D"}
    assert cross_signing.master_of(query, "@ken:x") == keys.master_public
    assert CrossSigningKeys.from_seeds("@ken:x", keys.seeds()).master_public == keys.master_public


@pytest.mark.parametrize(
    "path",
    [
        ("device_keys", "@ken:x", "D", "signatures", "@ken:x"),
        ("device_keys", "@ken:x", "D", "algorithms"),
        ("device_keys", "@ken:x", "D", "user_id"),
        ("self_signing_keys", "@ken:x", "signatures"),
        ("self_signing_keys", "@ken:x", "usage"),
        ("self_signing_keys", "@ken:x"),
        ("master_keys", "@ken:x"),
        ("master_keys", "@ken:x", "keys"),
    ],
)
def test_a_device_is_not_believed_when_anything_in_the_chain_was_changed(path: tuple[str, ...]) -> None:
    _, query = signed_world()
    inner: Any = query
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = {"ed25519:x": "y"} if isinstance(inner[path[-1]], dict) else ["changed"]
    assert cross_signing.signed_devices(query, "@ken:x") == {}


def test_another_users_keys_do_not_vouch() -> None:
    _, query = signed_world()
    _, other = signed_world()
    query["master_keys"] = other["master_keys"]
    assert cross_signing.signed_devices(query, "@ken:x") == {}


def test_a_sealed_file_opens_with_its_key_alone(tmp_path: Path) -> None:
    file = SealedFile(tmp_path / "secret", KEY)
    assert file.read() is None
    file.write({"a": "眠れない"})
    assert file.read() == {"a": "眠れない"}
    assert "眠れない".encode() not in (tmp_path / "secret").read_bytes()
    with pytest.raises(SealBroken):
        SealedFile(tmp_path / "secret", bytes(32)).read()


# -- devices -----------------------------------------------------------------------------------------------------------
@pytest.fixture
async def server() -> AsyncIterator[Homeserver]:
    server = Homeserver()
    await server.start()
    yield server
    await server.stop()


class Troupe:
    """Our devices in this test."""

    def __init__(self, server: Homeserver, home: Path) -> None:
        self.server, self.home = server, home
        self.devices: list[AgentDevice] = []

    async def enters(self, name: str, **how: Any) -> AgentDevice:
        device = AgentDevice(self.server.url, f"@{name}:x", self.home / name, KEY, name=name, **how)
        self.devices.append(device)
        await device.start(Login.by_password("p"))
        return device


@pytest.fixture
async def troupe(server: Homeserver, tmp_path: Path) -> AsyncIterator[Troupe]:
    troupe = Troupe(server, tmp_path)
    yield troupe
    for device in troupe.devices:
        await device.close()


async def test_a_device_is_cross_signed_and_stays_the_same_after_a_restart(troupe: Troupe) -> None:
    server = troupe.server
    first = await troupe.enters("mio")
    query = {
        "device_keys": {"@mio:x": server.devices["@mio:x"]},
        "master_keys": {"@mio:x": server.cross["@mio:x"]["master_key"]},
        "self_signing_keys": {"@mio:x": server.cross["@mio:x"]["self_signing_key"]},
    }
    assert set(cross_signing.signed_devices(query, "@mio:x")) == {first.device_id}
    assert server.one_time["@mio:x", first.device_id]
    assert server.fallback["@mio:x", first.device_id]
    name, identity = first.device_id, first.machine.account.identity_keys
    await first.close()
    again = await troupe.enters("mio")
    assert (again.device_id, again.machine.account.identity_keys) == (name, identity)
    assert sum("login" in line for line in server.log) == 1
    assert sum("device_signing" in line for line in server.log) == 1


async def test_a_device_whose_store_was_lost_begins_anew_and_ends_the_old_one(troupe: Troupe) -> None:
    first = await troupe.enters("keeper")
    await first.close()
    for path in (troupe.home / "keeper").iterdir():
        path.unlink()
    again = await troupe.enters("keeper")
    assert again.device_id != first.device_id
    assert len(troupe.server.devices["@keeper:x"]) == 2
    await again.end_other_devices()
    await again.end_other_devices()
    assert set(troupe.server.devices["@keeper:x"]) == {again.device_id}


async def test_two_devices_talk(troupe: Troupe) -> None:
    mio, ken = await troupe.enters("mio"), await troupe.enters("ken")
    troupe.server.makes_room(ROOM, ["@mio:x", "@ken:x"])
    heard: list[str] = []

    async def hear(_room: Any, event: RoomMessageText) -> None:
        heard.append(event.body)

    ken.add_event_callback(hear, RoomMessageText)
    for device in (mio, ken):
        await device.sync_once(0)
    await mio.say(ROOM, {"msgtype": "m.text", "body": "眠れない"}, "t1")
    await ken.sync_once(0)
    assert heard == ["眠れない"]
    assert "眠れない" not in json.dumps(troupe.server.timeline, ensure_ascii=False)


async def test_whose_devices_were_out_of_sight_is_given_keys_again(troupe: Troupe) -> None:
    mio, ken = await troupe.enters("mio"), await troupe.enters("ken")
    troupe.server.makes_room(ROOM, ["@mio:x", "@ken:x"])
    heard: list[str] = []

    async def hear(_room: Any, event: RoomMessageText) -> None:
        heard.append(event.body)

    ken.add_event_callback(hear, RoomMessageText)
    for device in (mio, ken):
        await device.sync_once(0)
    await mio.say(ROOM, {"msgtype": "m.text", "body": "one"}, "t1")
    # A server tells no devices of somebody with whom no room is shared; later they share one again.
    seen, troupe.server.devices["@ken:x"] = troupe.server.devices["@ken:x"], {}
    await mio.query_devices(["@ken:x"])
    mio.machine.forget_room(ROOM)
    assert list(mio.machine.device_store.active_user_devices("@ken:x")) == []
    troupe.server.devices["@ken:x"] = seen
    await mio.query_devices(["@ken:x"])
    await mio.close()
    again = await troupe.enters("mio")
    await again.sync_once(0)
    await again.say(ROOM, {"msgtype": "m.text", "body": "two"}, "t2")
    await ken.sync_once(0)
    assert heard == ["one", "two"]


async def test_a_device_that_comes_back_with_another_key_is_given_none(troupe: Troupe) -> None:
    mio, ken = await troupe.enters("mio"), await troupe.enters("ken")
    await mio.query_devices(["@ken:x"])
    seen, troupe.server.devices["@ken:x"] = troupe.server.devices["@ken:x"], {}
    await mio.query_devices(["@ken:x"])
    _, other = signed_world()
    impostor = json.loads(json.dumps(other["device_keys"]["@ken:x"]["D"]).replace(":D", f":{ken.device_id}"))
    troupe.server.devices["@ken:x"] = {ken.device_id: {**impostor, "device_id": ken.device_id}}
    await mio.query_devices(["@ken:x"])
    assert list(mio.machine.device_store.active_user_devices("@ken:x")) == []
    troupe.server.devices["@ken:x"] = seen
    await mio.query_devices(["@ken:x"])
    assert [device.id for device in mio.machine.device_store.active_user_devices("@ken:x")] == [ken.device_id]


async def test_keys_survive_a_crash_between_opening_and_confirming(troupe: Troupe) -> None:
    mio, ken = await troupe.enters("mio"), await troupe.enters("ken")
    troupe.server.makes_room(ROOM, ["@mio:x", "@ken:x"])
    for device in (mio, ken):
        await device.sync_once(0)
    await mio.say(ROOM, {"msgtype": "m.text", "body": "眠れない"}, "t1")

    async def crash(_body: Any) -> None:
        raise RuntimeError("the process is killed here")

    ken.after_sync.append(crash)
    with pytest.raises(RuntimeError):
        await ken.sync_once(0)
    await ken.close()
    again = await troupe.enters("ken")
    heard: list[str] = []

    async def hear(_room: Any, event: RoomMessageText) -> None:
        heard.append(event.body)

    again.add_event_callback(hear, RoomMessageText)
    await again.sync_once(0)
    assert heard == ["眠れない"]
    # The message that brought the key came twice, was opened once, and nobody was taken for broken.
    assert again.machine.wedged_devices == []


async def test_no_key_is_lost_when_storing_it_fails(troupe: Troupe, monkeypatch: pytest.MonkeyPatch) -> None:
    mio, ken = await troupe.enters("mio"), await troupe.enters("ken")
    troupe.server.makes_room(ROOM, ["@mio:x", "@ken:x"])
    for device in (mio, ken):
        await device.sync_once(0)
    await mio.say(ROOM, {"msgtype": "m.text", "body": "眠れない"}, "t1")
    save = ken.machine.save_account

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(ken.machine, "save_account", full)
    with pytest.raises(OSError, match="space"):
        await ken.sync_once(0)
    assert save is not ken.machine.save_account
    await ken.sync_once(0)
    assert len(ken.machine.sessions_of(ROOM)) == 1


async def test_one_time_keys_are_known_to_us_before_the_server_gives_them_away(troupe: Troupe) -> None:
    server = troupe.server
    server.lost["POST", "/keys/upload"] = 1
    with pytest.raises(Exception):  # noqa: B017 - the line was cut after the server had taken the keys
        await troupe.enters("ken")
    await troupe.devices[-1].close()
    published = dict(server.one_time)
    ken = await troupe.enters("ken")
    assert set(published) == {("@ken:x", ken.device_id)}
    mio = await troupe.enters("mio")
    server.makes_room(ROOM, ["@mio:x", "@ken:x"])
    for device in (mio, ken):
        await device.sync_once(0)
    await mio.say(ROOM, {"msgtype": "m.text", "body": "眠れない"}, "t1")
    await ken.sync_once(0)
    assert len(ken.machine.sessions_of(ROOM)) == 1


async def test_nothing_is_passed_over_after_a_long_absence(troupe: Troupe) -> None:
    mio, ken = await troupe.enters("mio"), await troupe.enters("ken")
    troupe.server.makes_room(ROOM, ["@mio:x", "@ken:x"])
    for device in (mio, ken):
        await device.sync_once(0)
    for number in range(12):
        await mio.say(ROOM, {"msgtype": "m.text", "body": str(number)}, f"t{number}")
    heard: list[str] = []

    async def hear(_room: Any, event: RoomMessageText) -> None:
        heard.append(event.body)

    ken.add_event_callback(hear, RoomMessageText)
    troupe.server.timeline_limit = 2
    await ken.sync_once(0)
    assert heard == [str(number) for number in range(12)]


async def test_a_stranger_cannot_stop_a_sync_with_nonsense(troupe: Troupe) -> None:
    mio, ken = await troupe.enters("mio"), await troupe.enters("ken")
    server = troupe.server
    server.makes_room(ROOM, ["@mio:x", "@ken:x"])
    for device in (mio, ken):
        await device.sync_once(0)
    curve = ken.machine.account.identity_keys["curve25519"]
    for body in ("AAAA", "not base64 ☃", "A" * 500):
        for number in (0, 1, 7):
            content = {
                "algorithm": "m.olm.v1.curve25519-aes-sha2",
                "sender_key": curve,
                "ciphertext": {curve: {"type": number, "body": body}},
            }
            server.inbox["@ken:x", ken.device_id].append(
                (server.pos, {"type": "m.room.encrypted", "sender": "@aoi:x", "content": content})
            )
    await mio.say(ROOM, {"msgtype": "m.text", "body": "眠れない"}, "t1")
    await ken.sync_once(0)
    assert len(ken.machine.sessions_of(ROOM)) == 1


async def test_a_later_copy_of_a_session_does_not_replace_an_earlier_one(troupe: Troupe) -> None:
    mio, ken = await troupe.enters("mio"), await troupe.enters("ken")
    troupe.server.makes_room(ROOM, ["@mio:x", "@ken:x"])
    for device in (mio, ken):
        await device.sync_once(0)
    for number in range(3):
        await mio.say(ROOM, {"msgtype": "m.text", "body": str(number)}, f"t{number}")
    await ken.sync_once(0)
    (session,) = ken.machine.sessions_of(ROOM)
    later = type(session).import_session(session.export_session(2), session.ed25519, session.sender_key, ROOM)
    assert later.id == session.id
    assert not ken.machine.keep_session(later)
    assert ken.machine.sessions_of(ROOM)[0].first_known_index == 0


# -- history on invite -------------------------------------------------------------------------------------------------
async def gifts(device: AgentDevice) -> list[dict[str, Any]]:
    got: list[dict[str, Any]] = []

    async def take(event: UnknownToDeviceEvent) -> None:
        got.append(event.source)

    device.add_to_device_callback(take, UnknownToDeviceEvent)
    await device.sync_once(0)
    return got


async def test_whoever_is_invited_reads_what_was_written_before(troupe: Troupe) -> None:
    mio, keeper, sato = await troupe.enters("mio"), await troupe.enters("keeper"), await troupe.enters("sato")
    troupe.server.makes_room(ROOM, ["@mio:x", "@keeper:x"])
    for device in (mio, keeper):
        await device.sync_once(0)
    await mio.say(ROOM, {"msgtype": "m.text", "body": "眠れない"}, "t1")
    await keeper.sync_once(0)
    given = await key_bundle.give(keeper, ROOM, "@sato:x")
    assert (given.sessions, given.devices) == (1, frozenset({sato.device_id}))
    (gift,) = await gifts(sato)
    assert await key_bundle.accept(sato, gift, "@keeper:x") == 1
    assert await key_bundle.accept(sato, gift, "@keeper:x") == 0
    (session,) = sato.machine.sessions_of(ROOM)
    (_, _, event), *_ = troupe.server.timeline
    plaintext, _ = session.decrypt(event["content"]["ciphertext"])
    assert json.loads(plaintext)["content"]["body"] == "眠れない"
    # Neither the media store nor the line has seen a key.
    exported = session.export_session(0)
    assert all(exported.encode() not in media for media in troupe.server.media.values())


async def test_history_goes_to_no_device_that_its_owner_has_not_signed(troupe: Troupe) -> None:
    mio, keeper, sato = await troupe.enters("mio"), await troupe.enters("keeper"), await troupe.enters("sato")
    troupe.server.makes_room(ROOM, ["@mio:x", "@keeper:x"])
    for device in (mio, keeper):
        await device.sync_once(0)
    await mio.say(ROOM, {"msgtype": "m.text", "body": "眠れない"}, "t1")
    await keeper.sync_once(0)
    signatures = troupe.server.devices["@sato:x"][sato.device_id]["signatures"]["@sato:x"]
    for key_id in [key_id for key_id in signatures if key_id != f"ed25519:{sato.device_id}"]:
        del signatures[key_id]
    given = await key_bundle.give(keeper, ROOM, "@sato:x")
    assert given.devices == frozenset()
    assert await gifts(sato) == []
    assert troupe.server.media == {}


async def test_a_bundle_is_taken_from_the_inviter_only_and_for_its_room_only(troupe: Troupe) -> None:
    mio, keeper, sato = await troupe.enters("mio"), await troupe.enters("keeper"), await troupe.enters("sato")
    troupe.server.makes_room(ROOM, ["@mio:x", "@keeper:x"])
    for device in (mio, keeper):
        await device.sync_once(0)
    await mio.say(ROOM, {"msgtype": "m.text", "body": "眠れない"}, "t1")
    await keeper.sync_once(0)
    await key_bundle.give(keeper, ROOM, "@sato:x")
    (gift,) = await gifts(sato)
    assert await key_bundle.accept(sato, gift, "@mio:x") == 0
    elsewhere = {**gift, "content": {**gift["content"], "room_id": "!other:x"}}
    assert await key_bundle.accept(sato, elsewhere, "@keeper:x") == 0
    forged = {**gift, "sender_key": mio.machine.account.identity_keys["curve25519"]}
    assert await key_bundle.accept(sato, forged, "@keeper:x") == 0
    assert sato.machine.sessions_of(ROOM) == []
