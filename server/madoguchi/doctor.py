"""`madoguchi doctor`: looks at everything a desk needs and says how to mend what is wrong."""

import ctypes
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import aiohttp
import asyncpg
import msgspec

from madoguchi import config, errors
from madoguchi.config import Settings
from madoguchi.core import egress
from madoguchi.core.chat import registrations
from madoguchi.core.chat.registrations import AppService
from madoguchi.core.desk import roster
from madoguchi.core.desk.presence import may_counsel
from madoguchi.crypto.roster import BadRoster
from madoguchi.keeper import published, recovery
from madoguchi.migrate import newest_revision
from madoguchi.storage import (
    appservices,
    bridging,
    channels,
    checks,
    cross_signing,
    disclosures,
    health,
    roles,
    stream,
    vault,
    wrapping,
)
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.appservices import Queue
from madoguchi.storage.db import Tx
from madoguchi.storage.grants import PROCESSES
from madoguchi.up import Problem, lock, runfile
from madoguchi.up.database import reachable
from madoguchi.vault import pin
from madoguchi.web.static import find_root

State = Literal["ok", "note", "bad"]
LEAST_FREE_BYTES = 1024**3
LARGEST_CLOCK_DIFFERENCE = timedelta(seconds=5)
# The keeper asks for its work at least every half minute.
SILENT_AFTER = timedelta(minutes=3)
KEPT = "Nothing is lost meanwhile."
ANOTHER_VAULT = (
    "Was its key exchanged, or a backup restored? Otherwise somebody wants to read along: docs/operations.md says what "
    f"to do (Another vault key). {KEPT}"
)


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, and for a bad one how to mend it."""

    about: str
    state: State
    text: str
    mend: str = ""

    @property
    def is_bad(self) -> bool:
        return self.state == "bad"

    def as_line(self) -> str:
        """For a terminal; the mending stands under it."""
        line = f"{self.state:<5} {self.about:<10} {self.text}"
        return f"{line}\n{'':<17}-> {self.mend}" if self.mend else line


async def examine(settings: Settings) -> list[Finding]:
    """All checks, in the order in which trouble spreads. Never raises: what can't be looked at is a finding."""
    # Under `madoguchi up`, or each process by itself.
    running = lock.is_running(settings.data) or await _status_of(f"{settings.local_url}/health") == 200
    findings = [*_data(settings), *_keys(settings), _clock(), _pages()]
    findings += [finding async for finding in _database(settings, running)]
    findings.append(await _media(settings))
    findings += [finding async for finding in _listeners(settings, running)]
    return findings


def _data(settings: Settings) -> list[Finding]:
    if not settings.data.is_dir():
        return [Finding("data", "bad", f"{settings.data} does not exist.", "Start the desk once: `madoguchi up`.")]
    found: list[Finding] = []
    facts = settings.data.stat()
    if facts.st_uid != os.geteuid():
        who = f"user {facts.st_uid}"
        found.append(Finding("data", "bad", f"{settings.data} belongs to {who}.", f"Run as {who}, or chown it."))
    if facts.st_mode & 0o066:
        found.append(
            Finding("data", "bad", f"Others may look into {settings.data}.", f"chmod -R go-rw {settings.data}")
        )
    free = shutil.disk_usage(settings.data).free
    if free < LEAST_FREE_BYTES:
        text = f"Only {free // 1024**2} MB are free for {settings.data}."
        found.append(Finding("data", "bad", text, "Make room: a full disk stops every conversation."))
    name = config.remembered_server_name(settings.data)
    if name and name != settings.server_name:
        found.append(
            Finding(
                "data",
                "bad",
                f"This desk is {name}, the setting says {settings.server_name}.",
                f"Set server_name to {name}; it can't change.",
            )
        )
    return found or [Finding("data", "ok", f"{settings.data}, {free // 1024**3} GB free")]


