"""Filters kept under a number (client-server API, "Filtering")."""

from typing import Any

from madoguchi.core.chat import filters
from madoguchi.matrix.account_data import own
from madoguchi.web.endpoint import Call


async def define_filter(call: Call, user_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"filter_id": await filters.define(call.tx, own(call, user_id), body)}


async def get_filter(call: Call, user_id: str, filter_id: str) -> bytes:
    return await filters.get_definition(call.tx, own(call, user_id), filter_id)
