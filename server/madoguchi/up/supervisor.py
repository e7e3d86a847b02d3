"""`madoguchi up`: everything on one machine. Starts PostgreSQL, then each process, and stays to keep them alive."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
import msgspec

from madoguchi import config, database_roles, logs
from madoguchi.bootstrap import Founded, bootstrap
from madoguchi.config import Settings
from madoguchi.files import write_private
from madoguchi.keeper import published
from madoguchi.migrate import migrate
from madoguchi.storage.grants import PROCESSES
from madoguchi.storage.roles import role_name
from madoguchi.up import Problem, runfile
from madoguchi.up.database import postgres_directory
from madoguchi.up.lock import DataLock
from madoguchi.up.postgres import Postgres
from madoguchi.up.process import FIRST_PAUSE, LONGEST_PAUSE, Child

log = logs.get(__name__)

VERBS = ("serve", "keeper", "bridges", "work")
READY_SECONDS = 60.0
OTHERS_SECONDS = 20.0
# A killed supervisor's children are killed with it, but their sockets may take a moment to go.
PORT_SECONDS = 5.0
FATAL_DEATHS = 3

Say = Callable[[str], None]


async def up(settings: Settings, demo: bool, say: Say) -> None:
    """Run the desk until SIGINT, SIGTERM or SIGHUP. `say` gets lines of progress for people. Raises Problem."""
    stop = _stop_signals()
    lock = DataLock(settings.data)
    try:
        settings.run_file.unlink(missing_ok=True)
        make_directories(settings)
        settings = await _with_free_ports(settings)
        embedded = not settings.database_url
        async with _database(settings, stop, say) as settings:
            before, now = await migrate(settings.database_url)
            if before != now:
                say(f"database: schema {now}" + (f" (was {before})" if before else ""))
            founded = await bootstrap(settings, demo)
            await _run_children(settings, await _entrances(settings, embedded), founded, stop, say)
    finally:
        settings.run_file.unlink(missing_ok=True)
        lock.release()


def make_directories(settings: Settings) -> None:
    """DATA and its folders, private; remember the server name. Raises Problem when DATA belongs to another name."""
    for folder in (settings.data, settings.keys, settings.logs, settings.media, settings.data / "keeper",
                   settings.data / "bridges"):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    remembered = config.remembered_server_name(settings.data)
    if remembered is None:
        write_private(settings.data / "server-name", f"{settings.server_name}\n".encode())
    elif remembered != settings.server_name:
        raise Problem(
            f"The desk in {settings.data} is called {remembered}, not {settings.server_name}: every user id in it ends "
            f"with that name, so it can't change. Use --server-name {remembered}, or another --data."
        )


async def _entrances(settings: Settings, embedded: bool) -> dict[str, str]:
    """The address of the database for each process that enters it: each under a role of its own, if there is one."""
    url = settings.database_url
    if not embedded:
        return {each: database_roles.entered_by(settings, each).database_url for each in PROCESSES}
    passwords = {each: database_roles.new_password() for each in PROCESSES}
    await database_roles.make(url, passwords)
    database = database_roles.database_of(url)
    return {
        each: database_roles.url_as(url, role_name(database, each), password) for each, password in passwords.items()
    }


async def _run_children(
    settings: Settings, entrances: Mapping[str, str], founded: Founded, stop: asyncio.Event, say: Say
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(config.PREFIX)}

    def environ(verb: str) -> dict[str, str]:
        """As this process; the keeper, which does not enter the database, is not told how."""
        return inherited | config.to_environ(msgspec.structs.replace(settings, database_url=entrances.get(verb, "")))

    children = [Child(verb, environ(verb), settings.logs / f"{verb}.log") for verb in VERBS]
    started = time.monotonic()
    try:
        for child in children:
            child.start()
        await _first(_wait_until_ready(settings, children), stop)
        if not stop.is_set():
            run = _describe(settings, founded)
            runfile.write(settings.run_file, run)
            log.info("ready", base_url=run.base_url, seconds=round(time.monotonic() - started, 1))
            for line in welcome(settings, run, seen=sys.stdout.isatty()):
                say(line)
            await _first(_trim_logs(children), stop)
        say("stopping")
        settings.run_file.unlink(missing_ok=True)
        await asyncio.gather(*(child.stop() for child in children))
    finally:
        for child in children:
            child.kill()


async def _wait_until_ready(settings: Settings, children: list[Child]) -> None:
    """Return when `serve` answers, the webhooks' listener and the keeper are there. Raises Problem without `serve`."""
    by_verb = {child.verb: child for child in children}
    serve = by_verb["serve"]
    if not await _comes_up(serve, lambda: _is_healthy(settings.local_url), READY_SECONDS):
        raise Problem(f"`serve` does not come up. The end of {settings.logs / 'serve.log'}:\n{serve.last_words()}")

    async def has_device() -> bool:
        return published(settings.data).exists()

    # Before the keeper has a device nobody can give it keys: what is said then, no counsellor who comes could read.
    for child, ready in (
        (by_verb["keeper"], has_device),
        (by_verb["bridges"], lambda: _is_healthy(settings.bridges_url)),
    ):
        if not await _comes_up(child, ready, OTHERS_SECONDS):
            # The desk itself answers: better open without it than closed.
            log.error("does not come up, see its log", child=child.verb, log=str(settings.logs / f"{child.verb}.log"))


