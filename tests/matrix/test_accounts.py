"""One's own account: devices, password, profile, the end of it; and what the server says of itself."""

import secrets
from typing import Any

import aiohttp
import pytest

from tests.cast import V1, V3, Cast, Json, Person, password_login, refused, segment


def proof(person: Person, session: str | None = None, **more: Any) -> Json:
    auth = password_login(person.localpart, person.password) | more
    return {"auth": auth | ({"session": session} if session else {})}


# -- what the server is ------------------------------------------------------------------------------------------------
async def test_the_server_says_what_it_is(cast: Cast) -> None:
    versions = await cast.line.call("GET", "/_matrix/client/versions")
    assert {"v1.1", "v1.11", "v1.19"} <= set(versions["versions"])
    wellknown = await cast.line.call("GET", "/.well-known/matrix/client")
    assert wellknown["m.homeserver"]["base_url"] == cast.base_url
    assert "support_page" in await cast.line.call("GET", "/.well-known/matrix/support")
    await refused(cast.line.call("GET", f"{V1}/auth_metadata"), 404, "M_UNRECOGNIZED")


async def test_capabilities(mio: Person) -> None:
    capabilities = (await mio.get(f"{V3}/capabilities"))["capabilities"]
    assert capabilities["m.room_versions"] == {
        "default": "11",
        "available": {"10": "stable", "11": "stable", "12": "stable"},
    }
    assert capabilities["m.change_password"] == {"enabled": True}
    assert "m.account_moderation" not in capabilities


async def test_what_there_is_none_of(mio: Person) -> None:
    assert await mio.get(f"{V3}/account/3pid") == {"threepids": []}
    assert await mio.get(f"{V3}/thirdparty/protocols") == {}
    await refused(mio.post(f"{V3}/account/3pid/add", {"client_secret": "a", "sid": "b"}), 403, "M_FORBIDDEN")
    await refused(mio.get(f"{V3}/thirdparty/protocol/irc"), 404, "M_NOT_FOUND")
    await refused(mio.post(f"{V3}/user/{segment(mio.user_id)}/openid/request_token"), 404, "M_UNRECOGNIZED")


async def test_every_answer_may_be_read_by_a_browser(cast: Cast) -> None:
    async with cast.line.http.options(f"{cast.base_url}{V3}/login") as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


# -- devices -----------------------------------------------------------------------------------------------------------
async def test_devices_are_listed_named_and_seen(mio: Person) -> None:
    other = await mio.logs_in_again(initial_device_display_name="another phone")
    await other.put(f"{V3}/devices/{mio.device_id}", {"display_name": "スマホ"})
    named = {device["device_id"]: device for device in (await mio.get(f"{V3}/devices"))["devices"]}
    assert named[mio.device_id]["display_name"] == "スマホ"
    assert named[other.device_id]["display_name"] == "another phone"
    assert named[other.device_id]["last_seen_ts"] > 0
    assert (await mio.get(f"{V3}/devices/{other.device_id}"))["device_id"] == other.device_id
    await refused(mio.get(f"{V3}/devices/NOSUCH"), 404, "M_NOT_FOUND")
    await refused(mio.put(f"{V3}/devices/NOSUCH", {"display_name": "x"}), 404, "M_NOT_FOUND")
    await refused(mio.put(f"{V3}/devices/{mio.device_id}", {"display_name": "x" * 300}), 400, "M_INVALID_PARAM")
    assert await mio.put(f"{V3}/devices/{mio.device_id}", {}) == {}


