"""The viewing ledger 閲覧範囲台帳: who can view what from where. Made daily from settings and probes, signed, and bound
to the one before. What is new or different and matters is drift: an alarm until an administrator has looked at it.

What has gone away is shown and alarms nobody: it lets nobody read more.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Literal

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import auditing, ledger_lines, ledger_probes
from madoguchi.core.desk.countries import Countries, open_countries
from madoguchi.core.desk.hours import TOKYO
from madoguchi.core.desk.ledger_lines import Line
from madoguchi.crypto import chain, signed_page
from madoguchi.storage import audit, checks, egress, staff_networks
from madoguchi.storage import viewing_ledgers as stored
from madoguchi.storage.checks import Check
from madoguchi.storage.db import Tx
from madoguchi.storage.viewing_ledgers import Stored

FORMAT = "madoguchi viewing ledger 1"
CHECK = "ledger"
# Which hosts were called is not kept for longer.
_EGRESS_DAYS = 90


class Change(msgspec.Struct, frozen=True):
    """A line that is new, different or gone. before, after: its facts, None where there is no such line."""

    kind: Literal["added", "changed", "gone"]
    section: str
    key: str
    before: dict[str, str] | None
    after: dict[str, str] | None
    matters: bool


class Ledger(msgspec.Struct, frozen=True):
    """One ledger as it was signed, read back."""

    seq: int
    day: date
    signed: signed_page.Signed
    lines: list[Line]


async def make(ctx: Context, tx: Tx, countries: Countries | None = None) -> tuple[Ledger, list[Change]]:
    """Makes a ledger as things stand, signs and keeps it. Gives it with what is drift since the one before.

    Raises OSError, ValueError where the country database or the key can't be read.
    """
    countries = countries or open_countries(ctx.settings.country_database)
    await stored.lock(tx)
    at = ctx.clock.now()
    day = at.astimezone(TOKYO).date()
    lines = [
        *await ledger_lines.list_configured(ctx, tx, countries),
        *await ledger_probes.list_probed(ctx, tx, countries),
    ]
    last = await stored.get_last(tx)
    drift = [] if last is None else [each for each in compare(read(last).lines, lines) if each.matters]
    seq = last.seq + 1 if last else 1
    page = {
        "format": FORMAT,
        "desk": ctx.settings.server_name,
        "seq": seq,
        "day": day.isoformat(),
        "at": chain.moment(at),
        "before": signed_page.text(last.hash) if last else "",
        "lines": msgspec.to_builtins(lines),
    }
    signed = signed_page.sign(auditing.read_key(ctx.settings.keys), page)
    document = msgspec.json.encode(page).decode()
    told = msgspec.json.encode(drift).decode()
    await stored.insert(tx, Stored(seq, day, at, document, signed.hash, signed.signature, told))
    await checks.put(tx, Check(CHECK, at, len(await list_drift(tx))))
    await egress.delete_before(tx, day - timedelta(days=_EGRESS_DAYS))
    since = at - timedelta(days=ledger_probes.ACCESS_DAYS)
    await staff_networks.delete_before(tx, int(since.timestamp() * 1000))
    return Ledger(seq, day, signed, lines), drift


def read(found: Stored) -> Ledger:
    """A ledger from how it is kept."""
    page = msgspec.json.decode(found.document)
    return of_page(signed_page.Signed(page, found.hash, found.signature))


def of_page(signed: signed_page.Signed) -> Ledger:
    """A ledger from what was signed. Raises ValueError for what is none."""
    page = signed.page
    try:
        if page["format"] != FORMAT:
            raise ValueError("of another format")
        return Ledger(page["seq"], date.fromisoformat(page["day"]), signed, msgspec.convert(page["lines"], list[Line]))
    except (KeyError, TypeError, msgspec.ValidationError):
        raise ValueError("no viewing ledger") from None


def compare(before: Sequence[Line], after: Sequence[Line]) -> list[Change]:
    """What differs between two ledgers. Counts differ every day and are left aside."""
    old = {(line.section, line.key): line for line in before}
    new = {(line.section, line.key): line for line in after}
    found: list[Change] = []
    for place in sorted(old.keys() | new.keys()):
        was, now = old.get(place), new.get(place)
        if was is not None and now is not None:
            if was.facts != now.facts:
                found.append(Change("changed", *place, was.facts, now.facts, now.watched))
        elif now is not None:
            found.append(Change("added", *place, None, now.facts, now.watched))
        elif was is not None:
            found.append(Change("gone", *place, was.facts, None, False))
    return found


async def newest(tx: Tx) -> Ledger:
    """The last ledger. Raises NotFound before the first night."""
    found = await stored.get_last(tx)
    if found is None:
        raise errors.NotFound("There is no viewing ledger yet: the first is made in the coming night.")
    return read(found)


async def of_day(tx: Tx, day: date) -> Ledger:
    """The last ledger of a day. Raises NotFound."""
    found = await stored.get_of_day(tx, day)
    if found is None:
        raise errors.NotFound("There is no viewing ledger of that day.")
    return read(found)


async def list_drift(tx: Tx) -> list[Change]:
    """What has drifted since an administrator last looked, the oldest first; what came twice stands there once."""
    seen = await stored.get_seen(tx)
    found: dict[tuple[str, str, str], Change] = {}
    for each in await stored.list_drift_after(tx, seen.seq if seen else 0):
        for change in msgspec.json.decode(each.drift, type=list[Change]):
            found[change.kind, change.section, change.key] = change
    return list(found.values())


async def acknowledge(ctx: Context, tx: Tx, by: str, seq: int) -> None:
    """Notes that an administrator has looked at all drift up to a ledger: the alarm is over. Raises NotFound."""
    last = await stored.get_last(tx)
    if last is None or not 1 <= seq <= last.seq:
        raise errors.NotFound("There is no such viewing ledger.")
    at = ctx.clock.now()
    before = len(await list_drift(tx))
    if not await stored.insert_seen(tx, stored.Seen(seq, at, by)):
        return
    left = len(await list_drift(tx))
    await checks.put(tx, Check(CHECK, at, left))
    await audit.append(tx, at, by, "ledger.acknowledged", str(seq), changes=before - left)


async def faults(ctx: Context, tx: Tx) -> tuple[int, list[str]]:
    """How many ledgers there are, and what is wrong with them."""
    pages = [read(each).signed async for each in stored.read_all(tx)]
    return len(pages), signed_page.faults(pages, public_key(ctx))


def public_key(ctx: Context) -> bytes:
    """By which anybody can check a ledger."""
    return bytes(auditing.read_key(ctx.settings.keys).verify_key)


def as_file(ledger: Ledger, key: bytes) -> dict[str, Any]:
    """A ledger as the JSON file that `madoguchi ledger verify` takes."""
    signed = ledger.signed
    return {
        "ledger": signed.page,
        "hash": signed_page.text(signed.hash),
        "signature": signed_page.text(signed.signature),
        "public_key": signed_page.text(key),
    }
