"""Keys of devices: published once, given out once, shown to whom they concern."""

import asyncio
from typing import Any

import pytest

from madoguchi.crypto.cross_signing import CrossSigningKeys, is_signed, public, sign
from tests.cast import V3, Cast, Person, a_cast, refused
from tests.house import Workers
from tests.matrix.signing import Device, a_cross_signed, a_device, queried

Json = dict[str, Any]


# -- device keys ------------------------------------------------------------------------------------------------------
async def test_a_device_publishes_its_keys_and_others_find_them(mio: Person, ken: Person) -> None:
    device = await a_device(mio)
    told = (await queried(ken, mio))["device_keys"][mio.user_id]
    assert list(told) == [mio.device_id]
    shown = told[mio.device_id]
    # Names of devices often are people's names.
    assert shown.pop("unsigned") == {}
    own = (await queried(mio, mio))["device_keys"][mio.user_id][mio.device_id]
    assert own["unsigned"] == {"device_display_name": "mio"}
    assert shown["keys"] == device.keys["keys"]
    assert is_signed(shown, mio.user_id, mio.device_id, public(device.key))


async def test_a_devices_identity_never_changes(mio: Person) -> None:
    device = await a_device(mio)
    await device.uploads(device_keys=device.keys)
    await refused(Device(mio).uploads(device_keys=Device(mio).keys), 400)
    shown = (await queried(mio, mio))["device_keys"][mio.user_id][mio.device_id]
    assert shown["keys"] == device.keys["keys"]


async def test_nobody_publishes_keys_for_another(mio: Person, ken: Person) -> None:
    await refused(mio.post(f"{V3}/keys/upload", {"device_keys": Device(ken).keys}), 400, "M_INVALID_PARAM")
    phone = await mio.logs_in_again()
    await refused(mio.post(f"{V3}/keys/upload", {"device_keys": Device(phone).keys}), 400, "M_INVALID_PARAM")


async def test_a_query_names_devices_or_all_and_knows_no_strangers(mio: Person, ken: Person) -> None:
    await a_device(mio)
    phone = await mio.logs_in_again()
    await a_device(phone)
    body = {"device_keys": {mio.user_id: [phone.device_id], "@nobody:elsewhere.test": []}}
    answer = await ken.post(f"{V3}/keys/query", body)
    assert list(answer["device_keys"][mio.user_id]) == [phone.device_id]
    assert list(answer["failures"]) == ["elsewhere.test"]
    assert set((await queried(ken, mio))["device_keys"][mio.user_id]) == {mio.device_id, phone.device_id}


async def test_a_device_that_logs_out_takes_its_keys_along(mio: Person, ken: Person) -> None:
    phone = await mio.logs_in_again()
    device = await a_device(phone)
    await device.uploads(one_time_keys=device.one_time_keys("A"))
    await phone.post(f"{V3}/logout")
    assert (await queried(ken, mio))["device_keys"] == {mio.user_id: {}}
    claimed = await ken.post(f"{V3}/keys/claim", _claim(phone))
    assert claimed["one_time_keys"] == {}


# -- one-time keys ----------------------------------------------------------------------------------------------------
def _claim(*people: Person) -> Json:
    wanted: dict[str, dict[str, str]] = {}
    for person in people:
        wanted.setdefault(person.user_id, {})[person.device_id] = "signed_curve25519"
    return {"one_time_keys": wanted}


async def _claimed(asker: Person, of: Person) -> str | None:
    given = (await asker.post(f"{V3}/keys/claim", _claim(of)))["one_time_keys"]
    names = list(given.get(of.user_id, {}).get(of.device_id, {}))
    assert len(names) < 2
    return names[0].removeprefix("signed_curve25519:") if names else None


async def test_one_time_keys_are_given_in_the_order_of_their_upload(mio: Person, ken: Person) -> None:
    device = await a_device(mio)
    assert await device.uploads(one_time_keys=device.one_time_keys("Z")) == {"signed_curve25519": 1}
    assert await device.uploads(one_time_keys=device.one_time_keys("A")) == {"signed_curve25519": 2}
    assert [await _claimed(ken, mio) for _ in range(3)] == ["Z", "A", None]
    assert await device.uploads() == {"signed_curve25519": 0}


async def test_the_same_upload_again_is_no_change_and_another_key_under_its_name_is_refused(mio: Person) -> None:
    device = await a_device(mio)
    keys = device.one_time_keys("A", "B")
    await device.uploads(one_time_keys=keys)
    assert await device.uploads(one_time_keys=keys) == {"signed_curve25519": 2}
    await refused(device.uploads(one_time_keys=device.one_time_keys("C", "B")), 400)
    assert await device.uploads() == {"signed_curve25519": 2}


