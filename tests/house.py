"""The house under test: real processes, started the way an operator starts them.

`House` is `madoguchi up --demo` in a directory of its own. `Workers` is a PostgreSQL and several `serve` processes,
for tests that need more than one worker or that kill one. Both are plain objects without an event loop, so that one
house serves every test of a run.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from madoguchi import database_roles
from madoguchi.storage.grants import PROCESSES
from madoguchi.up.runfile import write_private
from tests import conformance
from tests.postgres import Postgres
from tests.search import Search
from tests.words import SPOKEN


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


MADOGUCHI = str(Path(sys.executable).parent / "madoguchi")
PUSH_SERVICE_PORT = free_port()
GATEWAY_PORT = free_port()
OPEN_HOUSE = {
    "MADOGUCHI_REGISTRATION": "open",
    "MADOGUCHI_LIMITS": "off",
    "MADOGUCHI_ROOM_DIRECTORY": "open",
    # Nobody listens at the first, where pushers are set in tests that are not about pushing.
    "MADOGUCHI_PUSH_GATEWAYS": f"https://127.0.0.1:9,http://127.0.0.1:{GATEWAY_PORT}",
    # Where the stand-in for browsers' push services listens in tests that are about it.
    "MADOGUCHI_WEB_PUSH_SERVICES": f"http://127.0.0.1:{PUSH_SERVICE_PORT}",
    "MADOGUCHI_WEB_PUSH_AFTER": "1",
}
SERVER_NAME = "madoguchi.test"


@dataclass(frozen=True)
class Staff:
    """A demo counsellor of `run.json`."""

    user_id: str
    password: str
    name: str


# The houses that are open now.
OPEN: "set[House]" = set()


class House:
    """`madoguchi up --demo` over `data`. `env` adds settings (`MADOGUCHI_…`)."""

    def __init__(self, data: Path, *, env: dict[str, str] | None = None, demo: bool = True) -> None:
        self.data = data
        self.temporary = data.parent / f"{data.name}-tmp"
        self.env = OPEN_HOUSE | {"TMPDIR": str(self.temporary)} | (env or {})
        self.demo = demo
        self.listen = "127.0.0.1:0"
        self.supervisor: subprocess.Popen[bytes] | None = None
        self.facts: dict[str, Any] = {}
        self.log = data.parent / f"{data.name}-up.log"
        self._words_before = 0

    # -- coming and going --------------------------------------------------------------------------------------------
    def opens(self, within_s: float = 90) -> None:
        """Start it and wait until it says that it is ready. Raises RuntimeError with the log's end otherwise."""
        told = self.data / "run.json"
        told.unlink(missing_ok=True)
        command = [MADOGUCHI, "up", "--data", str(self.data), "--listen", self.listen, "--server-name", SERVER_NAME]
        if self.demo:
            command.append("--demo")
        self.temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._words_before = len(SPOKEN)
        with self.log.open("ab") as log:
            self.supervisor = subprocess.Popen(
                command, stdout=log, stderr=log, env=_environment(self.env), start_new_session=True
            )
        ends = time.monotonic() + within_s
        while True:
            if told.exists() and (facts := _read(told)) and healthy(facts["base_url"]):
                self.facts = facts
                OPEN.add(self)
                return
            if self.supervisor.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"the house did not open:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.1)

    def closes(self, within_s: float = 30) -> int:
        """Stop it as an operator does (SIGTERM) and answer the exit code; whoever stays behind is killed.

        If anything was said meanwhile, all that it leaves behind is searched for that.
        """
        if self.supervisor is None:
            return 0
        everybody = self.everybody()
        if self.supervisor.poll() is None:
            self.supervisor.terminate()
        try:
            code = self.supervisor.wait(within_s)
        except subprocess.TimeoutExpired:
            self.supervisor.kill()
            code = self.supervisor.wait()
        _, alive = psutil.wait_procs(everybody, timeout=5)
        for process in alive:
            process.kill()
        self.supervisor = None
        OPEN.discard(self)
        if len(SPOKEN) > self._words_before:
            search = Search()
            search.at_rest(self)
            search.ends()
        return code

    def dies(self) -> None:
        """SIGKILL the supervisor alone, the way a machine's memory killer does; its children are on their own."""
        assert self.supervisor is not None
        everybody = self.everybody()
        self.supervisor.kill()
        self.supervisor.wait()
        psutil.wait_procs(everybody, timeout=20)
        self.supervisor = None
        OPEN.discard(self)

    # -- what it told in run.json ------------------------------------------------------------------------------------
    @property
    def base_url(self) -> str:
        return str(self.facts["base_url"])

    @property
    def server_name(self) -> str:
        return str(self.facts["server_name"])

    @property
    def database_url(self) -> str:
        return str(self.facts["database_url"])

    @property
    def staff(self) -> list[Staff]:
        """The demo counsellors: Ken, then Sato."""
        return [Staff(p["user_id"], p["password"], p.get("name", "")) for p in self.facts["demo_staff"]]

    def run(self, *words: str, input_: str | None = None) -> subprocess.CompletedProcess[str]:
        """`madoguchi …` on the running house; does not raise."""
        command = [MADOGUCHI, *words, "--data", str(self.data)]
        env = _environment({"TMPDIR": str(self.temporary)})
        return subprocess.run(command, env=env, capture_output=True, text=True, input=input_, check=False)

    def backs_up(self, file: Path) -> None:
        """A backup of the database, as docs/operations.md makes it. Raises CalledProcessError."""
        tool = ("pg_dump", "--format=custom", f"--file={file}")
        command = [MADOGUCHI, "database", "--data", str(self.data), *tool]
        subprocess.run(command, env=_environment({"TMPDIR": str(self.temporary)}), check=True, capture_output=True)

    # -- its processes -----------------------------------------------------------------------------------------------
    def everybody(self) -> list[psutil.Process]:
        """The supervisor and all that it started."""
        if self.supervisor is None:
            return []
        try:
            top = psutil.Process(self.supervisor.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def process(self, verb: str) -> psutil.Process:
        """The process that runs `madoguchi VERB` (`serve`, `bridges`, `keeper`, `work`)."""
        for process in self.everybody():
            try:
                if verb in process.cmdline()[1:4]:
                    return process
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        raise AssertionError(f"no `{verb}` process runs")

    def kills(self, verb: str, within_s: float = 30, by: signal.Signals = signal.SIGKILL) -> None:
        """Kill one process and wait until the supervisor has another one in its place."""
        old = self.process(verb)
        old.send_signal(by)
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            try:
                if self.process(verb).pid != old.pid and healthy(self.base_url):
                    return
            except AssertionError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"`{verb}` did not come back")

    def written(self) -> list[Path]:
        """Every file that the house has written, its logs and what its processes and commands left as temporary files
        included."""
        everything = (*self.data.rglob("*"), *self.temporary.rglob("*"))
        return [self.log, *(path for path in everything if path.is_file())]


