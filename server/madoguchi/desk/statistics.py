"""Statistics, for administrators: on the page, and as files for the ministries."""

from datetime import date, timedelta
from typing import Literal

import msgspec

from madoguchi.core.desk import export, hours
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk import statistics as rules
from madoguchi.core.desk.small_cells import FEWEST
from madoguchi.core.desk.statistics import Figures
from madoguchi.storage import audit
from madoguchi.web.endpoint import Call


class Span(msgspec.Struct):
    """first, last: days in Japan, both included; left out: the four weeks up to today."""

    first: date | None = msgspec.field(default=None, name="from")
    last: date | None = msgspec.field(default=None, name="to")

    def days(self, today: date) -> tuple[date, date]:
        """The first and the last day."""
        last = self.last or max(today, self.first or today)
        return self.first or last - timedelta(days=27), last


class ExportQuery(Span):
    """language: of the words in a CSV; JSON has both."""

    format: Literal["csv", "json"] = "csv"
    language: Literal["ja", "en"] = "ja"


class StatisticsSeen(msgspec.Struct, frozen=True):
    """current: of the span; previous: of the one of the same length before it; fewest: smaller numbers are null."""

    fewest: int
    current: Figures
    previous: Figures


class Export(msgspec.Struct, frozen=True):
    """text: of the file, as it is to be saved in UTF-8."""

    file_name: str
    media_type: str
    text: str


async def get_statistics(call: Call, query: Span) -> StatisticsSeen:
    """Counts of the cases that came in a span of days; small numbers, and what would give one away, are left out."""
    found = await rules.get(call.ctx, call.tx, *query.days(_today(call)))
    return StatisticsSeen(FEWEST, found.current, found.previous)


async def export_statistics(call: Call, query: ExportQuery) -> Export:
    """The same as a file for a spreadsheet or a program; who took it stands in the audit log."""
    ctx, tx = call.ctx, call.tx
    at = ctx.clock.now()
    first, last = query.days(_today(call))
    found = await rules.get(ctx, tx, first, last)
    name = (await desk_settings.get(tx)).name
    span = {"first": first.isoformat(), "last": last.isoformat()}
    await audit.append(tx, at, call.session.user_id, "statistics.exported", **span, format=query.format)
    if query.format == "csv":
        media_type, text = "text/csv", export.as_csv(found, name, at, query.language == "en")
    else:
        media_type, text = "application/json", export.as_json(found, name, at)
    return Export(f"madoguchi-{first}-{last}.{query.format}", media_type, text)


def _today(call: Call) -> date:
    return call.ctx.clock.now().astimezone(hours.TOKYO).date()
