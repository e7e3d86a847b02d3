"""The embedded PostgreSQL: starts anywhere, never outlives its parent, and is never shared by accident."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from madoguchi.migrate import current_revision, migrate, newest_revision
from madoguchi.up import postgres
from madoguchi.up.postgres import LONGEST_SOCKET_DIRECTORY, Postgres, PostgresError


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as path:
        yield Path(path) / "postgres"


async def test_it_runs_for_as_long_as_the_block_and_keeps_what_it_was_told(directory: Path) -> None:
    async with postgres.running(directory) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        for name, value in (("fsync", "on"), ("synchronous_commit", "on"), ("listen_addresses", "")):
            assert await connection.fetchval(f"SHOW {name}") == value
        await connection.close()
    with pytest.raises(OSError):
        await asyncpg.connect(url)
    async with postgres.running(directory) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT n FROM kept") == 7
        await connection.close()


async def test_nobody_enters_without_a_password_nor_where_an_older_version_asked_for_none(directory: Path) -> None:
    async with postgres.running(directory) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (n int)")
        rows = await connection.fetch("SELECT type, auth_method FROM pg_hba_file_rules")
        assert {(row["type"], row["auth_method"]) for row in rows} == {("local", "scram-sha-256")}
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url.partition("&password=")[0])
    assert (directory / "password").stat().st_mode & 0o077 == 0
    # As an older version left it: an owner without a password, whoever passes into the folder of the socket is let in.
    (directory / "password").unlink()
    (directory / "data" / "pg_hba.conf").write_text("local all all trust\n")
    async with postgres.running(directory) as now:
        connection = await asyncpg.connect(now)
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0
        await connection.close()
        for old in (url, url.partition("&password=")[0]):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(old)
    (directory / "password").write_text("of another backup\n")
    with pytest.raises(PostgresError, match="Remove the file and start again"):
        async with postgres.running(directory):
            pass


async def test_its_log_repeats_nothing_of_what_is_written(directory: Path) -> None:
    said = "眠れないんです"
    async with postgres.running(directory) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (n int, said text UNIQUE)")
        await connection.execute("INSERT INTO kept VALUES (1, $1)", said)
        for wrong in ("INSERT INTO kept VALUES (2, $1)", "SELECT $1::text::int", "SELECT $1::text::jsonb"):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(wrong, said)
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(f"SELECT '{said}' FROM nowhere")
        await connection.close()
    log = (directory / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert said not in log


async def test_a_directory_has_one_server(directory: Path) -> None:
    async with postgres.running(directory):
        with pytest.raises(PostgresError, match="in use by another process"):
            async with postgres.running(directory):
                pass


async def test_a_long_path_gets_a_short_socket(directory: Path) -> None:
    deep = directory / ("d" * LONGEST_SOCKET_DIRECTORY)
    async with postgres.running(deep) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


async def test_a_killed_postmaster_is_followed_by_a_new_one(directory: Path) -> None:
    first = Postgres(directory)
    await first.start()
    assert first.process is not None
    connection = await asyncpg.connect(first.database_url)
    await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    first.process.kill()
    await first.process.wait()
    await first.start()
    again = await asyncpg.connect(first.database_url)
    assert await again.fetchval("SELECT n FROM kept") == 7
    await again.close()
    connection.terminate()
    await first.stop()


async def test_a_number_left_in_the_pid_file_misleads_nobody(directory: Path) -> None:
    async with postgres.running(directory):
        pid_file = (directory / "data" / "postmaster.pid").read_text()
    # After a restart of the machine the number can be that of any program: here, of this test.
    stale = pid_file.splitlines()
    stale[0] = str(os.getpid())
    (directory / "data" / "postmaster.pid").write_text("\n".join(stale) + "\n")
    async with postgres.running(directory) as url:
        await (await asyncpg.connect(url)).close()


def test_it_dies_with_its_parent(directory: Path) -> None:
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom madoguchi.up import postgres\n"
        "async def main():\n"
        "    async with postgres.running(Path(sys.argv[1])):\n"
        "        print('up', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


async def test_it_starts_while_an_orphan_is_still_there(directory: Path) -> None:
    orphan = Postgres(directory)
    await orphan.start()
    # As after a crash of whoever held the lock, where the system has no death signal.
    assert orphan._lock is not None
    os.close(orphan._lock)
    orphan._lock = None
    started = time.monotonic()
    async with postgres.running(directory) as url:
        assert time.monotonic() - started < 10
        await (await asyncpg.connect(url)).close()
    await orphan.stop()


async def test_migrations_run_once_and_only_one_process_runs_them(directory: Path) -> None:
    async with postgres.running(directory) as url:
        assert await current_revision(url) is None
        results = await asyncio.gather(*(migrate(url) for _ in range(3)))
        assert {now for _, now in results} == {newest_revision()}
        assert await current_revision(url) == newest_revision()
        assert await migrate(url) == (newest_revision(), newest_revision())