async def test_a_fallback_key_stands_in_until_it_is_replaced(mio: Person, ken: Person) -> None:
    device = await a_device(mio)
    await device.uploads(
        fallback_keys=device.one_time_keys("F", fallback=True), one_time_keys=device.one_time_keys("A")
    )
    assert (await mio.sync())["device_unused_fallback_key_types"] == ["signed_curve25519"]
    assert [await _claimed(ken, mio) for _ in range(3)] == ["A", "F", "F"]
    assert (await mio.sync())["device_unused_fallback_key_types"] == []
    await device.uploads(fallback_keys=device.one_time_keys("G", fallback=True))
    assert (await mio.sync())["device_unused_fallback_key_types"] == ["signed_curve25519"]
    assert await _claimed(ken, mio) == "G"


async def test_no_key_is_ever_given_twice_however_many_ask_at_once(workers: Workers) -> None:
    async for cast in a_cast(workers.base_urls[0]):
        mio, ken = await cast.person("mio"), await cast.person("ken")
        elsewhere = ken.through(cast.line_to(workers.base_urls[1]))
        device = await a_device(mio)
        await device.uploads(one_time_keys=device.one_time_keys(*(f"K{n}" for n in range(50))))
        asks = [_claimed(asker, mio) for asker in (ken, elsewhere) for _ in range(30)]
        given = [key for key in await asyncio.gather(*asks) if key is not None]
        assert len(given) == len(set(given)) == 50


# -- cross-signing ----------------------------------------------------------------------------------------------------
async def test_the_first_keys_and_the_same_keys_need_no_password_and_others_do(mio: Person) -> None:
    _, keys = await a_cross_signed(mio)
    await mio.post(f"{V3}/keys/device_signing/upload", keys.upload_body())
    fresh = CrossSigningKeys.make(mio.user_id).upload_body()
    asked = await refused(mio.post(f"{V3}/keys/device_signing/upload", fresh), 401)
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": mio.user_id},
        "password": mio.password,
        "session": asked.body["session"],
    }
    await mio.post(f"{V3}/keys/device_signing/upload", fresh | {"auth": auth})
    shown = await queried(mio, mio)
    assert shown["master_keys"][mio.user_id]["keys"] == fresh["master_key"]["keys"]


async def test_a_user_signing_key_is_its_owners_alone(mio: Person, ken: Person) -> None:
    await a_cross_signed(mio)
    own, others = await queried(mio, mio), await queried(ken, mio)
    assert mio.user_id in own["user_signing_keys"]
    assert others["user_signing_keys"] == {}
    assert others["master_keys"] == own["master_keys"] and others["self_signing_keys"] == own["self_signing_keys"]


async def test_keys_that_the_master_key_has_not_signed_are_refused(mio: Person, ken: Person) -> None:
    keys, other = CrossSigningKeys.make(mio.user_id), CrossSigningKeys.make(mio.user_id)
    body = keys.upload_body() | {"self_signing_key": other.upload_body()["self_signing_key"]}
    await refused(mio.post(f"{V3}/keys/device_signing/upload", body), 400, "M_INVALID_SIGNATURE")
    body = keys.upload_body()
    del body["master_key"]
    await refused(mio.post(f"{V3}/keys/device_signing/upload", body), 400, "M_MISSING_PARAM")
    await refused(ken.post(f"{V3}/keys/device_signing/upload", keys.upload_body()), 400, "M_INVALID_PARAM")


async def test_a_user_signs_their_device_and_everybody_sees_it(mio: Person, ken: Person) -> None:
    device, keys = await a_cross_signed(mio)
    signed = keys.sign_device(device.keys)
    master = sign(keys.upload_body()["master_key"], mio.user_id, mio.device_id, device.key)
    body = {mio.user_id: {mio.device_id: signed, keys.master_public: master}}
    assert (await mio.post(f"{V3}/keys/signatures/upload", body))["failures"] == {}
    told = await queried(ken, mio)
    self_signing = public(keys.self_signing)
    assert is_signed(told["device_keys"][mio.user_id][mio.device_id], mio.user_id, self_signing, self_signing)
    assert is_signed(told["master_keys"][mio.user_id], mio.user_id, mio.device_id, public(device.key))


async def test_whom_somebody_trusts_is_seen_by_nobody_else(mio: Person, ken: Person, sato: Person) -> None:
    _, keys = await a_cross_signed(mio)
    _, kens = await a_cross_signed(ken)
    signed = keys.sign_user(kens.upload_body()["master_key"])
    body = {ken.user_id: {kens.master_public: signed}}
    assert (await mio.post(f"{V3}/keys/signatures/upload", body))["failures"] == {}
    user_signing = public(keys.user_signing)
    for asker, sees in ((mio, True), (ken, False), (sato, False)):
        told = (await queried(asker, ken))["master_keys"][ken.user_id]
        assert is_signed(told, mio.user_id, user_signing, user_signing) is sees


