"""Files up and down: whole, in parts, reserved first; and what a browser is told about them."""

import asyncio
import io
import json
import os
import secrets
from typing import Any

import aiohttp
from PIL import Image

from tests.cast import V1, V3, Cast, Person, refused

MEDIA = "/_matrix/media/v3"


async def uploads(person: Person, content: bytes, kind: str | None = "application/octet-stream", **query: Any) -> str:
    """Upload; answers SERVER/ID."""
    headers = {"Content-Type": kind} if kind else {}
    answer = await person.call("POST", f"{MEDIA}/upload", raw=content, headers=headers, **query)
    return str(answer["content_uri"]).removeprefix("mxc://")


async def raw(person: Person, path: str, **headers: str) -> tuple[int, Any, bytes]:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    sent["Authorization"] = f"Bearer {person.token}"
    async with person.line.http.get(person.line.base_url + path, headers=sent) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_what_goes_up_comes_down(mio: Person, ken: Person) -> None:
    for content in (b"", b"x", os.urandom(3_000_000)):
        where = await uploads(mio, content)
        status, headers, got = await raw(ken, f"{V1}/media/download/{where}")
        assert (status, got) == (200, content)
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"] == "attachment"
        assert headers["Content-Length"] == str(len(content))
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Access-Control-Allow-Origin"] == "*"


async def test_a_token_is_needed(cast: Cast, mio: Person) -> None:
    where = await uploads(mio, b"secret")
    await refused(cast.line.call("GET", f"{V1}/media/download/{where}"), 401, "M_MISSING_TOKEN")
    await refused(cast.line.call("GET", f"{MEDIA}/download/{where}"), 404, "M_NOT_FOUND")
    await refused(cast.line.call("GET", f"{MEDIA}/thumbnail/{where}", width=10, height=10), 404, "M_NOT_FOUND")
    await refused(cast.line.call("POST", f"{MEDIA}/upload", raw=b"x"), 401, "M_MISSING_TOKEN")


async def test_names_are_kept_for_what_is_not_encrypted(mio: Person) -> None:
    where = await uploads(mio, b"hello", "text/plain; charset=utf-8", filename="時間割 1.txt")
    _, headers, _ = await raw(mio, f"{V1}/media/download/{where}")
    assert headers["Content-Disposition"] == "inline; filename*=utf-8''%E6%99%82%E9%96%93%E5%89%B2%201.txt"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    _, headers, _ = await raw(mio, f"{V1}/media/download/{where}/other.txt")
    assert headers["Content-Disposition"] == "inline; filename=other.txt"
    where = await uploads(mio, b"hello", "application/octet-stream", filename="diary.txt")
    _, headers, _ = await raw(mio, f"{V1}/media/download/{where}")
    assert headers["Content-Disposition"] == "attachment"
    where = await uploads(mio, b"<script>alert(1)</script>", "text/html")
    _, headers, _ = await raw(mio, f"{V1}/media/download/{where}/x%22%0d%0ay.html")
    assert headers["Content-Disposition"] == "attachment; filename*=utf-8''x%22%0D%0Ay.html"


async def test_a_part_may_be_asked_for(mio: Person) -> None:
    content = os.urandom(1_000_000)
    path = f"{V1}/media/download/{await uploads(mio, content)}"
    for wanted, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=500000-500099", 500_000, 500_100),
        ("bytes=999990-", 999_990, 1_000_000),
        ("bytes=-10", 999_990, 1_000_000),
        ("bytes=10-99999999", 10, 1_000_000),
    ):
        status, headers, got = await raw(mio, path, Range=wanted)
        assert (status, got) == (206, content[start:end])
        assert headers["Content-Range"] == f"bytes {start}-{end - 1}/1000000"
    status, headers, _ = await raw(mio, path, Range="bytes=1000000-")
    assert (status, headers["Content-Range"]) == (416, "bytes */1000000")
    for whole in ("bytes=0-1,5-6", "lines=1-2", "bytes=x"):
        status, headers, got = await raw(mio, path, Range=whole)
        assert (status, len(got)) == (200, len(content))
    etag = headers["ETag"]
    assert (await raw(mio, path, If_None_Match=etag))[0] == 304
    assert (await raw(mio, path, Range="bytes=0-0", If_Range=etag))[0] == 206
    assert (await raw(mio, path, Range="bytes=0-0", If_Range='"other"'))[0] == 200