async def test_a_device_goes_after_its_owner_has_shown_the_password(mio: Person, ken: Person) -> None:
    other = await mio.logs_in_again()
    path = f"{V3}/devices/{other.device_id}"
    asked = await refused(mio.delete(path), 401)
    session = asked.body["session"]
    assert asked.body["flows"] == [{"stages": ["m.login.password"]}]
    wrong = await refused(mio.delete(path, proof(mio, session, password="wrong")), 401, "M_FORBIDDEN")
    assert wrong.body["session"] == session
    assert wrong.body["completed"] == []
    not_me = {"auth": password_login(ken.localpart, ken.password) | {"session": session}}
    await refused(mio.delete(path, not_me), 401, "M_FORBIDDEN")
    await refused(mio.delete(path, {"auth": {"session": session}}), 401)
    await refused(mio.delete(path, {"auth": {"type": "m.login.dummy", "session": session}}), 401, "M_UNRECOGNIZED")
    assert await mio.delete(path, proof(mio, session)) == {}
    await refused(other.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    # What is gone already is gone well.
    assert await mio.delete(path, proof(mio)) == {}


async def test_proof_for_one_thing_is_none_for_another(mio: Person) -> None:
    others = [await mio.logs_in_again() for _ in range(2)]
    asked = await refused(mio.delete(f"{V3}/devices/{others[0].device_id}"), 401)
    only_session = {"auth": {"session": asked.body["session"]}}
    other = await refused(mio.delete(f"{V3}/devices/{others[1].device_id}", only_session), 401)
    assert other.body["session"] != asked.body["session"]


async def test_several_devices_go_at_once(mio: Person) -> None:
    others = [await mio.logs_in_again() for _ in range(3)]
    ids = [other.device_id for other in others]
    asked = await refused(mio.post(f"{V3}/delete_devices", {"devices": ids}), 401)
    await mio.post(f"{V3}/delete_devices", {"devices": [*ids, "NOSUCH"]} | proof(mio, asked.body["session"]))
    for other in others:
        await refused(other.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    await refused(mio.post(f"{V3}/delete_devices", {}), 400)


# -- password ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("logout_devices", [True, False])
async def test_a_new_password(mio: Person, logout_devices: bool) -> None:
    other = await mio.logs_in_again()
    body = {"new_password": "雨の日の傘", "logout_devices": logout_devices}
    asked = await refused(mio.post(f"{V3}/account/password", body), 401)
    await mio.post(f"{V3}/account/password", body | proof(mio, asked.body["session"]))
    await mio.get(f"{V3}/account/whoami")
    if logout_devices:
        await refused(other.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    else:
        await other.get(f"{V3}/account/whoami")
    await refused(mio.logs_in_again(), 403, "M_FORBIDDEN")
    mio.password = "雨の日の傘"
    await mio.logs_in_again()
    empty = {"new_password": ""} | proof(mio)
    await refused(mio.post(f"{V3}/account/password", empty), 400, "M_WEAK_PASSWORD")


async def test_a_closed_account_stays_closed(cast: Cast, mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    asked = await refused(mio.post(f"{V3}/account/deactivate"), 401)
    answer = await mio.post(f"{V3}/account/deactivate", proof(mio, asked.body["session"]))
    assert answer["id_server_unbind_result"] == "no-support"
    await refused(mio.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    await refused(mio.logs_in_again(), 403, "M_FORBIDDEN")
    body = {"username": mio.localpart, "password": "long enough", "auth": {"type": "m.login.dummy"}}
    await refused(cast.line.call("POST", f"{V3}/register", body), 400, "M_USER_IN_USE")
    assert (await ken.members(room))[mio.user_id] == "leave"


# -- profile -----------------------------------------------------------------------------------------------------------
async def test_a_profile_has_a_name_a_picture_and_anything_else(mio: Person, ken: Person) -> None:
    path = f"{V3}/profile/{segment(mio.user_id)}"
    assert await mio.get(path) == {}
    await refused(mio.get(f"{path}/displayname"), 404, "M_NOT_FOUND")
    await mio.put(f"{path}/displayname", {"displayname": "みお"})
    await mio.put(f"{path}/avatar_url", {"avatar_url": "mxc://madoguchi.test/abc"})
    await mio.put(f"{path}/m.tz", {"m.tz": "Asia/Tokyo"})
    await mio.put(f"{path}/jp.example.pets", {"jp.example.pets": [{"cat": 1.5, "name": "\u0000"}, None]})
    assert await ken.get(path) == {
        "displayname": "みお",
        "avatar_url": "mxc://madoguchi.test/abc",
        "m.tz": "Asia/Tokyo",
        "jp.example.pets": [{"cat": 1.5, "name": "\u0000"}, None],
    }
    assert await ken.get(f"{path}/displayname") == {"displayname": "みお"}
    await mio.delete(f"{path}/m.tz")
    await mio.delete(f"{path}/avatar_url")
    await mio.delete(f"{path}/jp.example.never")
    assert set(await mio.get(path)) == {"displayname", "jp.example.pets"}


async def test_a_profile_is_changed_by_its_owner_within_limits(mio: Person, ken: Person) -> None:
    path = f"{V3}/profile/{segment(mio.user_id)}"
    await refused(ken.put(f"{path}/displayname", {"displayname": "x"}), 403, "M_FORBIDDEN")
    await refused(ken.delete(f"{path}/displayname"), 403, "M_FORBIDDEN")
    await refused(mio.put(f"{path}/displayname", {}), 400, "M_MISSING_PARAM")
    await refused(mio.put(f"{path}/displayname", {"displayname": 5}), 400, "M_BAD_JSON")
    await refused(mio.put(f"{path}/displayname", {"displayname": "a\u0000b"}), 400, "M_INVALID_PARAM")
    await refused(mio.put(f"{path}/displayname", {"displayname": "あ" * 257}), 400, "M_INVALID_PARAM")
    await refused(mio.put(f"{path}/displayname", []), 400, "M_BAD_JSON")
    long, bad = "x" * 256, "Bad%20Key"
    await refused(mio.put(f"{path}/{long}", {long: 1}), 400, "M_KEY_TOO_LARGE")
    await refused(mio.put(f"{path}/{bad}", {"Bad Key": 1}), 400, "M_INVALID_PARAM")
    big = "x" * 65_000
    await mio.put(f"{path}/jp.example.big", {"jp.example.big": big})
    await refused(mio.put(f"{path}/jp.example.more", {"jp.example.more": big}), 400, "M_PROFILE_TOO_LARGE")
    nobody = segment("@nobody:" + mio.user_id.partition(":")[2])
    await refused(mio.get(f"{V3}/profile/{nobody}"), 404, "M_NOT_FOUND")
    await refused(mio.line.call("GET", path), 403, "M_FORBIDDEN")


async def test_rooms_learn_of_a_new_name(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    await ken.catches_up()
    await mio.put(f"{V3}/profile/{segment(mio.user_id)}/displayname", {"displayname": "みお"})
    event = await ken.waits_for(room, lambda event: "displayname" in event["content"])
    assert event["content"] == {"membership": "join", "displayname": "みお"}


async def test_only_people_in_the_same_room_are_found(mio: Person, ken: Person, aoi: Person) -> None:
    name = "名" + secrets.token_hex(4)
    await mio.put(f"{V3}/profile/{segment(mio.user_id)}/displayname", {"displayname": name.upper() + "%"})
    search = {"search_term": name, "limit": 5}
    assert await ken.post(f"{V3}/user_directory/search", search) == {"results": [], "limited": False}
    await mio.opens_a_room(with_=[ken])
    [found] = (await ken.post(f"{V3}/user_directory/search", search))["results"]
    assert found == {"user_id": mio.user_id, "display_name": name.upper() + "%"}
    by_id = {"search_term": mio.localpart.upper()}
    assert len((await ken.post(f"{V3}/user_directory/search", by_id))["results"]) == 1
    for term in ("%", "_"):
        results = (await ken.post(f"{V3}/user_directory/search", {"search_term": term}))["results"]
        assert [person["user_id"] for person in results] == ([mio.user_id] if term == "%" else [])
    assert (await aoi.post(f"{V3}/user_directory/search", search))["results"] == []
    assert (await ken.post(f"{V3}/user_directory/search", {"search_term": ""}))["results"] == []


# -- administration ----------------------------------------------------------------------------------------------------
async def test_only_administrators_administrate(mio: Person, ken: Person) -> None:
    who = segment(mio.user_id)
    assert mio.device_id in (await mio.get(f"{V3}/admin/whois/{who}"))["devices"]
    await refused(ken.get(f"{V3}/admin/whois/{who}"), 403, "M_FORBIDDEN")
    for what in ("lock", "suspend"):
        await refused(ken.get(f"{V1}/admin/{what}/{who}"), 403, "M_FORBIDDEN")
        await refused(ken.put(f"{V1}/admin/{what}/{who}", {f"{what}ed": True}), 403, "M_FORBIDDEN")
        nobody = segment("@nobody:elsewhere")
        await refused(ken.get(f"{V1}/admin/{what}/{nobody}"), 403, "M_FORBIDDEN")


# -- rubbish -----------------------------------------------------------------------------------------------------------
RUBBISH = [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a":NaN}', b'{"a":' * 3000]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{V3}/login"),
        ("POST", f"{V3}/register"),
        ("POST", f"{V3}/refresh"),
        ("POST", f"{V3}/account/password"),
        ("POST", f"{V3}/account/deactivate"),
        ("POST", f"{V3}/delete_devices"),
        ("DELETE", f"{V3}/devices/X"),
        ("POST", f"{V3}/user_directory/search"),
    ],
)
async def test_rubbish_is_refused_politely(mio: Person, method: str, path: str) -> None:
    for body in RUBBISH:
        await refused(mio.call(method, path, raw=body))
    await mio.get(f"{V3}/account/whoami")


async def test_unknown_paths_and_methods(cast: Cast, mio: Person) -> None:
    await refused(mio.get(f"{V3}/nothing"), 404, "M_UNRECOGNIZED")
    await refused(mio.post(f"{V3}/account/whoami"), 405, "M_UNRECOGNIZED")
    async with aiohttp.ClientSession() as http, http.get(f"{cast.base_url}/_matrix/federation/v1/version") as answer:
        assert answer.status == 404
