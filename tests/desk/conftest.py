"""A desk: PostgreSQL and two `serve` processes with keeper, first administrator and staff, without bridges."""

import asyncio
import itertools
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cast import DESK, Cast, Json, Line, Person
from tests.house import MADOGUCHI, SERVER_NAME, Workers, _environment

KEEPER = f"@keeper:{SERVER_NAME}"
ADMIN_PASSWORD = secrets.token_urlsafe(12)


class Desk(Cast):
    """The people of one desk, spread over its two workers."""

    def __init__(self, workers: Workers) -> None:
        super().__init__(workers.base_urls[0])
        self.workers = workers
        self._lines = itertools.cycle([self.line, self.line_to(workers.base_urls[1])])
        self._administrator: Person | None = None

    def some_line(self) -> Line:
        """A line to the one worker, then to the other."""
        return next(self._lines)

    async def administrator(self) -> Person:
        """The administrator who came in by the one-time link."""
        if self._administrator is None:
            self._administrator = await self.enters(f"@admin:{SERVER_NAME}", ADMIN_PASSWORD, "admin")
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
        return await asyncio.to_thread(_run, self.workers, words, input_)


def _run(workers: Workers, words: tuple[str, ...], input_: str | None = None) -> str:
    told = subprocess.run(
        [MADOGUCHI, *words],
        input=input_,
        capture_output=True,
        text=True,
        check=True,
        env=_environment(workers.env),
    )
    return told.stdout


@pytest.fixture(scope="session")
def desk_workers() -> Iterator[Workers]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as directory:
        workers = Workers(Path(directory), count=2)
        workers.start()
        try:
            link = _run(workers, ("init",)).rpartition("#link=")[2].split()[0]
            for index in range(2):
                # They learn of the bridges' registration, which the first start has just made.
                workers.kills(index)
                workers.opens(index)
            asyncio.run(_redeem(workers.base_urls[0], link))
            yield workers
        finally:
            workers.stop()


async def _redeem(base_url: str, link: str) -> None:
    cast = Cast(base_url)
    body = {"token": link, "localpart": "admin", "name": "管理", "password": ADMIN_PASSWORD}
    await cast.line.call("POST", DESK + "/admin/redeem", body)
    await cast.leave_the_stage()


@pytest.fixture
async def desk(desk_workers: Workers) -> AsyncIterator[Desk]:
    desk = Desk(desk_workers)
    # Every test begins with an empty queue and no app connected; earlier cases stay where they are.
    for statement in (
        "UPDATE cases SET state = 'closed', accepted_at = NULL WHERE state <> 'purged'",
        "UPDATE staff SET last_seen_at = NULL",
        "UPDATE channels SET mode = 'closed' WHERE kind NOT IN ('web', 'matrix')",
    ):
        desk.workers.postgres.psql(statement, "madoguchi")
    try:
        yield desk
    finally:
        await desk.leave_the_stage()
