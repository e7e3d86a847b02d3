"""The reports of drills 停止訓練 that the operator kept, for administrators."""

import msgspec

from madoguchi import errors
from madoguchi.core.desk.hours import TOKYO
from madoguchi.desk.statistics import Export
from madoguchi.storage import drills as stored
from madoguchi.web.endpoint import Call


class DrillSeen(msgspec.Struct, frozen=True):
    """at: milliseconds; people: how many that do not exist took part; moved: of them; moved_95: minutes until 95 % had,
    null if they never had."""

    id: int
    at: int
    by: str
    people: int
    moved: int
    moved_95: float | None


class Drills(msgspec.Struct, frozen=True):
    """The newest first."""

    drills: list[DrillSeen]


async def list_drills(call: Call) -> Drills:
    """The drills whose reports were kept (`madoguchi drill --keep`)."""
    found = await stored.list_drills(call.tx)
    return Drills(
        [
            DrillSeen(each.id, round(each.at.timestamp() * 1000), each.by_whom, each.people, each.moved, each.moved_95)
            for each in found
        ]
    )


async def export_drill(call: Call, drill_id: str) -> Export:
    """The report of one: a page with the curve that needs nothing else."""
    found = await stored.get_report(call.tx, int(drill_id)) if drill_id.isdecimal() and len(drill_id) < 19 else None
    if found is None:
        raise errors.NotFound("There is no such drill.")
    at, report = found
    return Export(f"madoguchi-drill-{at.astimezone(TOKYO):%Y-%m-%d}.html", "text/html", report)
