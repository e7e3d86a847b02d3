"""The viewing ledger: short for everybody, whole for those who watch over the desk."""

import asyncio
import base64
from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import ledger as rules
from madoguchi.core.desk import ledger_export, ledger_public, ledger_words
from madoguchi.core.desk.hours import TOKYO
from madoguchi.core.desk.ledger_public import Short
from madoguchi.core.desk.ledger_words import ShownChange, ShownSection
from madoguchi.crypto import signed_page
from madoguchi.storage import audit, egress
from madoguchi.storage import viewing_ledgers as stored
from madoguchi.web.endpoint import Call

Host = Annotated[str, Meta(pattern=r"^[a-z0-9.:\[\]_-]{1,255}$")]
_MOST_DAYS = 400


class LanguageQuery(msgspec.Struct):
    """language: of the words."""

    language: Literal["ja", "en"] = "ja"


class DiffQuery(LanguageQuery):
    """first, last: days of which there is a ledger; left out: the newest, and the one before it."""

    first: date | None = msgspec.field(default=None, name="from")
    last: date | None = msgspec.field(default=None, name="to")


class LedgerExportQuery(LanguageQuery):
    """day: left out for the newest."""

    format: Literal["html", "pdf", "json"] = "html"
    day: date | None = None


class LedgerDay(msgspec.Struct, frozen=True):
    """changes: how much had drifted since the one before."""

    seq: int
    day: date
    at: int
    changes: int


class LedgerSeen(msgspec.Struct, frozen=True):
    """signature, public_key: base64, as in the exported file; drift: what nobody has looked at yet; days: the newest
    first."""

    seq: int
    day: date
    sections: list[ShownSection]
    signature: str
    public_key: str
    drift: list[ShownChange]
    days: list[LedgerDay]


class LedgerDiff(msgspec.Struct, frozen=True):
    """What differs between two ledgers."""

    first: date
    last: date
    changes: list[ShownChange]


class LedgerFile(msgspec.Struct, frozen=True):
    """text: of the file, as it is to be saved in UTF-8; of a PDF in base64."""

    file_name: str
    media_type: str
    text: str


class Acknowledge(msgspec.Struct):
    """seq: of the newest ledger that was looked at."""

    seq: Annotated[int, Meta(ge=1, le=2**53 - 1)]


class Called(msgspec.Struct):
    """requests: how often each host was called since the last report. Never a path."""

    requests: Annotated[dict[Host, Annotated[int, Meta(ge=1, le=2**40)]], Meta(max_length=1000)]


class Nothing(msgspec.Struct, frozen=True):
    """Done."""


async def get_public_ledger(call: Call) -> Short:
    """Who can read what is said here, where it lies, who has opened how much: for young people, no small numbers."""
    return await ledger_public.get(call.ctx, call.tx)


async def get_ledger(call: Call, query: LanguageQuery) -> LedgerSeen:
    """The newest viewing ledger with all its lines, and what has drifted."""
    return await _shown(call, await rules.newest(call.tx), query.language == "en")


async def get_ledger_of_day(call: Call, day: str, query: LanguageQuery) -> LedgerSeen:
    """The viewing ledger of a day."""
    try:
        asked = date.fromisoformat(day)
    except ValueError:
        raise errors.Invalid("A day is written as in 2026-11-29.") from None
    return await _shown(call, await rules.of_day(call.tx, asked), query.language == "en")


async def get_ledger_diff(call: Call, query: DiffQuery) -> LedgerDiff:
    """What differs between the viewing ledgers of two days; counts are left aside."""
    tx = call.tx
    last = await rules.of_day(tx, query.last) if query.last else await rules.newest(tx)
    if query.first is not None:
        first = await rules.of_day(tx, query.first)
    else:
        before = [each.day for each in await stored.list_short(tx, _MOST_DAYS) if each.day < last.day]
        first = await rules.of_day(tx, before[0]) if before else last
    found = rules.compare(first.lines, last.lines)
    return LedgerDiff(first.day, last.day, ledger_words.changes(found, query.language == "en"))


async def export_ledger(call: Call, query: LedgerExportQuery) -> LedgerFile:
    """A viewing ledger as a page to print, with what the ministries ask for, or as a signed file; who took it stands in
    the audit log."""
    ctx, tx = call.ctx, call.tx
    found = await rules.of_day(tx, query.day) if query.day else await rules.newest(tx)
    key = rules.public_key(ctx)
    name = f"madoguchi-ledger-{found.day}.{query.format}"
    if query.format == "pdf":
        from madoguchi.core.desk import ledger_paper  # it takes a while to load, and few ask for it

        paper = await asyncio.to_thread(ledger_paper.as_pdf, found, key, query.language == "en")
        made = LedgerFile(name, "application/pdf", base64.b64encode(paper).decode())
    elif query.format == "json":
        made = LedgerFile(name, "application/json", ledger_export.as_json(found, key))
    else:
        made = LedgerFile(name, "text/html", ledger_export.as_html(found, key, query.language == "en"))
    at = ctx.clock.now()
    day = found.day.isoformat()
    await audit.append(tx, at, call.session.user_id, "ledger.exported", str(found.seq), day=day, format=query.format)
    return made


async def acknowledge_ledger(call: Call, body: Acknowledge) -> Nothing:
    """Says that the drift up to a ledger has been looked at: the alarm is over."""
    await rules.acknowledge(call.ctx, call.tx, call.session.user_id, body.seq)
    return Nothing()


async def report_egress(call: Call, body: Called) -> Nothing:
    """The bridges say which hosts they have called, and how often."""
    today = call.ctx.clock.now().astimezone(TOKYO).date()
    await egress.add(call.tx, today, "bridges", body.requests)
    return Nothing()


async def _shown(call: Call, found: rules.Ledger, english: bool) -> LedgerSeen:
    return LedgerSeen(
        seq=found.seq,
        day=found.day,
        sections=ledger_words.sections(found.lines, english),
        signature=signed_page.text(found.signed.signature),
        public_key=signed_page.text(rules.public_key(call.ctx)),
        drift=ledger_words.changes(await rules.list_drift(call.tx), english),
        days=[
            LedgerDay(each.seq, each.day, int(each.at.timestamp() * 1000), len(msgspec.json.decode(each.drift)))
            for each in await stored.list_short(call.tx, _MOST_DAYS)
        ],
    )