def _keys(settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    for name in (
        "secret.key",
        "audit.key",
        "bridges.key",
        "bridges.pub",
        "keeper.password",
        "deskbot.password",
        "registration-bridges.yaml",
        *(["push.key"] if settings.web_push_services else []),
    ):
        path = settings.keys / name
        if not path.is_file():
            mend = (
                "New desk: `madoguchi init` or `madoguchi up` makes it. Old desk: restore it from the backup, because"
            )
            lost = " what it opened stays closed without it."
            found.append(Finding("keys", "bad", f"{path} is missing.", mend + lost))
        elif path.stat().st_mode & 0o077:
            found.append(Finding("keys", "bad", f"{path} can be read by others.", f"chmod 600 {path}"))
    return found or [Finding("keys", "ok", f"all there in {settings.keys}, private")]


def _clock() -> Finding:
    if sys.platform == "linux":
        # adjtimex(2) with modes = 0 only reads; 5 = TIME_ERROR, the clock is not synchronised.
        if ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) == 5:
            mend = "Switch time synchronisation on (for example `timedatectl set-ntp true`, or chrony)."
            return Finding("clock", "note", "The system says that its clock is not synchronised.", mend)
    return Finding("clock", "ok", datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))


def _pages() -> Finding:
    root = find_root()
    if (root / "index.html").is_file():
        return Finding("pages", "ok", str(root))
    return Finding("pages", "bad", "The web pages have not been built.", "`make setup` builds them.")


async def _media(settings: Settings) -> Finding:
    if settings.media_store == "folder":
        return Finding("files", "ok", str(settings.media))
    from madoguchi.core.chat.media_s3 import BucketStore

    where = f"bucket {settings.media_s3_bucket} at {settings.media_s3_endpoint}"
    try:
        await BucketStore(settings).answers()
    except errors.Unavailable:
        mend = "Is the address right, the bucket made, and may this key use it? (media_s3_…)"
        return Finding("files", "bad", f"{where} can't be used.", mend)
    return Finding("files", "ok", where)


async def _database(settings: Settings, running: bool) -> AsyncIterator[Finding]:
    try:
        async with reachable(settings) as found:
            connection = await asyncpg.connect(found.database_url, timeout=10)
            try:
                async for finding in _inside_database(connection, settings, running):
                    yield finding
            finally:
                await connection.close()
    except Problem as problem:
        yield Finding("database", "bad", "No database.", str(problem))
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        where = config.mask_url(settings.database_url) or "the embedded PostgreSQL"
        yield Finding(
            "database", "bad", f"{where} does not answer ({type(error).__name__}).",
            f"Check database_url and that the server runs; embedded: read {settings.logs / 'postgres.log'}.",
        )  # fmt: skip


async def _inside_database(tx: Tx, settings: Settings, running: bool) -> AsyncIterator[Finding]:
    version = await health.get_database_version(tx)
    if int(version.split(".")[0]) < 15:
        yield Finding("database", "bad", f"PostgreSQL {version} is too old.", "Use PostgreSQL 15 or newer.")
    else:
        yield Finding("database", "ok", f"PostgreSQL {version}")
    try:
        schema = await health.get_schema_version(tx)
    except asyncpg.UndefinedTableError:
        yield Finding("schema", "bad", "The database is empty.", "Run `madoguchi migrate`.")
        return
    if schema != newest_revision():
        text = f"The database is at {schema}, this version needs {newest_revision()}."
        yield Finding("schema", "bad", text, "Run `madoguchi migrate`.")
        return
    yield Finding("schema", "ok", schema)
    yield await _roles(tx)
    difference = abs(await health.get_database_time(tx) - datetime.now(UTC))
    if difference > LARGEST_CLOCK_DIFFERENCE:
        text = f"The database's clock differs by {difference.total_seconds():.0f} s."
        yield Finding("clock", "bad", text, "Synchronise the clocks of both machines (chrony, ntpd).")
    if running:
        yield await _keeper(tx, settings)
    yield _recovery(settings)
    yield await _vault(tx, settings)
    yield await _wrapping(tx)
    yield await _roster(tx, settings)
    for check in await checks.list_checks(tx):
        yield _check(check)
    yield await _disclosures(tx)
    yield await _channels(tx)
    for ledger in await bridging.list_ledgers(tx):
        yield _ledger(ledger)
    for quota in await bridging.list_quotas(tx):
        yield _quota(quota)
    async for finding in _appservices(tx, settings, running):
        yield finding