class Workers:
    """PostgreSQL and `count` `serve` processes under `directory`; nothing supervises them.

    Like `House`, what they leave behind is searched for what was said, once they stop.
    """

    def __init__(self, directory: Path, count: int = 2, *, env: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.postgres = Postgres(directory)
        self.env = OPEN_HOUSE | (env or {})
        self.ports = [free_port() for _ in range(count)]
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * count
        self.database_url = ""
        self._words_before = len(SPOKEN)

    def start(self) -> None:
        self.postgres.start()
        self.database_url = self.postgres.create("madoguchi")
        self.env |= {
            "MADOGUCHI_DATABASE_URL": self.database_url,
            "MADOGUCHI_DATA": str(self.directory / "data"),
            "MADOGUCHI_SERVER_NAME": SERVER_NAME,
        }
        subprocess.run([MADOGUCHI, "migrate"], check=True, env=_environment(self.env), capture_output=True)
        # As `madoguchi roles make` does it; what runs a command enters as the owner, each process under its own role.
        passwords = {process: database_roles.new_password() for process in PROCESSES}
        asyncio.run(database_roles.make(self.database_url, passwords))
        keys = self.directory / "data" / "keys"
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        for process, password in passwords.items():
            write_private(database_roles.password_file(keys, process), password.encode())
        for index in range(len(self.processes)):
            self.opens(index, wait=False)
        for index in range(len(self.processes)):
            self.wait(index)

    @property
    def base_urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def opens(self, index: int, *, wait: bool = True) -> None:
        """Start worker `index` (again)."""
        listen = f"127.0.0.1:{self.ports[index]}"
        with (self.directory / f"serve-{index}.log").open("ab") as log:
            self.processes[index] = subprocess.Popen(
                [MADOGUCHI, "serve", "--listen", listen], stdout=log, stderr=log, env=_environment(self.env)
            )
        if wait:
            self.wait(index)

    def wait(self, index: int, within_s: float = 30) -> None:
        ends = time.monotonic() + within_s
        while not healthy(self.base_urls[index]):
            process = self.processes[index]
            if process is None or process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError((self.directory / f"serve-{index}.log").read_text()[-4000:])
            time.sleep(0.1)

    def kills(self, index: int) -> None:
        """SIGKILL worker `index`; `opens(index)` brings it back on the same port."""
        process = self.processes[index]
        assert process is not None
        process.kill()
        process.wait()

    def cuts_listeners(self) -> int:
        """End every LISTEN connection in PostgreSQL; answers how many there were."""
        sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'"
        return int(self.postgres.psql(sql, "madoguchi"))

    def stop(self) -> None:
        for process in self.processes:
            if process is not None and process.poll() is None:
                process.terminate()
        for process in self.processes:
            if process is not None:
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.postgres.stop()
        if len(SPOKEN) > self._words_before:
            search = Search()
            search.folder("file", self.directory / "data")
            search.files("file", self.directory, self.directory.glob("*.log"))
            search.cluster(self.postgres.data)
            search.ends()


def healthy(base_url: str) -> bool:
    """Whether GET /health answers 200."""
    try:
        with urllib.request.urlopen(f"{base_url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _environment(more: dict[str, str]) -> dict[str, str]:
    # What the developer has set for a house of their own must not reach the one under test.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MADOGUCHI_")}
    return kept | conformance.environment() | more


def _read(path: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
        return facts
    except (OSError, ValueError):
        return None
