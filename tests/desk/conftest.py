"""A desk: PostgreSQL and two `serve` processes with keeper, first administrator and staff, without bridges."""

import itertools
import re
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cast import DESK, Cast, Json, Line, Person
from tests.house import MADOGUCHI, SERVER_NAME, Workers, _environment

KEEPER = f"@keeper:{SERVER_NAME}"


class Desk(Cast):
    """The people of one desk, spread over its two workers."""

    def __init__(self, workers: Workers, link: str) -> None:
        super().__init__(workers.base_urls[0])
        self.workers = workers
        self.link = link
        self._lines = itertools.cycle([self.line, self.line_to(workers.base_urls[1])])
        self._administrator: Person | None = None

    def some_line(self) -> Line:
        """A line to the one worker, then to the other."""
        return next(self._lines)

    async def administrator(self) -> Person:
        """The administrator who came in by the one-time link (or by an earlier test's)."""
        if self._administrator is None:
            await self.run("staff", "list")
            name, password = f"admin-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
            link = (await self.run("init")).rpartition("#link=")[2].strip() or None
            if link is None:
                told = await self.run("staff", "add", name, "--name", "管理", "--role", "administrator")
                password = told.rpartition("password: ")[2].strip()
            else:
                await self.line.call(
                    "POST",
                    DESK + "/admin/redeem",
                    {"token": link, "localpart": name, "name": "管理", "password": password},
                )
            self._administrator = await self.enters(f"@{name}:{SERVER_NAME}", password, name)
        return self._administrator

    async def staff(self, name: str, role: str = "counsellor", capacity: int = 5) -> Person:
        """A new member of staff, signed in."""
        body = {"localpart": f"staff-{secrets.token_hex(4)}", "name": name, "role": role, "capacity": capacity}
        added = await (await self.administrator()).post(DESK + "/staff", body)
        person = await self.enters(added["user_id"], added["password"], name)
        return person.through(self.some_line())

    async def keeper(self) -> Person:
        """The keeper, signed in with its own password."""
        password = (self.workers.directory / "data" / "keys" / "keeper.password").read_text()
        return await self.enters(KEEPER, password, "keeper")

    async def arrives(self, **body: object) -> tuple[Person, Json]:
        """A young person without an account opens a case: (the person, the answer)."""
        opened = await self.some_line().call("POST", DESK + "/cases", {"channel": "web", **body})
        return Person(self.some_line(), "young person", opened.get("password", ""), opened), opened

    async def run(self, *words: str, input_: str | None = None) -> str:
        """`madoguchi …` beside the running desk; its standard output. Raises CalledProcessError."""
        told = subprocess.run(
            [MADOGUCHI, *words],
            input=input_,
            capture_output=True,
            text=True,
            check=True,
            env=_environment(self.workers.env),
        )
        return told.stdout


@pytest.fixture(scope="session")
def desk_workers() -> Iterator[tuple[Workers, str]]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as directory:
        workers = Workers(Path(directory), count=2)
        workers.start()
        try:
            told = subprocess.run(
                [MADOGUCHI, "init"], capture_output=True, text=True, check=True, env=_environment(workers.env)
            ).stdout
            found = re.search(r"#link=(\S+)", told)
            assert found, told
            yield workers, found[1]
        finally:
            workers.stop()


@pytest.fixture
async def desk(desk_workers: tuple[Workers, str]) -> AsyncIterator[Desk]:
    desk = Desk(*desk_workers)
    # Every test begins with an empty queue; the cases of earlier ones stay where they are.
    desk.workers.postgres.psql("UPDATE cases SET state = 'closed', accepted_at = NULL", "madoguchi")
    desk.workers.postgres.psql("UPDATE staff SET last_seen_at = NULL", "madoguchi")
    try:
        yield desk
    finally:
        await desk.leave_the_stage()
