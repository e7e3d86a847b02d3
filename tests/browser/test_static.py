"""The page server by itself: what it serves, what it refuses, with which headers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from madoguchi.web.static import POLICY, Static


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pages = tmp_path / "dist"
    (pages / "assets").mkdir(parents=True)
    (pages / "staff").mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (pages / "index.html").write_text("<title>start</title>")
    (pages / "staff" / "index.html").write_text("<title>staff</title>")
    (pages / "assets" / "a-1.js").write_text("plain")
    (pages / "assets" / "a-1.js.br").write_bytes(b"brotli")
    (pages / "assets" / "a-1.js.gz").write_bytes(b"gzip")
    (pages / "assets" / "m-1.wasm").write_bytes(b"\0asm")
    (pages / "assets" / "out.json").symlink_to(tmp_path / "secret.json")
    return pages


@pytest.fixture
async def base(root: Path) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(Static(root)))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession(auto_decompress=False) as session:
        yield session


async def test_pages_are_asked_for_every_time_and_assets_once(base: str, http: ClientSession) -> None:
    page = await http.get(base + "/")
    assert (page.status, page.headers["Cache-Control"]) == (200, "no-cache")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    asset = await http.get(base + "/assets/m-1.wasm")
    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert asset.headers["Content-Type"] == "application/wasm"


async def test_what_lies_beside_compressed_is_sent_compressed(base: str, http: ClientSession) -> None:
    for accept, encoding, body in [
        ("br, gzip", "br", b"brotli"),
        ("gzip", "gzip", b"gzip"),
        ("identity", None, b"plain"),
    ]:
        answer = await http.get(base + "/assets/a-1.js", headers={"Accept-Encoding": accept})
        assert answer.headers.get("Content-Encoding") == encoding
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert await answer.read() == body


async def test_every_answer_carries_the_policy(base: str, http: ClientSession) -> None:
    for path in ("/", "/assets/a-1.js", "/staff", "/nothing"):
        answer = await http.get(base + path, allow_redirects=False)
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "unsafe-inline" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.json",
        "/%2e%2e/secret.json",
        "/assets/..%2f..%2fsecret.json",
        "/assets/out.json",
        "/assets/a-1.js.br",
        "//assets/a-1.js",
        "/assets/",
        "/assets/%00",
        "/" + "a" * 3000,
    ],
)
async def test_nothing_outside_is_served(base: str, http: ClientSession, path: str) -> None:
    answer = await http.get(URL(base + path, encoded=True), allow_redirects=False)
    assert answer.status == 404
    assert "189" in (await answer.text())


async def test_a_folder_gets_its_slash_and_writing_is_refused(base: str, http: ClientSession) -> None:
    moved = await http.get(base + "/staff", allow_redirects=False)
    assert (moved.status, moved.headers["Location"]) == (308, "/staff/")
    assert (await http.post(base + "/")).status == 405


async def test_a_house_without_pages_says_so(root: Path, base: str, http: ClientSession) -> None:
    (root / "index.html").unlink()
    answer = await http.get(base + "/")
    assert answer.status == 503
    assert "make setup" in await answer.text()
