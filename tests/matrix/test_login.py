"""Coming in and going out: logins in all their shapes, tokens, logout, registration with interactive authentication."""

import secrets
from typing import Any

import pytest

from tests.cast import V1, V3, Cast, Json, Person, password_login, refused

DUMMY = {"type": "m.login.dummy"}


def by_password(person: Person, **more: Any) -> Json:
    return password_login(person.localpart, person.password) | more


async def test_the_flows_are_told(cast: Cast) -> None:
    flows = (await cast.line.call("GET", f"{V3}/login"))["flows"]
    assert [flow["type"] for flow in flows] == [
        "m.login.password", "m.login.token", "m.login.application_service",
    ]  # fmt: skip


async def test_a_user_may_be_named_in_every_legal_way(cast: Cast, mio: Person) -> None:
    for name in (
        {"identifier": {"type": "m.id.user", "user": mio.localpart}},
        {"identifier": {"type": "m.id.user", "user": mio.user_id}},
        {"identifier": {"type": "m.id.user", "user": mio.localpart.upper()}},
        {"user": mio.localpart},
        {"user": mio.user_id},
    ):
        login = {"type": "m.login.password", "password": mio.password} | name
        answer = await cast.line.call("POST", f"{V3}/login", login)
        assert answer["user_id"] == mio.user_id
        assert (await cast.line.call("GET", f"{V3}/account/whoami", token=answer["access_token"])) == {
            "user_id": mio.user_id,
            "device_id": answer["device_id"],
            "is_guest": False,
        }


async def test_r0_is_the_old_name_of_v3(cast: Cast, mio: Person) -> None:
    answer = await cast.line.call("POST", "/_matrix/client/r0/login", by_password(mio))
    assert answer["user_id"] == mio.user_id


