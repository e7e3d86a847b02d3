"""Supervision: what people have reported."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.storage import rooms as stored_rooms
from madoguchi.storage.rooms import Report
from madoguchi.web.endpoint import Call


class ReportsQuery(msgspec.Struct):
    """before: the id of a report, to go on from an earlier answer."""

    before: Annotated[int, Meta(ge=1)] = 2**53 - 1
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class Reports(msgspec.Struct, frozen=True):
    reports: list[Report]


async def list_reports(call: Call, query: ReportsQuery) -> Reports:
    """What was reported, the newest first: by whom, where, about whom. Never the words: the database holds none."""
    return Reports(await stored_rooms.list_reports(call.tx, query.before, query.limit))