async def _roles(tx: Tx) -> Finding:
    """Under which roles the processes are in the database, and whether these may do what they should."""
    made, entered = await roles.list_made(tx), await health.list_entered(tx)
    if differ := await roles.list_differences(tx):
        tables = ", ".join(sorted({each.table for each in differ}))
        text = f"Roles of the database may do more or less than they should with {tables}."
        return Finding("roles", "bad", text, "Run `madoguchi migrate` (`madoguchi roles show` says what differs).")
    if not set(PROCESSES) <= made.keys():
        text = "All processes enter the database by database_url, and may do everything in it."
        return Finding(
            "roles", "note", text, "`madoguchi roles make` gives each a role of its own (docs/operations.md)."
        )
    others = [each for each in PROCESSES if set(entered.get(f"madoguchi {each}", ())) - {made[each]}]
    if others:
        text = f"{', '.join(others)}: entered the database under another role than the one that is made for it."
        return Finding(
            "roles", "note", text, "Start it again, with its own password in DATA/keys (docs/operations.md)."
        )
    return Finding("roles", "ok", f"{', '.join(PROCESSES)} each under one of its own in the database")


async def _keeper(tx: Tx, settings: Settings) -> Finding:
    known = await cross_signing.list_cross_signing_keys(tx, [f"@keeper:{settings.server_name}"])
    if known and lock.is_running(settings.data) and not published(settings.data).exists():
        text = "The keeper has lost its identity and waits: nobody is let into a case."
        return Finding("keeper", "bad", text, "`madoguchi keeper recover` (docs/operations.md).")
    seen = (await health.list_heartbeats(tx)).get("keeper")
    if seen is None or datetime.now(UTC) - seen > SILENT_AFTER:
        text = (
            "The keeper has never asked for work." if seen is None else f"The keeper is silent since {seen:%F %T} UTC."
        )
        mend = "Read logs/keeper.log; `madoguchi up` starts it again by itself, otherwise run `madoguchi keeper`."
        return Finding("keeper", "bad", text, mend)
    return Finding("keeper", "ok", f"last heard of {seen:%F %T} UTC")


def _recovery(settings: Settings) -> Finding:
    if recovery.pinned_key(settings.keys / recovery.KEY_FILE) is None:
        mend = "`madoguchi keeper prepare --key FILE`: without it a lost keeper comes back as somebody else."
        return Finding("recovery", "note", "There is no recovery key for the keeper yet.", mend)
    return Finding("recovery", "ok", "what a lost keeper needs is kept, sealed to its recovery key")


async def _vault(tx: Tx, settings: Settings) -> Finding:
    found = await vault.get_vault(tx)
    if found is None:
        mend = "`madoguchi vault init` makes it; without it nobody can ever open a case whose counsellors are gone."
        return Finding("vault", "note", "There is no vault yet.", mend)
    if pin.is_missing(settings.keys):
        mend = "`madoguchi vault pin`, once you have compared the name on the holders' pages."
        return Finding("vault", "bad", f"No {pin.KEY_FILE}: the keeper seals nothing, and keeps all keys.", mend)
    if not pin.is_it(settings.keys, found.public_key):
        text = f"The vault in the database is not the one of {pin.KEY_FILE}: the keeper seals nothing to it."
        return Finding("vault", "bad", text, ANOTHER_VAULT)
    if pin.was_refused(settings.data):
        text = "The server gives the keeper another vault key than the one in the database: nothing is sealed to it."
        return Finding("vault", "bad", text, ANOTHER_VAULT)
    return Finding(
        "vault", "ok", f"{found.threshold} of {found.shares} holders open it; {await vault.count_keys(tx)} keys"
    )


async def _wrapping(tx: Tx) -> Finding:
    """Whether sealed keys can be unwrapped, and whether what that takes was saved, apart, since the last purge."""
    if closed := await wrapping.count_closed(tx):
        text = f"What {closed} sealed keys are wrapped in is not here, as after a restore."
        return Finding("wrapping", "bad", text, "`madoguchi wrapping load FILE`, with the newest that was saved.")
    saved_at = await wrapping.get_saved_at(tx)
    if saved_at is None:
        text = "The wrapping keys were never saved: a backup of the database opens no conversation without them."
        return Finding("wrapping", "note", text, "`madoguchi wrapping save FILE` after each backup, to another place.")
    told = f"saved {saved_at:%F %T} UTC"
    if since := await wrapping.count_purged_since(tx, saved_at):
        text = f"{told}; with that file a backup still opens {since} cases that were purged since."
        return Finding("wrapping", "note", text, "`madoguchi wrapping save FILE`, over it.")
    return Finding("wrapping", "ok", told)


async def _disclosures(tx: Tx) -> Finding:
    found = await disclosures.list_open(tx, datetime.now(UTC))
    if not found:
        return Finding("disclosure", "ok", "nobody waits to be shown what is kept")
    waiting = sum(each.state == "asked" for each in found)
    text = f"{waiting} requests wait for a decision, {len(found) - waiting} are approved and not yet opened or over."
    return Finding("disclosure", "note", text, "`madoguchi case disclosure list`, or the administrator's page.")