async def test_a_reserved_id_takes_one_file_from_its_owner(mio: Person, ken: Person) -> None:
    created = await mio.post("/_matrix/media/v1/create")
    where = created["content_uri"].removeprefix("mxc://")
    assert created["unused_expires_at"] > 0
    status, _, _ = await raw(mio, f"{V1}/media/download/{where}?timeout_ms=0")
    assert status == 504
    await refused(ken.call("PUT", f"{MEDIA}/upload/{where}", raw=b"ken's"), 403, "M_FORBIDDEN")

    waiting = asyncio.create_task(raw(ken, f"{V1}/media/download/{where}"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert await mio.call("PUT", f"{MEDIA}/upload/{where}", raw=b"mio's", headers={"Content-Type": "text/plain"}) == {}
    assert (await waiting)[2] == b"mio's"
    again = mio.call("PUT", f"{MEDIA}/upload/{where}", raw=b"again")
    await refused(again, 409, "M_CANNOT_OVERWRITE_MEDIA")
    server = where.partition("/")[0]
    await refused(mio.call("PUT", f"{MEDIA}/upload/{server}/nosuch", raw=b"x"), 404, "M_NOT_FOUND")
    await refused(mio.call("PUT", f"{MEDIA}/upload/elsewhere/nosuch", raw=b"x"), 404, "M_NOT_FOUND")


async def test_two_uploads_to_one_id_leave_one_file(mio: Person) -> None:
    where = (await mio.post("/_matrix/media/v1/create"))["content_uri"].removeprefix("mxc://")
    contents = [secrets.token_bytes(200_000) for _ in range(4)]
    path = f"{MEDIA}/upload/{where}"
    results = await asyncio.gather(
        *(mio.call("PUT", path, raw=content) for content in contents), return_exceptions=True
    )
    [winner] = [content for content, result in zip(contents, results, strict=True) if result == {}]
    assert (await raw(mio, f"{V1}/media/download/{where}"))[2] == winner


async def test_too_many_reserved_ids_are_refused(mio: Person) -> None:
    for _ in range(20):
        await mio.post("/_matrix/media/v1/create")
    refusal = await refused(mio.post("/_matrix/media/v1/create"), 429, "M_LIMIT_EXCEEDED")
    assert refusal.body["retry_after_ms"] > 0


async def test_what_is_too_large_is_refused(cast: Cast, mio: Person) -> None:
    most = (await mio.get(f"{V1}/media/config"))["m.upload.size"]
    assert (await mio.get(f"{MEDIA}/config"))["m.upload.size"] == most

    async def stream() -> Any:
        for _ in range(most // 1_000_000 + 2):
            yield bytes(1_000_000)

    headers = {"Authorization": f"Bearer {mio.token}"}
    url = f"{cast.base_url}{MEDIA}/upload"
    async with aiohttp.ClientSession() as http:
        try:
            async with http.post(url, data=stream(), headers=headers) as answer:
                assert answer.status == 413
                assert (await answer.json())["errcode"] == "M_TOO_LARGE"
        except (aiohttp.ClientConnectionError, ConnectionError):
            pass  # it may hang up while more is being sent


def picture(width: int, height: int, kind: str = "JPEG", **more: Any) -> bytes:
    """A picture, red on its left half and blue on its right."""
    made = Image.new("RGBA" if kind == "PNG" else "RGB", (width, height), "blue")
    made.paste("red", (0, 0, width // 2, height))
    into = io.BytesIO()
    made.save(into, kind, **more)
    return into.getvalue()


async def thumbnail(person: Person, where: str, query: str) -> tuple[Any, Image.Image]:
    status, headers, got = await raw(person, f"{V1}/media/thumbnail/{where}?{query}")
    assert status == 200, got
    return headers, Image.open(io.BytesIO(got))


async def test_thumbnails_have_the_usual_sizes_and_are_no_larger_than_the_picture(mio: Person) -> None:
    where = await uploads(mio, picture(1600, 800), "image/jpeg", filename="海.jpg")
    for query, size in {
        "width=32&height=32&method=crop": (32, 32),
        "width=33&height=20&method=crop": (96, 96),
        "width=320&height=240": (320, 160),
        "width=321&height=1&method=scale&animated=true": (640, 320),
        "width=5000&height=5000": (800, 400),
    }.items():
        headers, made = await thumbnail(mio, where, query)
        assert (query, made.size) == (query, size)
        assert headers["Content-Type"] == "image/jpeg"
        assert headers["Content-Disposition"].startswith("inline")
        left, right = made.convert("RGB").getpixel((1, 1)), made.convert("RGB").getpixel((made.width - 2, 1))
        assert left[0] > 200 > 60 > left[2]  # type: ignore[index, operator, misc]
        assert right[2] > 200 > 60 > right[0]  # type: ignore[index, operator, misc]
    small = await uploads(mio, picture(20, 10, "PNG"), "image/png")
    headers, made = await thumbnail(mio, small, "width=320&height=240")
    assert (made.size, headers["Content-Type"]) == ((20, 10), "image/png")
    for query in ("", "?width=32", "?width=x&height=1", "?width=-1&height=1", "?width=1&height=1&method=paint"):
        assert (await raw(mio, f"{V1}/media/thumbnail/{where}{query}"))[0] == 400


async def test_a_thumbnail_stands_upright_and_tells_nothing_of_the_camera(mio: Person) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010F] = "a camera that tells where it was"
    where = await uploads(mio, picture(400, 200, exif=exif), "image/jpeg")
    _, made = await thumbnail(mio, where, "width=320&height=240")
    assert made.size == (120, 240)
    assert not made.getexif()


async def test_a_thumbnail_is_made_once(mio: Person) -> None:
    where = await uploads(mio, picture(600, 600, "PNG"), "image/png")
    path = f"{V1}/media/thumbnail/{where}?width=96&height=96&method=crop"
    answers = await asyncio.gather(*(raw(mio, path) for _ in range(6)))
    assert {status for status, _, _ in answers} == {200}
    assert len({headers["ETag"] for _, headers, _ in answers}) == 1
    assert len({content for _, _, content in answers}) == 1


async def test_what_is_no_picture_has_no_thumbnail(mio: Person) -> None:
    bomb = picture(9_000, 9_000, "PNG")  # few bytes, many pixels
    assert len(bomb) < 1_000_000
    for content, kind in (
        (b"encrypted", "application/octet-stream"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        (b"not a picture", "image/png"),
        (picture(50, 50)[:300], "image/jpeg"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/png"),
        (bomb, "image/png"),
    ):
        where = await uploads(mio, content, kind)
        status, _, got = await raw(mio, f"{V1}/media/thumbnail/{where}?width=32&height=32")
        assert (kind, content[:9], status, json.loads(got)["errcode"]) == (kind, content[:9], 400, "M_UNKNOWN")


async def test_what_is_not_there(mio: Person) -> None:
    server = mio.user_id.partition(":")[2]
    for media_id in ("nosuch", "..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "x" * 3000, "日本"):
        for where in (server, "elsewhere.example"):
            status, _, _ = await raw(mio, f"{V1}/media/download/{where}/{media_id}")
            assert status in (400, 404)


async def test_no_previews(mio: Person) -> None:
    await refused(mio.get(f"{V1}/media/preview_url", url="https://example.com"), 403, "M_FORBIDDEN")
    assert (await mio.get(f"{V3}/account/whoami"))["user_id"] == mio.user_id
