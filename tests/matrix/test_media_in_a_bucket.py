"""Files in an S3-compatible store instead of a folder: the same files, from any worker."""

import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from madoguchi import config, errors
from madoguchi.core import egress
from madoguchi.core.chat.media_s3 import BucketStore
from tests.cast import V1, Cast, Person, refused
from tests.environments import python_with
from tests.house import MADOGUCHI, Workers, _environment, free_port
from tests.matrix.test_media import picture, raw, thumbnail, uploads

PACKAGES = ["moto[server]==5.2.5"]
LARGE = 120 * 1024 * 1024


class Bucket:
    """moto's S3, and two workers that keep their files there."""

    def __init__(self, directory: Path) -> None:
        self.python = python_with("moto-venv", PACKAGES)
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        settings = {
            "MADOGUCHI_MEDIA_STORE": "s3",
            "MADOGUCHI_MEDIA_S3_ENDPOINT": self.endpoint,
            "MADOGUCHI_MEDIA_S3_BUCKET": "desk",
            "MADOGUCHI_MEDIA_S3_KEY": "AKIAEXAMPLE",
            "MADOGUCHI_MEDIA_S3_SECRET": "a secret that is shown to nobody",
            "MADOGUCHI_MEDIA_TYPES": "application/octet-stream,image/*",
            "MADOGUCHI_MEDIA_MAX_BYTES": str(LARGE),
        }
        self.workers = Workers(directory, count=2, env=settings)

    def opens(self) -> None:
        command = [str(self.python), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/desk", method="PUT"), timeout=5)
                return
            except OSError:
                assert time.monotonic() < ends
                time.sleep(0.1)

    def closes(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def names(self) -> str:
        with urllib.request.urlopen(f"{self.endpoint}/desk?list-type=2", timeout=5) as answer:
            return str(answer.read().decode())

    def says(self, *words: str) -> str:
        env = _environment(self.workers.env)
        return subprocess.run([MADOGUCHI, *words], capture_output=True, env=env, text=True, check=False).stdout


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as directory:
        bucket = Bucket(Path(directory))
        try:
            bucket.opens()
            bucket.workers.start()
            yield bucket
        finally:
            bucket.workers.stop()
            bucket.closes()


@pytest.fixture
async def cast(bucket: Bucket) -> AsyncIterator[Cast]:
    cast = Cast(bucket.workers.base_urls[0])
    yield cast
    await cast.leave_the_stage()


async def test_what_goes_up_by_one_worker_comes_down_by_the_other(bucket: Bucket, cast: Cast, mio: Person) -> None:
    elsewhere = mio.through(cast.line_to(bucket.workers.base_urls[1]))
    for content in (b"", b"x", os.urandom(10_000_000)):
        where = await uploads(mio, content)
        status, _, got = await raw(elsewhere, f"{V1}/media/download/{where}")
        assert (status, got) == (200, content)
    status, _, got = await raw(elsewhere, f"{V1}/media/download/{where}", Range="bytes=5000000-5000009")
    assert (status, got) == (206, content[5_000_000:5_000_010])
    where = await uploads(mio, picture(400, 200), "image/jpeg")
    for who in (mio, elsewhere):
        _, made = await thumbnail(who, where, "width=32&height=32&method=crop")
        assert made.size == (32, 32)
    assert not list((bucket.workers.directory / "data").glob("media/*/*"))


async def test_a_large_file_passes_through_without_filling_the_memory(bucket: Bucket, cast: Cast, mio: Person) -> None:
    process = bucket.workers.processes[0]
    assert process is not None
    before = psutil.Process(process.pid).memory_info().rss
    content = os.urandom(1024 * 1024) * 100
    where = await uploads(mio, content)
    status, _, got = await raw(mio, f"{V1}/media/download/{where}")
    assert status == 200
    assert got == content
    assert psutil.Process(process.pid).memory_info().rss - before < 60 * 1024 * 1024
    names = bucket.names()
    more = {"raw": bytes(LARGE + 1), "headers": {"Content-Type": "image/png"}}
    await refused(mio.call("POST", "/_matrix/media/v3/upload", **more), 413, "M_TOO_LARGE")
    assert bucket.names() == names


async def test_each_call_of_the_bucket_is_counted_for_the_viewing_ledger(bucket: Bucket) -> None:
    environ = {key: value for key, value in bucket.workers.env.items() if key.startswith("MADOGUCHI_")}
    store, host = BucketStore(config.load({}, environ=environ)), f"127.0.0.1:{bucket.port}"
    before = egress._called[host]
    await store.answers()
    with pytest.raises(errors.NotFound):
        _ = [piece async for piece in store.read("A" * 24, 0, 1)]
    assert egress._called[host] == before + 2


async def test_only_types_that_the_operator_wants(mio: Person) -> None:
    for kind in ("text/html", "application/pdf", "imagery/x"):
        headers = {"Content-Type": kind}
        await refused(mio.call("POST", "/_matrix/media/v3/upload", raw=b"x", headers=headers), 403, "M_FORBIDDEN")
    await uploads(mio, b"x", "Image/PNG; a=b")


async def test_a_store_that_is_away_is_told_and_nothing_is_half_there(bucket: Bucket, mio: Person) -> None:
    where = await uploads(mio, b"before")
    assert "bucket desk" in bucket.says("doctor")
    assert "a secret that is shown to nobody" not in bucket.says("config")
    bucket.closes()
    try:
        files = bucket.workers.postgres.psql("SELECT count(*) FROM media", "madoguchi")
        async with mio.line.http.post(
            f"{mio.line.base_url}/_matrix/media/v3/upload",
            data=b"x",
            headers={"Authorization": f"Bearer {mio.token}", "Content-Type": "image/png"},
        ) as answer:
            assert answer.status == 503
        assert (await raw(mio, f"{V1}/media/download/{where}"))[0] == 503
        assert bucket.workers.postgres.psql("SELECT count(*) FROM media", "madoguchi") == files
        assert "can't be used" in bucket.says("doctor")
    finally:
        bucket.opens()
    where = await uploads(mio, b"after")
    assert (await raw(mio, f"{V1}/media/download/{where}"))[2] == b"after"