async def test_signatures_that_are_wrong_fail_one_by_one(mio: Person, ken: Person) -> None:
    device, keys = await a_cross_signed(mio)
    _, kens = await a_cross_signed(ken)
    forged = sign(device.keys, mio.user_id, public(keys.self_signing), keys.master)
    changed = keys.sign_device(device.keys | {"algorithms": []})
    not_yet = kens.upload_body()["master_key"]
    body = {
        mio.user_id: {mio.device_id: forged, "NOSUCH": keys.sign_device(device.keys)},
        ken.user_id: {kens.master_public: not_yet},
    }
    failures = (await mio.post(f"{V3}/keys/signatures/upload", body))["failures"]
    assert failures[mio.user_id][mio.device_id]["errcode"] == "M_INVALID_SIGNATURE"
    assert failures[mio.user_id]["NOSUCH"]["errcode"] == "M_NOT_FOUND"
    assert failures[ken.user_id][kens.master_public]["errcode"] == "M_INVALID_SIGNATURE"
    failures = (await mio.post(f"{V3}/keys/signatures/upload", {mio.user_id: {mio.device_id: changed}}))["failures"]
    assert failures[mio.user_id][mio.device_id]["errcode"] == "M_INVALID_SIGNATURE"


# -- who must look again ----------------------------------------------------------------------------------------------
async def test_those_who_share_a_room_learn_of_new_keys_and_nobody_else(mio: Person, ken: Person, aoi: Person) -> None:
    await mio.opens_a_room(with_=[ken], encrypted=True)
    for person in (mio, ken, aoi):
        await person.catches_up()
    start = ken.since
    device = await a_device(mio)
    assert mio.user_id in (await ken.catches_up(timeout_ms=5000))["device_lists"]["changed"]
    assert mio.user_id not in (await aoi.catches_up()).get("device_lists", {}).get("changed", [])
    told = await ken.get(f"{V3}/keys/changes", from_=start, to=ken.since)
    assert told["changed"] == [mio.user_id] and told["left"] == []
    # One-time keys are nobody else's business.
    await device.uploads(one_time_keys=device.one_time_keys("A"))
    assert mio.user_id not in (await ken.catches_up()).get("device_lists", {}).get("changed", [])


async def test_somebody_who_leaves_is_no_longer_tracked(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], encrypted=True)
    await ken.catches_up()
    start = ken.since
    await mio.leaves(room)
    told = await ken.catches_up(timeout_ms=5000)
    assert told["device_lists"]["left"] == [mio.user_id]
    assert (await ken.get(f"{V3}/keys/changes", from_=start, to=ken.since))["left"] == [mio.user_id]


async def test_own_other_devices_learn_whom_somebody_has_signed(mio: Person, ken: Person) -> None:
    _, keys = await a_cross_signed(mio)
    _, kens = await a_cross_signed(ken)
    phone = await mio.logs_in_again()
    await phone.catches_up()
    await ken.catches_up()
    signed = keys.sign_user(kens.upload_body()["master_key"])
    await mio.post(f"{V3}/keys/signatures/upload", {ken.user_id: {kens.master_public: signed}})
    assert ken.user_id in (await phone.catches_up(timeout_ms=5000))["device_lists"]["changed"]
    assert mio.user_id not in (await ken.catches_up()).get("device_lists", {}).get("changed", [])


@pytest.mark.parametrize(
    "body",
    [
        {"device_keys": {"user_id": 1}},
        {"device_keys": []},
        {"one_time_keys": {"nocolon": "key"}},
        {"one_time_keys": {"signed_curve25519:A": 7}},
        {"one_time_keys": {"signed_curve25519:A": {"signatures": {}}}},
        {"one_time_keys": {"signed_curve25519:" + "A" * 300: {"key": "x", "signatures": {}}}},
        {"one_time_keys": {"signed_curve25519:A\0": {"key": "x", "signatures": {}}}},
        {"fallback_keys": {"a:A": "x", "a:B": "y"}},
    ],
)
async def test_keys_of_the_wrong_shape_are_refused(mio: Person, body: Json) -> None:
    await refused(mio.post(f"{V3}/keys/upload", body), 400)


async def test_a_stranger_finds_an_empty_list(cast: Cast, mio: Person) -> None:
    body = {"device_keys": {f"@nobody:{mio.user_id.partition(':')[2]}": []}}
    answer = await mio.post(f"{V3}/keys/query", body)
    assert list(answer["device_keys"].values()) == [{}] and answer["failures"] == {}
