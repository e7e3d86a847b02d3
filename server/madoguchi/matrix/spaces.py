"""Chapters "Room Upgrades" and "Spaces"."""

import hashlib
from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import spaces, upgrade
from madoguchi.matrix.directory import summary
from madoguchi.web.endpoint import Call


class UpgradeRoom(msgspec.Struct):
    new_version: str
    additional_creators: list[str] = []


async def upgrade_room(call: Call, room_id: str, body: UpgradeRoom) -> dict[str, Any]:
    call.session.must_not_be_suspended()
    replacement = await upgrade.upgrade(
        call.ctx, call.tx, room_id, call.session.user_id, body.new_version, body.additional_creators
    )
    return {"replacement_room": replacement}


class HierarchyQuery(msgspec.Struct):
    suggested_only: bool = False
    limit: int | None = None
    max_depth: int | None = None
    from_: str | None = msgspec.field(default=None, name="from")


async def get_space_hierarchy(call: Call, room_id: str, query: HierarchyQuery) -> dict[str, Any]:
    """Pages over the hierarchy as it is now; a token goes on with the same question only."""
    if (query.limit is not None and query.limit < 1) or (query.max_depth is not None and query.max_depth < 0):
        raise errors.Invalid("limit is 1 or more, max_depth 0 or more.")
    question = f"{room_id} {query.suggested_only} {query.max_depth}"
    mark = hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    start = 0
    if query.from_ is not None:
        place, _, asked = query.from_.partition("_")
        if asked != mark or not place.isascii() or not place.isdigit() or len(place) > 6:
            raise errors.Invalid("This token is not of an earlier answer to the same question.")
        start = int(place)
    found = await spaces.hierarchy(
        call.ctx, call.tx, room_id, call.session.user_id,
        suggested_only=query.suggested_only, max_depth=query.max_depth,
    )  # fmt: skip
    end = start + min(query.limit or spaces.LONGEST_PAGE, spaces.LONGEST_PAGE)
    answer: dict[str, Any] = {"rooms": []}
    for each in found[start:end]:
        shown = {**summary(each.room), "children_state": each.children, "room_version": each.room.version}
        if each.room.encrypted:
            shown["encryption"] = (each.room.content("m.room.encryption") or {}).get("algorithm")
        answer["rooms"].append(shown)
    if end < len(found):
        answer["next_batch"] = f"{end}_{mark}"
    return answer