async def _roster(tx: Tx, settings: Settings) -> Finding:
    try:
        found = await roster.current(settings, tx)
    except BadRoster as wrong:
        mend = "Bring back roster.pub, or sign anew: `madoguchi roster sign`. Until then nobody is vouched for."
        return Finding("roster", "bad", str(wrong), mend)
    if found is None:
        mend = "`madoguchi roster init` and `sign`: without it pages and keeper believe the server who is of the staff."
        return Finding("roster", "note", "There is no roster of the staff yet.", mend)
    staff = [person for person in await stored_staff.list_staff(tx) if may_counsel(person)]
    missing = await roster.unvouched(settings, tx, [person.user_id for person in staff])
    if missing:
        names = ", ".join(person.name for person in staff if person.user_id in missing)
        text = f"Not on roster {found.number}, or with other keys than it says: {names}."
        return Finding("roster", "bad", text, "They come into no case until you sign: `madoguchi roster sign`.")
    return Finding("roster", "ok", f"number {found.number}, {found.issued_at}: {len(found.staff)} entries")


def _check(check: checks.Check) -> Finding:
    about, wrong, mend = {
        "vault": ("vault", "sessions that its holders could not open", "`madoguchi vault check` says which and why."),
        "vault_key": ("vault key", "vault key that the operator has not named", ANOTHER_VAULT),
        "bridges": (
            "bridges",
            "events of apps that are not where the ledger says",
            "Keep the database and logs/bridges.log as they are now, and report it.",
        ),
        "events": ("events", "events that are not what was sent", "`madoguchi case check` says which."),
        "ledger": (
            "viewing",
            "changes in who can view what that nobody has looked at",
            "Administrators see them on their page (閲覧範囲台帳); `madoguchi ledger show` lists them.",
        ),
        "audit": (
            "audit log",
            "faults",
            "`madoguchi audit verify` says which. Copy everything as it is now.",
        ),
    }.get(check.name, (check.name, "faults", ""))
    if check.found:
        return Finding(about, "bad", f"{check.found} {wrong} ({check.at:%F %T} UTC).", mend)
    return Finding(about, "ok", f"nothing wrong at the last examination ({check.at:%F %T} UTC)")


async def _channels(tx: Tx) -> Finding:
    known = await channels.list_channels(tx)
    mute = [channel.id for channel in known if channel.kind not in ("web", "matrix") and not channel.has_secrets]
    if mute:
        mend = "`madoguchi channel set ID` with the tokens from the app's console."
        return Finding("channels", "bad", f"Without tokens: {', '.join(mute)}.", mend)
    return Finding("channels", "ok", ", ".join(f"{channel.id} ({channel.mode})" for channel in known))


def _ledger(ledger: bridging.Ledger) -> Finding:
    parts = (
        (ledger.shown, "shown"),
        (ledger.placeholders, "placeholders"),
        (ledger.repeated, "repetitions"),
        (ledger.answered, "answered with the way to the page"),
        (ledger.noted, "noted"),
        (ledger.apart, "of groups or the account"),
        (ledger.destroyed, "destroyed with their case"),
        (ledger.waiting, "waiting"),
    )
    text = f"{ledger.channel_id}: {ledger.received} in = " + " + ".join(
        f"{count} {what}" for count, what in parts if count
    )
    if ledger.missing:
        mend = "Keep the database and logs/bridges.log as they are now, and report it."
        return Finding("ledger", "bad", f"{text}; {ledger.missing} are nowhere.", mend)
    if ledger.waiting_since is not None and _waits_long(datetime.fromtimestamp(ledger.waiting_since / 1000, UTC)):
        mend = f"Read logs/bridges.log: `bridges` and `serve` must run. {KEPT}"
        return Finding("ledger", "bad", f"{text}, some for more than {SILENT_AFTER.seconds // 60} minutes.", mend)
    return Finding("ledger", "ok", text)


def _quota(quota: bridging.Quota) -> Finding:
    if quota.most is None:
        return Finding("quota", "ok", f"{quota.channel_id}: {quota.used} sent in this month, as many as one wants")
    text = f"{quota.channel_id}: {quota.used} of {quota.most} sent in this month, {quota.reserve} of them kept back"
    if quota.is_down_to_reserve:
        mend = "Buy more from the app, or offer people the move to the page; only danger and moves go out meanwhile."
        return Finding("quota", "bad", f"{text}: nothing else goes out.", mend)
    return Finding("quota", "ok", text)


