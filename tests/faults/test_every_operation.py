"""Every operation is fed what it should not eat: it answers a Matrix error, never a 5xx, and goes on."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from tests import oracle
from tests.cast import Cast, Person, Refusal, a_cast, register, segment
from tests.faults.fodder import Operation, bodies, operations, queries
from tests.house import House

OPERATIONS = operations()
EVERY = pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])
FED = [operation for operation in OPERATIONS if operation.body is not None or operation.query is not None]
EVERY_FED = pytest.mark.parametrize("operation", FED, ids=[operation.name for operation in FED])
RELAXED = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

# Well-formed and ill-formed, of the wrong top-level type, too deep, not text, too long a number, twice the same key.
RUBBISH = [
    b"", b"{", b"nonsense", b"[]", b"null", b"true", b'"text"', b"1e400", b"{}x", b"\xff\xfe{}", b'{"a":"\xff"}',
    b'{"a":"\xed\xa0\x80"}', b'{"a":"\\ud800"}', b'{"a":"\\u0000"}', b'{"\\u0000":1}', b"[" * 3_000,
    b'{"a":' + b"9" * 5000 + b"}", b'{"a":1,"a":2}', b'{"a":NaN}', b'\xef\xbb\xbf{"a":1}',
]  # fmt: skip
# Large as well, and so only for a few: bodies are read in one place.
LARGE = [b"[" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000]


@pytest.fixture(scope="module")
def quiet_house(house: House) -> Iterator[House]:
    """The house, and afterwards a look into its log: no request may have broken in it."""
    if not (log := house.data / "logs" / "serve.log").exists():
        yield house
        return
    before = log.stat().st_size
    yield house
    with log.open("rb") as file:
        file.seek(before)
        broken = [line for line in file if b'"request failed"' in line]
    assert not broken, broken[:5]


@pytest.fixture
async def cast(quiet_house: House) -> AsyncIterator[Cast]:
    async for cast in a_cast(quiet_house.base_url):
        yield cast


# The account that is used until an operation ends it: making one costs a password hash.
KEPT: dict[str, Person] = {}


@pytest.fixture
async def aoi(cast: Cast) -> Person:
    """葵 feeds the server."""
    if "aoi" not in KEPT:
        KEPT["aoi"] = await register(cast.line, "aoi")
    person = KEPT["aoi"].through(cast.line)
    await stage(person)
    return person


async def stage(person: Person) -> str:
    """A room of this person; whose session or room is gone gets a new one."""
    try:
        rooms = await person.get("/_matrix/client/v3/joined_rooms")
    except Refusal:
        KEPT["aoi"] = await register(person.line, "aoi")
        person.__dict__.update(KEPT["aoi"].__dict__)
        rooms = {"joined_rooms": []}
    return str(rooms["joined_rooms"][0]) if rooms["joined_rooms"] else await person.opens_a_room()


def filled(operation: Operation, person: Person, room: str, other: str | None = None) -> str:
    """The operation's path with real ids in it, or `other` in every place."""
    known = {
        "user_id": person.user_id, "room_id": room, "room_id_or_alias": room, "device_id": person.device_id,
        "event_type": "jp.example.x", "type": "jp.example.x", "txn_id": secrets.token_hex(4), "state_key": "",
        "server_name": person.user_id.split(":", 1)[1], "kind": "override", "scope": "global", "receipt_type": "m.read",
        "key_name": "displayname", "rule_id": ".m.rule.master", "attr": "enabled", "event_id": "$none",
    }  # fmt: skip

    def value(match: re.Match[str]) -> str:
        text = other if other is not None else known.get(match[1], "x")
        return text if other is not None else segment(text)

    return re.sub(r"\{(\w+)\}", value, operation.row.path)


async def feed(person: Person, operation: Operation, path: str, raw: bytes | None, query: dict[str, str]) -> int:
    """One request; the oracle looks at the answer."""
    # Nobody waits here: a long poll would only take time.
    query = query | dict.fromkeys(
        [key for key in query if key.startswith("timeout")] or ["timeout"] * ("after" in query), "0"
    )
    url = URL(person.line.base_url + path, encoded=True).update_query(query)
    headers = {"Authorization": f"Bearer {person.token}", "Content-Type": "application/json"}
    method = operation.row.method
    async with person.line.http.request(method, url, data=raw, headers=headers, allow_redirects=False) as answer:
        oracle.check(method, path, answer.status, answer.content_type, await answer.read())
        return answer.status


@EVERY
async def test_rubbish_instead_of_a_body(operation: Operation, aoi: Person) -> None:
    room = await stage(aoi)
    path = filled(operation, aoi, room)
    for raw in RUBBISH + LARGE * (OPERATIONS.index(operation) % 10 == 0):
        status = await feed(aoi, operation, path, raw, {})
        is_json = operation.body is not None
        assert not (is_json and raw in (b"{", b"nonsense", b"\xff\xfe{}") and status < 400), raw


@EVERY_FED
@RELAXED
@given(data=st.data())
async def test_bodies_and_queries_that_are_nearly_right(operation: Operation, aoi: Person, data: st.DataObject) -> None:
    room = await stage(aoi)
    body = data.draw(bodies(operation), label="body")
    query = data.draw(queries(operation), label="query")
    raw = json.dumps(body).encode()
    await feed(aoi, operation, filled(operation, aoi, room), raw if operation.row.method != "GET" else None, query)


@EVERY
async def test_odd_things_in_the_path(operation: Operation, aoi: Person) -> None:
    if "{" not in operation.row.path:
        return
    odd = [
        "%00",
        "%FF%FE",
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e",
        "%ED%A0%80",
        "a" * 3000,
        "%F0%9F%8C%99",
        "%25",
        "'",
        "@",
        "!",
        "%0A",
    ]
    for text in odd:
        path = filled(operation, aoi, "", other=text)
        status = await feed(aoi, operation, path, b"{}" if operation.row.method != "GET" else None, {})
        assert status < 500


@EVERY
async def test_without_a_token_and_with_a_wrong_one(operation: Operation, aoi: Person) -> None:
    path = filled(operation, aoi, "!none:madoguchi.test")
    url = URL(aoi.line.base_url + path, encoded=True)
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer \xe9"},
    ):
        async with aiohttp.ClientSession() as http:
            raw = b"{}" if operation.row.method != "GET" else None
            async with http.request(
                operation.row.method, url, data=raw, headers=headers, allow_redirects=False
            ) as answer:
                oracle.check(operation.row.method, path, answer.status, answer.content_type, await answer.read())


async def test_afterwards_the_house_still_stands(quiet_house: House, cast: Cast) -> None:
    mio, ken = await asyncio.gather(cast.person("mio"), cast.person("ken"))
    room = await mio.opens_a_room(with_=[ken])
    await mio.says(room, "まだいる？")
    await ken.sees(room, "まだいる？")
