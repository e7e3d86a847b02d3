"""The viewing ledger for young people: short, in words they know, and nothing that tells of few."""

import msgspec

from madoguchi.context import Context
from madoguchi.core.desk import ledger, readers, small_cells
from madoguchi.core.desk.countries import UNKNOWN
from madoguchi.core.desk.ledger_lines import Line
from madoguchi.core.desk.readers import Reader
from madoguchi.storage import viewing_ledgers as stored
from madoguchi.storage.db import Tx


class Place(msgspec.Struct, frozen=True):
    """Where something lies. what: database, files or backup; country: two letters, `inside` or `unknown`."""

    what: str
    country: str


class Company(msgspec.Struct, frozen=True):
    """Somebody else's company. country: where it has its seat; reads: whether it can read what is said."""

    name: str
    company: str
    country: str
    reads: bool


class Opened(msgspec.Struct, frozen=True):
    """In how many cases people with a role were in the last 90 days; None: in few."""

    role: str
    cases: int | None


class Short(msgspec.Struct, frozen=True):
    """made_at: milliseconds, when the ledger was signed last; None before the first night; then only readers."""

    readers: list[Reader]
    made_at: int | None
    places: list[Place]
    companies: list[Company]
    opened: list[Opened]
    vault_openings: int | None
    content_days: int | None


async def get(ctx: Context, tx: Tx) -> Short:
    """Who can read as things stand now, and the rest by the last ledger."""
    told = await readers.list_readers(ctx, tx)
    found = await stored.get_last(tx)
    if found is None:
        return Short(told, None, [], [], [], None, None)
    lines = ledger.read(found).lines
    return Short(
        readers=told,
        made_at=int(found.at.timestamp() * 1000),
        places=list(
            dict.fromkeys(
                Place(_place(line.key), line.facts["host_country"]) for line in lines if line.section == "places"
            )
        ),
        companies=_companies(lines),
        opened=[
            Opened(line.key, _shown(line.counts["cases"]))
            for line in lines
            if line.section == "access" and "cases" in line.counts
        ],
        vault_openings=next((_shown(line.counts["openings"]) for line in lines if _is(line, "access", "vault")), 0),
        content_days=next((int(line.facts["days"]) for line in lines if _is(line, "retention", "content")), None),
    )


def _companies(lines: list[Line]) -> list[Company]:
    found: dict[str, Company] = {}
    for line in lines:
        learns = line.facts.get("company_learns", "nothing")
        if line.section in ("channels", "push") and learns != "nothing" and "company" in line.facts:
            name = line.facts["kind"]
            company = Company(name, line.facts["company"], line.facts.get("seat", UNKNOWN), learns == "content")
            known = found.get(name + company.company)
            if known is None or company.reads:
                found[name + company.company] = company
    return list(found.values())


def _place(key: str) -> str:
    return key.partition(":")[0]


def _shown(count: int) -> int | None:
    return None if small_cells.is_small(count) else count


def _is(line: Line, section: str, key: str) -> bool:
    return line.section == section and line.key == key
