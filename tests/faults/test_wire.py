"""Below HTTP's good manners: what arrives on the socket may be anything."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.cast import V3, Cast, Person, refused
from tests.house import House, healthy


async def spoken(base_url: str, raw: bytes, *, patience_s: float = 10) -> tuple[int, bytes]:
    """Send bytes as they are; answers status (0: closed without an answer) and the rest of what came."""
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(raw)
        await writer.drain()
        head = await asyncio.wait_for(reader.read(65536), patience_s)
        return (int(head.split(b" ", 2)[1]), head) if head.startswith(b"HTTP/1.") else (0, head)
    except (ConnectionError, BrokenPipeError):
        return 0, b""
    finally:
        writer.close()


GET = b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
PUT = b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,  # TLS spoken to a plain port
        GET + b"X-Big: " + b"a" * 200_000 + b"\r\n\r\n",
        GET + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + b"Bad Header: x\r\n\r\n",
        GET + b"X: \x00\r\n\r\n",
        PUT + b"Content-Length: -1\r\n\r\n{}",
        PUT + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        PUT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        PUT + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        PUT + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        PUT + b"Content-Encoding: nonsense\r\nContent-Length: 2\r\n\r\n{}",
        PUT + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
        PUT + b"Expect: nonsense\r\nContent-Length: 2\r\n\r\n{}",
        PUT + b"Content-Type: text/plain; charset=utf-7\r\nContent-Length: 2\r\n\r\n{}",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://example.org/_matrix/client/versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET //example.org/_matrix HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /_matrix/client/versions HTTP/1.1\r\nConnection: close\r\n\r\n",
    ],
)
async def test_anything_on_the_socket(house: House, raw: bytes) -> None:
    try:
        status, answer = await spoken(house.base_url, raw)
    except TimeoutError:
        pytest.fail("the server kept quiet")
    assert status < 500, answer[:500]
    assert healthy(house.base_url)


@pytest.mark.parametrize(
    "path",
    [
        "/_matrix/client/v3/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/assets/../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/%2e%2e/pyproject.toml", "/assets/..%5c..%5cetc", "/%00", "/assets/%00", "/%ff%fe",
        "/_matrix/client/v3/rooms//state", "/_matrix//client/v3/sync", "/_matrix/client/v3/sync/", "/_matrix",
        "/_matrix/federation/v1/version", "/_matrix/key/v2/server", "/_matrix/client/v99/sync", "/_madoguchi/",
        "/_madoguchi/desk/v1/", "/_matrix/media/v3/download/madoguchi.test/..%2F..%2Fkeys%2Fsecret.key",
        "/_matrix/client/v1/media/download/madoguchi.test/..%2F..%2Fkeys%2Fsecret.key", "/run.json", "/keys/secret.key",
        "/.git/config", "/guidance/../../run.json", "/staff/..%2f..%2frun.json", "/%" + "a" * 10, "/%zz", "/?%zz=%ff",
    ],
)  # fmt: skip
async def test_tricks_with_paths(house: House, aoi: Person, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {aoi.token}\r\nConnection: close\r\n\r\n"
    status, answer = await spoken(house.base_url, request.encode())
    assert status < 500, answer[:500]
    for secret in (b"root:", b"[project]", b"database_url", b"admin_link", b"repositoryformatversion"):
        assert secret not in answer
    if path.startswith(("/_matrix", "/_madoguchi")):
        assert status in (400, 401, 403, 404, 405), answer[:300]


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "HEAD", "DELETE", "NONSENSE"])
async def test_a_wrong_method_is_named_so(house: House, method: str) -> None:
    raw = f"{method} {V3}/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    status, _ = await spoken(house.base_url, raw)
    assert status in (405, 400)


async def test_unknown_paths_are_unrecognized(cast: Cast, aoi: Person) -> None:
    for path in ("/_matrix/client/v3/nothing", "/_matrix/nothing", "/_matrix/client/unstable/org.example/x"):
        await refused(aoi.get(path), 404, "M_UNRECOGNIZED")


async def test_giant_bodies_are_refused_before_they_are_read(house: House, cast: Cast, aoi: Person) -> None:
    giant = b'{"a":"' + b"x" * (80 * 1024 * 1024) + b'"}'
    for path in (f"{V3}/createRoom", f"{V3}/login", f"{V3}/keys/upload", "/_madoguchi/desk/v1/cases"):
        try:
            await refused(aoi.call("POST", path, raw=giant), 413, "M_TOO_LARGE")
        except OSError:
            pass  # the server may hang up on who goes on sending
    chunked = b"".join(b"100000\r\n" + b"x" * 0x100000 + b"\r\n" for _ in range(70)) + b"0\r\n\r\n"
    status, _ = await spoken(
        house.base_url,
        b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
    )
    assert status in (0, 413)
    assert healthy(house.base_url)


async def test_a_client_that_hangs_up_halfway_takes_nobody_with_it(house: House, mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    body = json.dumps({"msgtype": "m.text", "body": "x"}).encode()
    parts = urlsplit(house.base_url)
    for cut in range(40):
        path = f"{V3}/rooms/{room}/send/m.room.message/cut-{cut}"
        raw = (
            f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {mio.token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(raw[: len(raw) - 20 + cut // 2])
        await writer.drain()
        writer.transport.abort()
    await mio.says(room, "まだいる")
    await ken.sees(room, "まだいる")
    events = [e["event_id"] for e in await ken.reads_all(room, limit=100)]
    assert len(set(events)) == len(events)


async def test_many_slow_clients_do_not_stop_the_others(house: House, mio: Person, ken: Person) -> None:
    parts = urlsplit(house.base_url)
    slow = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(200)]
    for _, writer in slow:
        writer.write(b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    room = await mio.opens_a_room(with_=[ken])
    await mio.says(room, "すぐ届く")
    await ken.sees(room, "すぐ届く", within_s=5)
    for _, writer in slow:
        writer.transport.abort()
