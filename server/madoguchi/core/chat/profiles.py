"""Profiles: who may see one, and setting its fields (client-server API, "Profiles")."""

import re
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import membership
from madoguchi.ids import UserID
from madoguchi.storage import accounts, rooms, stream
from madoguchi.storage import profiles as store
from madoguchi.storage.db import Tx
from madoguchi.storage.profiles import Profile

if TYPE_CHECKING:
    from madoguchi.context import Context
    from madoguchi.core.chat.sessions import Session

LARGEST_PROFILE = 64 * 1024
# A display name and a picture travel in every membership event, which has to fit into 64 KiB itself.
LONGEST_NAME = 256
LONGEST_AVATAR_URL = 1000
# Common Namespaced Identifier Grammar (appendices).
_KEY = re.compile(r"[a-z][a-z0-9_.-]*")


async def get(tx: Tx, viewer: "Session | None", user_id: UserID) -> dict[str, Any]:
    """All fields of a profile. Raises NotAllowed where the viewer may not know the person, NotFound for nobody.

    Young people and their ghosts are shown only to those who share a room with them and to application services, and
    see only people whom they share a room with: a list of a desk's counsellors can't be guessed together.
    """
    if viewer is None:
        raise errors.NotAllowed("Profiles are shown to people with an account here.")
    account = await accounts.get_account(tx, user_id)
    hidden = account is None or account.kind in ("youth", "ghost") or viewer.kind in ("youth", "ghost")
    if hidden and viewer.user_id != user_id and viewer.appservice is None and viewer.kind != "keeper":
        if account is None and viewer.kind not in ("youth", "ghost"):
            raise errors.NotFound("There is no such user.")
        if user_id not in await rooms.list_shared_users(tx, viewer.user_id):
            raise errors.NotAllowed("You may not see this profile.")
    if account is None:
        raise errors.NotFound("There is no such user.")
    profile = await store.get_profile(tx, user_id)
    fields: dict[str, Any] = msgspec.json.decode(profile.fields)
    if profile.displayname is not None:
        fields["displayname"] = profile.displayname
    if profile.avatar_url is not None:
        fields["avatar_url"] = profile.avatar_url
    return fields


def check_key(key: str) -> None:
    """Raises KeyTooLarge or Invalid for something that can't be the name of a field."""
    if len(key.encode()) > 255:
        raise errors.KeyTooLarge("The name of a profile field has at most 255 bytes.")
    if not _KEY.fullmatch(key):
        raise errors.Invalid("The name of a profile field has a-z, 0-9, _ . - and begins with a letter.")


async def set_field(ctx: "Context", tx: Tx, setter: "Session", user_id: UserID, key: str, value: Any) -> None:
    """Sets one field of the setter's own profile. A new name or picture is told to all rooms they are in.

    Raises NotAllowed, UserSuspended, KeyTooLarge, ProfileTooLarge, Invalid, BadJson.
    """
    check_key(key)
    if key == "displayname":
        value = _text(key, value, LONGEST_NAME)
    elif key == "avatar_url":
        value = _text(key, value, LONGEST_AVATAR_URL)
    elif key == "m.tz" and not isinstance(value, str):
        raise errors.BadJson("A time zone is text.")
    await _change(ctx, tx, setter, user_id, key, value, remove=False)


async def rename(ctx: "Context", tx: Tx, user_id: UserID, name: str) -> None:
    """Gives somebody another name, as the house does for its staff; all rooms they are in are told."""
    before = await store.get_profile_for_update(tx, user_id)
    await _store(ctx, tx, before, msgspec.structs.replace(before, displayname=name))


async def delete_field(ctx: "Context", tx: Tx, setter: "Session", user_id: UserID, key: str) -> None:
    """Takes one field of the setter's own profile away. Raises as `set_field`."""
    check_key(key)
    await _change(ctx, tx, setter, user_id, key, None, remove=True)


async def _change(
    ctx: "Context", tx: Tx, setter: "Session", user_id: UserID, key: str, value: Any, *, remove: bool
) -> None:
    if user_id != setter.user_id:
        raise errors.NotAllowed("You can only change your own profile.")
    setter.must_not_be_suspended()
    before = await store.get_profile_for_update(tx, user_id)
    if key in ("displayname", "avatar_url"):
        after = msgspec.structs.replace(before, **{key: value})
    else:
        fields: dict[str, Any] = msgspec.json.decode(before.fields)
        if remove:
            fields.pop(key, None)
        else:
            fields[key] = value
        after = msgspec.structs.replace(before, fields=msgspec.json.encode(fields).decode())
    await _store(ctx, tx, before, after)


async def _store(ctx: "Context", tx: Tx, before: Profile, after: Profile) -> None:
    if after == before:
        return
    if _size(after) > LARGEST_PROFILE:
        raise errors.ProfileTooLarge("A profile has at most 64 KiB.")
    await store.update_profile(tx, after)
    if (after.displayname, after.avatar_url) != (before.displayname, before.avatar_url):
        await membership.refresh_profile(ctx, tx, after.user_id, after.displayname, after.avatar_url)
    await stream.publish(tx, stream.Note("profile", after.user_id))


def _size(profile: Profile) -> int:
    named = {"displayname": profile.displayname, "avatar_url": profile.avatar_url}
    return len(profile.fields) + len(msgspec.json.encode(named))


def _text(key: str, value: Any, longest: int) -> str | None:
    # null and "" both mean "none" to clients that have no way to delete a field.
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise errors.BadJson(f"{key} is text.")
    if len(value) > longest or "\0" in value:
        raise errors.Invalid(f"{key} has at most {longest} characters.")
    return value
