"""Chapters "Profiles" and "User directory"."""

from typing import Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import profiles
from madoguchi.storage import profiles as store
from madoguchi.storage import rooms
from madoguchi.web.endpoint import Call

LONGEST_SEARCH = 50


class Search(msgspec.Struct):
    """Body of `search_user_directory`."""

    search_term: str
    limit: int = 10


async def get_user_profile(call: Call, user_id: str) -> dict[str, Any]:
    return await profiles.get(call.tx, call.caller, user_id)


async def get_profile_field(call: Call, user_id: str, key_name: str) -> dict[str, Any]:
    fields = await profiles.get(call.tx, call.caller, user_id)
    if key_name not in fields:
        raise errors.NotFound("This profile has no such field.")
    return {key_name: fields[key_name]}


async def set_profile_field(call: Call, user_id: str, key_name: str, body: dict[str, Any]) -> dict[str, Any]:
    profiles.check_key(key_name)
    if key_name not in body:
        raise errors.MissingParam(f"The body must have {key_name}.")
    await profiles.set_field(call.ctx, call.tx, call.session, user_id, key_name, body[key_name])
    return {}


async def delete_profile_field(call: Call, user_id: str, key_name: str) -> dict[str, Any]:
    await profiles.delete_field(call.ctx, call.tx, call.session, user_id, key_name)
    return {}


async def search_user_directory(call: Call, body: Search) -> dict[str, Any]:
    limit = max(1, min(body.limit, LONGEST_SEARCH))
    term = body.search_term.replace("\0", "").strip()[:255]
    if not term:
        return {"results": [], "limited": False}
    # Only people one shares a room with: nobody finds a young person or a counsellor by looking.
    among = await rooms.list_shared_users(call.tx, call.session.user_id)
    found = await store.search_profiles(call.tx, sorted(among - {call.session.user_id}), term, limit + 1)
    return {"results": [_shown(profile) for profile in found[:limit]], "limited": len(found) > limit}


def _shown(profile: store.Profile) -> dict[str, Any]:
    shown: dict[str, Any] = {"user_id": profile.user_id}
    if profile.displayname is not None:
        shown["display_name"] = profile.displayname
    if profile.avatar_url is not None:
        shown["avatar_url"] = profile.avatar_url
    return shown