@pytest.mark.parametrize(
    ("change", "status", "errcode"),
    [
        ({"password": "wrong"}, 403, "M_FORBIDDEN"),
        ({"password": ""}, 403, "M_FORBIDDEN"),
        ({"password": "長" * 600}, 403, "M_FORBIDDEN"),
        ({"password": None}, 400, "M_MISSING_PARAM"),
        ({"password": 5}, 400, "M_BAD_JSON"),
        ({"identifier": None}, 400, "M_MISSING_PARAM"),
        ({"identifier": {"type": "m.id.user"}}, 400, "M_BAD_JSON"),
        ({"identifier": {"type": "m.id.user", "user": 7}}, 400, "M_BAD_JSON"),
        ({"identifier": {"user": "mio"}}, 400, "M_BAD_JSON"),
        ({"identifier": {"type": "m.id.user", "user": "nobody-at-all"}}, 403, "M_FORBIDDEN"),
        ({"identifier": {"type": "m.id.user", "user": "a\u0000b"}}, 400, None),
        ({"identifier": {"type": "m.id.user", "user": "@mio:elsewhere.example"}}, 403, "M_FORBIDDEN"),
        ({"identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "a@b.c"}}, 403, "M_FORBIDDEN"),
        ({"identifier": {"type": "m.id.phone", "country": "JP", "phone": "1"}}, 403, "M_FORBIDDEN"),
        ({"identifier": {"type": "m.id.stars"}}, 400, "M_UNKNOWN"),
        ({"type": "m.login.stars"}, 400, "M_UNKNOWN"),
        ({"type": None}, 400, None),
        ({"device_id": "a\nb"}, 400, "M_INVALID_PARAM"),
        ({"device_id": "x" * 300}, 400, "M_INVALID_PARAM"),
        ({"initial_device_display_name": "x" * 300}, 400, "M_INVALID_PARAM"),
    ],
)
async def test_other_logins_are_refused(
    cast: Cast, mio: Person, change: Json, status: int, errcode: str | None
) -> None:
    await refused(cast.line.call("POST", f"{V3}/login", by_password(mio) | change), status, errcode)


async def test_a_known_device_keeps_its_name_and_loses_its_old_token(cast: Cast, mio: Person) -> None:
    again = await mio.logs_in_again(device_id=mio.device_id, initial_device_display_name="another name")
    assert again.device_id == mio.device_id
    await refused(mio.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    [device] = (await again.get(f"{V3}/devices"))["devices"]
    assert device["display_name"] == "mio"


async def test_tokens_come_in_the_header_or_the_query(cast: Cast, mio: Person) -> None:
    path = f"{V3}/account/whoami"
    assert (await cast.line.call("GET", path, access_token=mio.token))["user_id"] == mio.user_id
    await refused(cast.line.call("GET", path), 401, "M_MISSING_TOKEN")
    for bad in ("nonsense", "mdga_" + "x" * 43, "x" * 4000, "日本"):
        refusal = await refused(cast.line.call("GET", path, access_token=bad), 401, "M_UNKNOWN_TOKEN")
        assert refusal.body["soft_logout"] is False
    await refused(cast.line.call("GET", path, headers={"Authorization": "Basic abc"}), 401, "M_MISSING_TOKEN")


async def test_logging_out_ends_the_session_at_once(mio: Person) -> None:
    other = await mio.logs_in_again()
    await mio.get(f"{V3}/account/whoami")
    await mio.post(f"{V3}/logout")
    await refused(mio.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    await refused(mio.post(f"{V3}/logout"), 401, "M_UNKNOWN_TOKEN")
    devices = (await other.get(f"{V3}/devices"))["devices"]
    assert [device["device_id"] for device in devices] == [other.device_id]


async def test_logging_out_everywhere_ends_every_session(mio: Person) -> None:
    others = [await mio.logs_in_again() for _ in range(2)]
    for person in (mio, *others):
        await person.get(f"{V3}/account/whoami")
    await others[0].post(f"{V3}/logout/all")
    for person in (mio, *others):
        await refused(person.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    assert (await mio.logs_in_again()).user_id == mio.user_id


# -- refresh tokens ----------------------------------------------------------------------------------------------------
async def renewed(cast: Cast, token: str) -> Json:
    answer: Json = await cast.line.call("POST", f"{V3}/refresh", {"refresh_token": token})
    return answer


async def test_a_refresh_token_gives_new_tokens_until_they_are_used(cast: Cast, mio: Person) -> None:
    async def whoami(token: str) -> Any:
        return await cast.line.call("GET", f"{V3}/account/whoami", token=token)

    first = await cast.line.call("POST", f"{V3}/login", by_password(mio, refresh_token=True))
    assert first["expires_in_ms"] > 0
    await whoami(first["access_token"])
    lost = await renewed(cast, first["refresh_token"])
    # The answer was lost on the way: the old refresh token is still good, what was lost is not.
    second = await renewed(cast, first["refresh_token"])
    await refused(whoami(lost["access_token"]), 401, "M_UNKNOWN_TOKEN")
    assert (await whoami(second["access_token"]))["device_id"] == first["device_id"]
    # The new tokens have been used: the old ones are gone.
    await refused(whoami(first["access_token"]), 401, "M_UNKNOWN_TOKEN")
    await refused(renewed(cast, first["refresh_token"]), 401, "M_UNKNOWN_TOKEN")
    third = await renewed(cast, second["refresh_token"])
    fourth = await renewed(cast, third["refresh_token"])
    await refused(renewed(cast, second["refresh_token"]), 401, "M_UNKNOWN_TOKEN")
    await whoami(fourth["access_token"])


async def test_a_session_without_refresh_does_not_expire(cast: Cast, mio: Person) -> None:
    assert "refresh_token" not in mio.login
    assert "expires_in_ms" not in mio.login
    await refused(renewed(cast, mio.token), 401, "M_UNKNOWN_TOKEN")
    await refused(cast.line.call("POST", f"{V3}/refresh", {}), 400)


# -- login tokens ------------------------------------------------------------------------------------------------------
async def test_a_login_token_lets_another_device_in_once(cast: Cast, mio: Person) -> None:
    asked = await refused(mio.post(f"{V1}/login/get_token"), 401)
    assert asked.body["flows"] == [{"stages": ["m.login.password"]}]
    auth = by_password(mio, session=asked.body["session"])
    token = (await mio.post(f"{V1}/login/get_token", {"auth": auth}))["login_token"]
    login = {"type": "m.login.token", "token": token}
    assert (await cast.line.call("POST", f"{V3}/login", login))["user_id"] == mio.user_id
    await refused(cast.line.call("POST", f"{V3}/login", login), 403, "M_FORBIDDEN")
    await refused(cast.line.call("POST", f"{V3}/login", {"type": "m.login.token", "token": "x"}), 403, "M_FORBIDDEN")
    await refused(cast.line.call("POST", f"{V3}/login", {"type": "m.login.token"}), 400, "M_MISSING_PARAM")


# -- registration ------------------------------------------------------------------------------------------------------
async def test_registration_asks_for_its_stages(cast: Cast) -> None:
    body = {"username": "stages-" + secrets.token_hex(4), "password": "long enough"}
    asked = await refused(cast.line.call("POST", f"{V3}/register", body), 401)
    assert asked.body["flows"] == [{"stages": ["m.login.dummy"]}]
    assert asked.body["params"] == {}
    assert "errcode" not in asked.body
    wrong = {"auth": {"type": "m.login.password", "session": asked.body["session"]}}
    told = await refused(cast.line.call("POST", f"{V3}/register", body | wrong), 401, "M_UNRECOGNIZED")
    assert told.body["session"] == asked.body["session"]
    good = {"auth": DUMMY | {"session": asked.body["session"]}}
    answer = await cast.line.call("POST", f"{V3}/register", body | good | {"inhibit_login": True})
    assert set(answer) == {"user_id", "home_server"}
    await refused(cast.line.call("POST", f"{V3}/register", body | {"auth": DUMMY}), 400, "M_USER_IN_USE")


async def test_a_name_is_made_up_where_none_is_given(cast: Cast) -> None:
    answer = await cast.line.call("POST", f"{V3}/register", {"auth": DUMMY, "device_id": "MYDEVICE"})
    assert answer["device_id"] == "MYDEVICE"
    assert len(answer["user_id"].split(":")[0]) > 12


@pytest.mark.parametrize("name", ["Mio", "mío", "澪", "a b", "", "a:b", "@a", "x" * 250, "a\u0000", "a/../b" + "?"])
async def test_names_that_are_none_are_refused_before_anything_else(cast: Cast, name: str) -> None:
    body = {"username": name, "password": "long enough"}
    await refused(cast.line.call("POST", f"{V3}/register", body), 400, "M_INVALID_USERNAME")


async def test_availability_is_told(cast: Cast, mio: Person) -> None:
    path = f"{V3}/register/available"
    assert await cast.line.call("GET", path, username="nobody-yet-" + mio.localpart) == {"available": True}
    await refused(cast.line.call("GET", path, username=mio.localpart), 400, "M_USER_IN_USE")
    await refused(cast.line.call("GET", path, username="ÄÖ"), 400, "M_INVALID_USERNAME")
    await refused(cast.line.call("GET", path, username="line_abc"), 400, "M_EXCLUSIVE")
    await refused(cast.line.call("GET", path), 400, "M_MISSING_PARAM")


async def test_nobody_takes_a_ghosts_name(cast: Cast) -> None:
    body = {"username": "line_stolen", "password": "long enough", "auth": DUMMY}
    await refused(cast.line.call("POST", f"{V3}/register", body), 400, "M_EXCLUSIVE")


async def test_there_are_no_guests(cast: Cast) -> None:
    await refused(cast.line.call("POST", f"{V3}/register", {}, kind="guest"), 403)
    await refused(cast.line.call("POST", f"{V3}/register", {}, kind="king"), 400)
    token = f"{V1}/register/m.login.registration_token/validity"
    await refused(cast.line.call("GET", token, token_="x"), 403, "M_FORBIDDEN")