async def _comes_up(child: Child, ready: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    until = time.monotonic() + within_s
    while not await ready():
        if child.deaths >= FATAL_DEATHS or time.monotonic() > until:
            return False
        await asyncio.sleep(0.05)
    return True


async def _is_healthy(url: str) -> bool:
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url + "/health") as got:
            return got.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _describe(settings: Settings, founded: Founded) -> runfile.RunFile:
    base = settings.base_url
    return runfile.RunFile(
        pid=os.getpid(),
        base_url=base,
        local_url=settings.local_url,
        server_name=settings.server_name,
        database_url=settings.database_url,
        bridges_url=settings.bridges_url,
        youth_url=f"{base}/",
        staff_url=f"{base}/staff/",
        admin_url=f"{base}/admin/",
        admin_link=f"{base}/admin/#link={founded.admin_token}" if founded.admin_token else None,
        demo_staff=founded.demo_staff,
    )


def welcome(settings: Settings, run: runfile.RunFile, *, seen: bool) -> list[str]:
    """What is printed when the desk is ready; `seen`: on a terminal, where somebody looks on."""
    link = f"{run.admin_link}   (one-time link)"
    if not seen and not run.demo_staff:
        # Where nobody looks on it ends in a journal that others may read.
        link = f"{run.admin_url}   (the one-time link stands in {settings.run_file})"
    lines = [
        "",
        f"窓口  {settings.server_name}  ({settings.data})",
        f"  young people    {run.youth_url}",
        f"  counsellors     {run.staff_url}",
        f"  administration  {link if run.admin_link else run.admin_url}",
    ]
    for person in run.demo_staff:
        lines.append(f"  demo counsellor {person.name}  {person.user_id}  password {person.password}")
    return [*lines, "", f"ready {run.base_url}"]


@contextlib.asynccontextmanager
async def _database(settings: Settings, stop: asyncio.Event, say: Say) -> AsyncIterator[Settings]:
    """The settings with a database_url that answers; the embedded server is started, watched and stopped here."""
    if settings.database_url:
        yield settings
        return
    postgres = Postgres(postgres_directory(settings.data), settings.logs / "postgres.log")
    if not postgres.data.exists():
        say("database: making a new one")
    await postgres.start()
    watcher = asyncio.create_task(_keep_postgres_alive(postgres, stop))
    try:
        yield msgspec.structs.replace(settings, database_url=postgres.database_url)
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
        await postgres.stop()


async def _keep_postgres_alive(postgres: Postgres, stop: asyncio.Event) -> None:
    pause = FIRST_PAUSE
    while not stop.is_set():
        if postgres.process is not None:
            code = await postgres.process.wait()
            if stop.is_set():
                return
            log.warning("died, will be started again", child="postgres", code=code, pause_s=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
        try:
            await postgres.start()
            pause = FIRST_PAUSE
            log.info("started", child="postgres")
        except Problem:
            log.exception("cannot be started", child="postgres")


async def _with_free_ports(settings: Settings) -> Settings:
    """The settings with port 0 replaced by free ports. Raises Problem when a wished port is taken."""
    listen = await _free_address(*settings.listen_address, flag="--listen")
    # Asked before `listen` has its port: beside a port that was found free, the next one need not be.
    bridges = await _free_address(*settings.bridges_address, flag="--bridges-listen", but_not=listen)
    return msgspec.structs.replace(settings, listen=listen, bridges_listen=bridges)


async def _free_address(host: str, port: int, *, flag: str, but_not: str = "") -> str:
    until = time.monotonic() + PORT_SECONDS
    while True:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            with socket.socket(found[0], found[1]) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(found[4])
                address = config.join_address(host, probe.getsockname()[1])
            if address != but_not:
                return address
        except OSError as error:
            if time.monotonic() > until:
                reason = error.strerror or "not possible"
                raise Problem(
                    f"Cannot listen on {config.join_address(host, port)}: {reason}. Choose another {flag}."
                ) from None
        await asyncio.sleep(0.1)


async def _trim_logs(children: list[Child]) -> None:
    while True:
        await asyncio.sleep(600)
        for child in children:
            child.trim_log()


async def _first(work: Awaitable[None], stop: asyncio.Event) -> None:
    """Wait for `work` or for the wish to stop, whichever comes first; raise what `work` raised."""
    doing, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            # Asked twice: the children die with us.
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    # Whoever started us with nohup wants us to stay when the terminal goes.
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, asked)
    return stop
