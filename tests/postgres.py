"""A PostgreSQL of the tests' own: for `Workers` (house.py) and for the bench, where two servers share its settings."""

import signal
import subprocess
import time
from functools import cache
from pathlib import Path

from madoguchi.up.children import die_with_parent
from madoguchi.up.identity import choose_identity
from madoguchi.up.postgres import OPTIONS, find_bindir


@cache
def bindir() -> Path:
    """The folder with postgres, psql and pg_dump: the ones that the product itself would take."""
    return find_bindir()


class Postgres:
    """One server under `directory` (short: its socket lies there), with the product's settings and `settings`."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory / "pg"
        self.sockets = directory / "s"
        self.settings = OPTIONS | (settings or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster where there is none, start it, wait until it answers. Raises RuntimeError."""
        identity = choose_identity(bindir(), self.directory)
        for folder in (self.data, self.sockets):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            identity.own(folder)
        if not (self.data / "PG_VERSION").exists():
            flags = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--data-checksums", "--no-instructions"]
            subprocess.run(
                [*identity.prefix, str(bindir() / "initdb"), "-D", str(self.data), "-U", "postgres", *flags],
                check=True, stdout=subprocess.DEVNULL, cwd="/",
                preexec_fn=die_with_parent(signal.SIGKILL, identity.uid, identity.gid),
            )  # fmt: skip
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with (self.directory / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*identity.prefix, str(bindir() / "postgres"), "-D", str(self.data), "-k", str(self.sockets), *options],
                stdout=log, stderr=log, cwd="/", start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGINT, identity.uid, identity.gid),  # noqa: PLW1509
            )  # fmt: skip
        ends = time.monotonic() + 30
        ready = [str(bindir() / "pg_isready"), "-q", "-h", str(self.sockets), "-U", "postgres"]
        while subprocess.run(ready, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError((self.directory / "postgres.log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it fast: open transactions are rolled back."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def create(self, name: str, more: str = "") -> str:
        """Create a database; answers its URL."""
        self.psql(f'CREATE DATABASE "{name}" {more}')
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql:///{name}?host={self.sockets}&user=postgres"

    def psql(self, sql: str, database: str = "postgres") -> str:
        """Run one statement; answers what psql prints, unaligned."""
        command = [str(bindir() / "psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        return subprocess.run([*command, "-c", sql], check=True, capture_output=True, text=True).stdout.strip()


def dump(url: str) -> bytes:
    """The whole database behind `url` as plain SQL, the way a backup holds it."""
    return subprocess.run([str(bindir() / "pg_dump"), "-d", url], check=True, capture_output=True).stdout
