"""A house with its doors on the latch: registration by token, limits on, a proxy in front, a bridge, two workers."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cast import V1, V3, Cast, Json, Line, Person, password_login, refused, segment
from tests.house import SERVER_NAME, Workers
from tests.matrix.test_media import picture as a_picture

TOKEN = "come-in-please"
AS_TOKEN = "as-" + secrets.token_hex(16)
REGISTRATION = f"""
id: paper-planes
url: null
as_token: {AS_TOKEN}
hs_token: {secrets.token_hex(16)}
sender_localpart: planes
rate_limited: false
namespaces:
  users: [{{regex: "@plane_.*", exclusive: true}}]
"""


@pytest.fixture(scope="module")
def strict() -> Iterator[Workers]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as directory:
        registration = Path(directory) / "planes.yaml"
        registration.write_text(REGISTRATION)
        settings = {
            "MADOGUCHI_REGISTRATION": "token",
            "MADOGUCHI_REGISTRATION_TOKEN": TOKEN,
            "MADOGUCHI_LIMITS": "on",
            "MADOGUCHI_ROOM_DIRECTORY": "closed",
            "MADOGUCHI_TRUSTED_PROXIES": "127.0.0.0/8",
            "MADOGUCHI_MEDIA_UNAUTHENTICATED": "on",
            "MADOGUCHI_APPSERVICES": str(registration),
        }
        workers = Workers(Path(directory), count=2, env=settings)
        try:
            workers.start()
            yield workers
        finally:
            workers.stop()


class Crowd:
    """Two workers and people who come from addresses of their own."""

    def __init__(self, workers: Workers, cast: Cast) -> None:
        self.workers = workers
        self.lines = [cast.line_to(url) for url in workers.base_urls]

    async def person(self, name: str, **more: Any) -> Person:
        password = secrets.token_urlsafe(12)
        auth = {"type": "m.login.registration_token", "token": TOKEN}
        body = {"username": f"{name}-{secrets.token_hex(4)}", "password": password, "auth": auth} | more
        login = await self.lines[0].call("POST", f"{V3}/register", body, headers=an_address())
        return Person(self.lines[0], name, password, login)

    async def planes(self, method: str, path: str, body: Any = None, line: Line | None = None, **query: Any) -> Any:
        return await (line or self.lines[0]).call(method, path, body, token=AS_TOKEN, **query)

    def sql(self, statement: str) -> str:
        return self.workers.postgres.psql(statement, "madoguchi")


def an_address() -> dict[str, str]:
    return {"X-Forwarded-For": ".".join(str(1 + secrets.randbelow(250)) for _ in range(4))}


@pytest.fixture
async def crowd(strict: Workers) -> AsyncIterator[Crowd]:
    cast = Cast(strict.base_urls[0])
    try:
        yield Crowd(strict, cast)
    finally:
        await cast.leave_the_stage()


# -- registration by token ---------------------------------------------------------------------------------------------
async def test_only_whoever_has_the_token_registers(crowd: Crowd) -> None:
    here, there = crowd.lines
    body: Json = {"username": "tokens-" + secrets.token_hex(4), "password": "long enough"}
    at = an_address()
    asked = await refused(here.call("POST", f"{V3}/register", body, headers=at), 401)
    assert asked.body["flows"] == [{"stages": ["m.login.registration_token"]}]
    session = asked.body["session"]
    for wrong in ("", "wrong", TOKEN + "x", "日本"):
        auth = {"auth": {"type": "m.login.registration_token", "token": wrong, "session": session}}
        await refused(here.call("POST", f"{V3}/register", body | auth, headers=at), 401, "M_FORBIDDEN")
    dummy = {"auth": {"type": "m.login.dummy", "session": session}}
    await refused(here.call("POST", f"{V3}/register", body | dummy, headers=at), 401, "M_UNRECOGNIZED")
    auth = {"auth": {"type": "m.login.registration_token", "token": TOKEN, "session": session}}
    assert (await there.call("POST", f"{V3}/register", body | auth, headers=at))["access_token"]
    path = f"{V1}/register/m.login.registration_token/validity"
    assert await here.call("GET", path, token_=TOKEN, headers=at) == {"valid": True}
    assert await here.call("GET", path, token_="x", headers=at) == {"valid": False}


# -- several workers ---------------------------------------------------------------------------------------------------
async def test_a_session_of_interactive_authentication_outlives_its_worker(crowd: Crowd, strict: Workers) -> None:
    mio = await crowd.person("mio")
    other = await mio.logs_in_again()
    path = f"{V3}/devices/{other.device_id}"
    asked = await refused(mio.delete(path), 401)
    strict.kills(0)
    proof = password_login(mio.localpart, mio.password) | {"session": asked.body["session"]}
    told = await refused(mio.through(crowd.lines[1]).delete(path, {"auth": proof | {"password": "x"}}), 401)
    assert told.body["session"] == asked.body["session"]
    strict.opens(0)
    await mio.delete(path, {"auth": proof})
    await refused(other.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")


async def test_a_logout_reaches_the_other_worker(crowd: Crowd) -> None:
    mio = await crowd.person("mio")
    there = mio.through(crowd.lines[1])
    await there.get(f"{V3}/account/whoami")
    await mio.post(f"{V3}/logout")
    await refused(mio.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    await asyncio.sleep(0.5)
    await refused(there.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")


async def test_an_expired_token_is_a_soft_logout(crowd: Crowd) -> None:
    mio = await crowd.person("mio", refresh_token=True)
    crowd.sql(f"UPDATE sessions SET expires_at = 1 WHERE user_id = '{mio.user_id}'")
    told = await refused(mio.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")
    assert told.body["soft_logout"] is True
    renewed = await mio.line.call("POST", f"{V3}/refresh", {"refresh_token": mio.login["refresh_token"]})
    mio.token = renewed["access_token"]
    assert (await mio.get(f"{V3}/account/whoami"))["device_id"] == mio.device_id


async def test_nothing_but_hashes_is_stored(crowd: Crowd) -> None:
    mio = await crowd.person("mio", refresh_token=True)
    stored = crowd.sql("SELECT * FROM sessions") + crowd.sql("SELECT * FROM accounts")
    for secret in (mio.token, mio.login["refresh_token"], mio.password):
        assert secret not in stored
        assert secret.encode().hex() not in stored


# -- limits ------------------------------------------------------------------------------------------------------------
async def test_a_classroom_gets_in_and_a_flood_does_not(crowd: Crowd) -> None:
    at = an_address()

    async def tries(times: int) -> list[Any]:
        body = {"username": "", "password": "x"}
        return [await refused(crowd.lines[0].call("POST", f"{V3}/register", body, headers=at)) for _ in range(times)]

    assert {told.status for told in await tries(40)} == {400}
    [*_, last] = await tries(60)
    assert last.errcode == "M_LIMIT_EXCEEDED"
    assert 0 < last.body["retry_after_ms"] <= 2_000
    # Somebody at another address does not notice.
    await crowd.person("mio")


async def test_passwords_are_not_guessed(crowd: Crowd) -> None:
    mio = await crowd.person("mio")
    at = an_address()
    wrong = password_login(mio.localpart, "wrong")
    told = [await refused(mio.line.call("POST", f"{V3}/login", wrong, headers=at)) for _ in range(12)]
    assert told[0].errcode == "M_FORBIDDEN"
    assert told[-1].errcode == "M_LIMIT_EXCEEDED"
    # From their own address, the person gets in all the same.
    await mio.line.call("POST", f"{V3}/login", password_login(mio.localpart, mio.password), headers=an_address())


async def test_what_the_client_makes_up_of_its_address_does_not_count(crowd: Crowd) -> None:
    mio = await crowd.person("mio")
    real = an_address()["X-Forwarded-For"]
    wrong = password_login(mio.localpart, "wrong")
    for number in range(12):
        at = {"X-Forwarded-For": f"10.9.8.{number}, {real}, 127.0.0.7"}
        told = await refused(mio.line.call("POST", f"{V3}/login", wrong, headers=at))
    assert told.errcode == "M_LIMIT_EXCEEDED"


# -- a bridge ----------------------------------------------------------------------------------------------------------
async def test_a_bridge_registers_and_speaks_for_its_ghosts(crowd: Crowd) -> None:
    name = "plane_" + secrets.token_hex(4)
    user = f"@{name}:{SERVER_NAME}"
    body = {"type": "m.login.application_service", "username": name, "inhibit_login": True}
    assert await crowd.planes("GET", f"{V3}/account/whoami") == {"user_id": f"@planes:{SERVER_NAME}", "is_guest": False}
    await refused(crowd.planes("GET", f"{V3}/account/whoami", user_id=user), 403, "M_FORBIDDEN")
    assert (await crowd.planes("POST", f"{V3}/register", body))["user_id"] == user
    await refused(crowd.planes("POST", f"{V3}/register", body), 400, "M_USER_IN_USE")
    assert (await crowd.planes("GET", f"{V3}/account/whoami", user_id=user))["user_id"] == user
    stranger = await crowd.person("mio")
    await refused(crowd.planes("GET", f"{V3}/account/whoami", user_id=stranger.user_id), 403, "M_FORBIDDEN")
    await refused(crowd.planes("POST", f"{V3}/register", body | {"username": "else"}), 400, "M_EXCLUSIVE")
    await refused(stranger.post(f"{V3}/register", body | {"username": name + "x"}), 403, "M_FORBIDDEN")

    # A device made without logging in, with nobody to ask for a password (v1.17).
    whoami = f"{V3}/account/whoami"
    await refused(crowd.planes("GET", whoami, user_id=user, device_id="PLANE"), 400, "M_UNKNOWN_DEVICE")
    await crowd.planes("PUT", f"{V3}/devices/PLANE", {"display_name": "paper"}, user_id=user)
    await crowd.planes("PUT", f"{V3}/devices/PLANE", {"display_name": "paper plane"}, user_id=user)
    assert (await crowd.planes("GET", whoami, user_id=user, device_id="PLANE"))["device_id"] == "PLANE"
    await crowd.planes("PUT", f"{V3}/profile/{segment(user)}/displayname", {"displayname": "紙"}, user_id=user)
    await crowd.planes("DELETE", f"{V3}/devices/PLANE", {}, user_id=user)
    assert await crowd.planes("GET", f"{V3}/devices", user_id=user) == {"devices": []}


async def test_a_bridge_logs_its_ghosts_in(crowd: Crowd) -> None:
    name = "plane_" + secrets.token_hex(4)
    body: Json = {"type": "m.login.application_service", "username": name}
    first = await crowd.planes("POST", f"{V3}/register", body)
    login = {"type": "m.login.application_service", "identifier": {"type": "m.id.user", "user": name}}
    answer = await crowd.planes("POST", f"{V3}/login", login | {"device_id": "GHOST"})
    assert answer["device_id"] == "GHOST"
    for token in (first["access_token"], answer["access_token"]):
        assert (await crowd.lines[1].call("GET", f"{V3}/account/whoami", token=token))["user_id"] == first["user_id"]
    await refused(crowd.lines[0].call("POST", f"{V3}/login", login), 401, "M_MISSING_TOKEN")
    other = {"type": "m.id.user", "user": "somebody"}
    await refused(crowd.planes("POST", f"{V3}/login", login | {"identifier": other}), 400, "M_EXCLUSIVE")
    unknown = {"type": "m.id.user", "user": "plane_unknown"}
    await refused(crowd.planes("POST", f"{V3}/login", login | {"identifier": unknown}), 403, "M_FORBIDDEN")


async def test_a_bridge_is_pinged_where_it_can_be(crowd: Crowd) -> None:
    await refused(crowd.planes("POST", f"{V1}/appservice/paper-planes/ping", {}), 400, "M_URL_NOT_SET")
    await refused(crowd.planes("POST", f"{V1}/appservice/another/ping", {}), 403, "M_FORBIDDEN")
    mio = await crowd.person("mio")
    await refused(mio.post(f"{V1}/appservice/paper-planes/ping"), 403, "M_FORBIDDEN")


async def test_no_room_is_published_unless_the_operator_wants_it(crowd: Crowd) -> None:
    mio = await crowd.person("mio")
    await refused(mio.opens_a_room(visibility="public"), 403, "M_FORBIDDEN")
    room = await mio.opens_a_room(preset="public_chat")
    where = f"{V3}/directory/list/room/{segment(room)}"
    await refused(mio.put(where, {"visibility": "public"}), 403, "M_FORBIDDEN")
    await mio.put(where, {"visibility": "private"})
    assert (await mio.get(f"{V3}/publicRooms"))["chunk"] == []


# -- old clients -------------------------------------------------------------------------------------------------------
async def test_old_media_paths_answer_where_the_operator_wants_them(crowd: Crowd) -> None:
    mio = await crowd.person("mio")
    text = {"Content-Type": "text/plain"}
    uri = (await mio.call("POST", "/_matrix/media/v3/upload", raw=b"hello", headers=text))["content_uri"]
    where = uri.removeprefix("mxc://")
    assert await crowd.lines[1].call("GET", f"/_matrix/media/v3/download/{where}/x.txt") == b"hello"
    assert await crowd.lines[1].call("GET", f"/_matrix/media/r0/download/{where}") == b"hello"
    picture = {"Content-Type": "image/png"}
    uri = (await mio.call("POST", "/_matrix/media/v3/upload", raw=a_picture(9, 9, "PNG"), headers=picture))[
        "content_uri"
    ]
    thumbnail = f"/_matrix/media/v3/thumbnail/{uri.removeprefix('mxc://')}"
    assert await crowd.lines[1].call("GET", thumbnail, width=32, height=32)


async def test_nobody_fills_the_disk(crowd: Crowd) -> None:
    mio, ken = await crowd.person("mio"), await crowd.person("ken")
    upload = "/_matrix/media/v3/upload"
    await mio.call("POST", upload, raw=b"x")
    crowd.sql(f"UPDATE media SET size = 200 * 1024 * 1024 WHERE owner = '{mio.user_id}'")
    await refused(mio.call("POST", upload, raw=b"x"), 429, "M_LIMIT_EXCEEDED")
    reserved = (await mio.post("/_matrix/media/v1/create"))["content_uri"].removeprefix("mxc://")
    await refused(mio.call("PUT", f"{upload}/{reserved}", raw=b"x"), 429, "M_LIMIT_EXCEEDED")
    await ken.call("POST", upload, raw=b"x")
    crowd.sql(f"UPDATE media SET created_at = created_at - 86400000 WHERE owner = '{mio.user_id}'")
    await mio.call("POST", upload, raw=b"x")


# -- administrators ----------------------------------------------------------------------------------------------------
async def test_an_administrator_locks_and_suspends(crowd: Crowd) -> None:
    admin, other, mio = [await crowd.person(name) for name in ("admin", "other", "mio")]
    for person in (admin, other):
        crowd.sql(
            "INSERT INTO staff (user_id, name, role, capacity, added_at)"
            f" VALUES ('{person.user_id}', '{person.name}', 'administrator', 1, now())"
        )
        crowd.sql(f"UPDATE accounts SET kind = 'staff' WHERE user_id = '{person.user_id}'")
    who = segment(mio.user_id)
    lock, suspend = f"{V1}/admin/lock/{who}", f"{V1}/admin/suspend/{who}"
    assert (await admin.get(f"{V3}/capabilities"))["capabilities"]["m.account_moderation"] == {
        "lock": True,
        "suspend": True,
    }
    assert await admin.get(lock) == {"locked": False}
    assert await admin.put(lock, {"locked": True}) == {"locked": True}
    told = await refused(mio.get(f"{V3}/account/whoami"), 401, "M_USER_LOCKED")
    assert told.body["soft_logout"] is True
    await refused(mio.logs_in_again(), 401, "M_USER_LOCKED")
    await admin.put(lock, {"locked": False})
    await mio.get(f"{V3}/account/whoami")

    room = await mio.opens_a_room()
    await admin.put(suspend, {"suspended": True})
    assert await admin.get(suspend) == {"suspended": True}
    name = f"{V3}/profile/{who}/displayname"
    await refused(mio.put(name, {"displayname": "x"}), 403, "M_USER_SUSPENDED")
    await refused(mio.call("POST", "/_matrix/media/v3/upload", raw=b"x"), 403, "M_USER_SUSPENDED")
    await refused(mio.says(room, "x"), 403, "M_USER_SUSPENDED")
    await refused(mio.opens_a_room(), 403, "M_USER_SUSPENDED")
    await refused(mio.invites(room, other), 403, "M_USER_SUSPENDED")
    await mio.sync()
    await mio.leaves(room)
    await admin.put(suspend, {"suspended": False})
    await mio.put(name, {"displayname": "みお"})

    await admin.put(lock, {"locked": True})
    await mio.post(f"{V3}/logout")
    await refused(mio.get(f"{V3}/account/whoami"), 401, "M_UNKNOWN_TOKEN")

    mine, others = segment(admin.user_id), segment(other.user_id)
    await refused(admin.put(f"{V1}/admin/lock/{mine}", {"locked": True}), 403, "M_FORBIDDEN")
    await refused(admin.put(f"{V1}/admin/lock/{others}", {"locked": True}), 403, "M_FORBIDDEN")
    await refused(admin.get(f"{V1}/admin/lock/{segment('@x:elsewhere')}"), 400, "M_INVALID_PARAM")
    await refused(admin.get(f"{V1}/admin/lock/{segment('@x:' + SERVER_NAME)}"), 404, "M_NOT_FOUND")
    await refused(admin.put(lock, {}), 400)
    seen = (await admin.get(f"{V3}/admin/whois/{mine}"))["devices"][admin.device_id]["sessions"][0]["connections"][0]
    assert seen["last_seen"] > 0
    assert seen["ip"]
