"""`madoguchi up`: one command, several processes, and nothing that dies stays dead or leaves anything behind."""

import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from tests.house import MADOGUCHI, House, healthy
from tests.house_calls import call, sign_in

VERBS = ("serve", "bridges", "keeper", "work")


@pytest.fixture(scope="module")
def desk() -> Iterator[House]:
    """A house that may be treated badly: not the one the stories live in."""
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as directory:
        house = House(Path(directory) / "data")
        house.opens()
        try:
            yield house
        finally:
            house.closes()


def madoguchi(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MADOGUCHI, *words], capture_output=True, text=True, timeout=60, check=False)


def until(what: str, happens: Any, within_s: float = 30) -> None:
    ends = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < ends, what
        time.sleep(0.1)


def test_it_tells_where_it_is(desk: House) -> None:
    said = desk.log.read_text()
    assert f"ready {desk.base_url}" in said
    for name in ("youth_url", "staff_url", "admin_link"):
        assert desk.facts[name] in said
    for person in desk.staff:
        assert person.user_id in said
        assert person.password in said
    assert desk.facts["server_name"] == desk.server_name
    assert desk.facts["database_url"].startswith("postgresql:///madoguchi?host=")
    assert "#link=" in desk.facts["admin_link"]
    call(desk, "GET", "/_matrix/client/v3/account/whoami", token=sign_in(desk))


def test_what_it_writes_is_private(desk: House) -> None:
    assert stat.S_IMODE(desk.data.stat().st_mode) & 0o066 == 0
    for path in [desk.data / "run.json", *(desk.data / "keys").iterdir(), *(desk.data / "logs").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_each_process_enters_the_database_under_a_role_of_its_own(desk: House) -> None:
    told = {verb: desk.process(verb).environ().get("MADOGUCHI_DATABASE_URL", "") for verb in VERBS}
    assert told["keeper"] == ""
    passwords = {urlsplit(url).password for url in [*told.values(), desk.database_url]} - {None}
    assert len(passwords) == 3
    for verb in ("serve", "bridges", "work"):
        assert told[verb].startswith(f"postgresql://madoguchi_{verb}:")
    connection = await asyncpg.connect(desk.database_url)
    try:
        rows = await connection.fetch(
            "SELECT DISTINCT application_name AS name, usename AS role FROM pg_stat_activity"
            " WHERE application_name = ANY($1)",
            [f"madoguchi {verb}" for verb in VERBS],
        )
    finally:
        await connection.close()
    assert {(row["name"], row["role"]) for row in rows} == {
        (f"madoguchi {verb}", f"madoguchi_{verb}") for verb in ("serve", "bridges", "work")
    }
    for path in desk.written():
        if "postgres" not in path.parts:
            assert not any(word.encode() in path.read_bytes() for word in passwords if word), path


def test_a_second_one_is_refused(desk: House) -> None:
    second = madoguchi("up", "--data", str(desk.data), "--listen", "127.0.0.1:0")
    assert second.returncode == 1
    pid = desk.facts["pid"]
    assert second.stderr.strip() == (
        f"Error: A desk is already running on {desk.data} (process {pid}). Stop it first, or choose another --data."
    )
    assert healthy(desk.base_url)


def test_a_taken_port_is_refused(desk: House, tmp_path: Path) -> None:
    taken = desk.base_url.removeprefix("http://")
    second = madoguchi("up", "--data", str(tmp_path / "data"), "--listen", taken)
    assert second.returncode == 1
    assert f"Cannot listen on {taken}: Address already in use." in second.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_killed_comes_back(desk: House, verb: str) -> None:
    desk.kills(verb)
    sign_in(desk)


def test_a_killed_database_comes_back(desk: House) -> None:
    token = sign_in(desk)
    (postmaster,) = [p for p in psutil.Process(desk.facts["pid"]).children() if p.name() == "postgres"]
    postmaster.kill()
    postmaster.wait(10)
    until("the database comes back", lambda: healthy(desk.base_url))
    call(desk, "GET", "/_matrix/client/v3/account/whoami", token=token)


def test_the_doctor_finds_it_well(desk: House) -> None:
    # The keeper says so itself, with its first request after the kills above.
    until("all is well", lambda: madoguchi("doctor", "--data", str(desk.data)).returncode == 0)
    seen = madoguchi("doctor", "--data", str(desk.data)).stdout
    for about in (
        "data",
        "keys",
        "clock",
        "pages",
        "database",
        "schema",
        "keeper",
        "roles",
        "vault",
        "channels",
        *VERBS[:2],
    ):
        assert any(line.split()[:2] in (["ok", about], ["note", about]) for line in seen.splitlines()), seen


def test_the_doctor_says_how_to_mend(desk: House) -> None:
    key = desk.data / "keys" / "bridges.pub"
    key.chmod(0o644)
    try:
        seen = madoguchi("doctor", "--data", str(desk.data))
    finally:
        key.chmod(0o600)
    assert seen.returncode == 1
    assert f"bad   keys       {key} can be read by others.\n" in seen.stdout
    assert f"-> chmod 600 {key}\n" in seen.stdout


def test_the_supervisor_killed_takes_all_along_and_up_works_again(desk: House) -> None:
    token = sign_in(desk)
    everybody, link = desk.everybody(), desk.facts["admin_link"].partition("#")[2]
    assert len(everybody) > len(VERBS) + 1
    os.kill(desk.facts["pid"], signal.SIGKILL)
    assert desk.supervisor is not None
    desk.supervisor.wait(10)
    # Without a pause: the new one has to wait for what is still going.
    started = time.monotonic()
    desk.opens()
    assert time.monotonic() - started < 10
    assert not [p for p in everybody if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    call(desk, "GET", "/_matrix/client/v3/account/whoami", token=token)
    assert desk.facts["admin_link"].partition("#")[2] == link


def stops(desk: House, number: signal.Signals) -> None:
    everybody = desk.everybody()
    assert desk.supervisor is not None
    desk.supervisor.send_signal(number)
    assert desk.supervisor.wait(30) == 0
    assert not [p for p in everybody if p.is_running()]
    assert not (desk.data / "run.json").exists()
    log = (desk.data / "logs" / "postgres.log").read_text()
    assert "database system is shut down" in log.splitlines()[-1]


# Each start of a house takes seconds: what is true of a closed one is seen in one closing.
def test_it_stops_cleanly_and_commands_work_meanwhile(desk: House) -> None:
    stops(desk, signal.SIGTERM)
    done = madoguchi("migrate", "--data", str(desk.data))
    assert (done.returncode, "as it was." in done.stdout) == (0, True), done.stderr
    renamed = madoguchi("up", "--data", str(desk.data), "--listen", "127.0.0.1:0", "--server-name", "other.example")
    assert renamed.returncode == 1
    assert "it can't change" in renamed.stderr
    desk.opens(within_s=10)


def test_it_stops_cleanly_from_the_keyboard(desk: House) -> None:
    stops(desk, signal.SIGINT)