async def _appservices(tx: Tx, settings: Settings, running: bool) -> AsyncIterator[Finding]:
    try:
        services = registrations.load(settings.registrations, settings.server_name)
    except registrations.RegistrationError as error:
        yield Finding("bridges", "bad", str(error), "Mend or remove the file; `serve` and `work` do not start with it.")
        return
    queues = {queue.appservice: queue for queue in await appservices.list_queues(tx)}
    now = await stream.position(tx)
    for service in services:
        if service.url is None:
            continue
        queue = queues.pop(service.id, None)
        answers, text = await _call(service)
        text = f"{service.id}: {service.url} {text}; {_delivered(queue, now)}"
        if not answers:
            mend = f"Start the bridge, or correct `url` or `hs_token` in its registration. {KEPT}"
            yield Finding("appservice", "bad", text, mend)
        elif running and queue is not None and queue.made_at is not None and _waits_long(queue.made_at):
            mend = f"Read the bridge's log, and logs/work.log: `work` must run. {KEPT}"
            yield Finding("appservice", "bad", text, mend)
        else:
            yield Finding("appservice", "ok", text)
    for left in queues.values():
        mend = "docs/application-services.md says how to forget it, if it will not come back."
        yield Finding("appservice", "note", f"{left.appservice} is no longer registered; {_delivered(left, now)}", mend)


def _waits_long(since: datetime) -> bool:
    return datetime.now(UTC) - since > SILENT_AFTER


def _delivered(queue: Queue | None, now: int) -> str:
    """How far an application service has been told, and what waits."""
    if queue is None:
        return "nothing delivered yet"
    last = f"last success {queue.delivered_at:%F %T} UTC" if queue.delivered_at else "nothing delivered yet"
    text = f"{last}, backlog {now - queue.pos} positions"
    if queue.made_at is not None:
        text += f", one transaction waits since {queue.made_at:%F %T} UTC"
    if queue.error is not None:
        text += f" ({queue.attempts} attempts, {queue.error})"
    return text


async def _call(service: AppService) -> tuple[bool, str]:
    """Whether an application service is there and takes our token; and in words."""
    assert service.url is not None
    try:
        async with egress.way(service.url, service.hs_token, timeout_s=5) as way:
            answer = await way.call("POST", "/_matrix/app/v1/ping", b"{}")
    except errors.Refused:
        return False, "does not answer"
    if answer.status in (401, 403):
        return False, f"refuses its hs_token ({answer.status})"
    # An older one knows no ping, and is there all the same.
    return True, "answers" if answer.status in (200, 404, 405) else f"answers with status {answer.status}"


async def _listeners(settings: Settings, running: bool) -> AsyncIterator[Finding]:
    # A desk under `up` may listen elsewhere than these settings say (another --listen, a free port).
    run = runfile.read(settings.run_file) if lock.is_running(settings.data) else None
    web, webhooks = (run.local_url, run.bridges_url) if run else (settings.local_url, settings.bridges_url)
    for name, url in (("serve", web), ("bridges", webhooks)):
        status = await _status_of(f"{url}/health")
        if status == 200:
            yield Finding(name, "ok", f"answers at {url}")
        elif status is not None:
            mend = f"Another program may listen there, or the database is away: see above and logs/{name}.log."
            yield Finding(name, "bad", f"{url}/health answers {status}.", mend)
        elif running:
            mend = f"Read {settings.logs / f'{name}.log'}; `up` starts it again by itself, else run `madoguchi {name}`."
            yield Finding(name, "bad", f"Nothing answers at {url}.", mend)
        elif _is_free(url):
            yield Finding(name, "note", f"does not run; {url} is free for it")
        else:
            mend = "Stop that program, or choose another --listen / --bridges-listen."
            yield Finding(name, "bad", f"Another program listens at {url}.", mend)


async def _status_of(url: str) -> int | None:
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as got:
            return got.status
    except (aiohttp.ClientError, TimeoutError):
        return None


def _is_free(url: str) -> bool:
    host, port = config.split_address(url.removeprefix("http://"))
    try:
        with socket.create_connection((host, port), timeout=2):
            return False
    except OSError:
        return True
