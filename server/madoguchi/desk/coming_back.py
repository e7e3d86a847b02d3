"""Coming back from another phone by the return phrase."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.core.desk import returning
from madoguchi.desk.arrival import OpenedCase
from madoguchi.web.endpoint import Call

KeyID = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22}$")]
Secret = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]


class ReturnKey(msgspec.Struct):
    """id (16 bytes) and secret (32 bytes), base64url: both made of the phrase on the person's device."""

    id: KeyID
    secret: Secret


class Kept(msgspec.Struct, frozen=True):
    """Whether there is a phrase that opens the caller's case."""

    kept: bool


async def put_return_key(call: Call, body: ReturnKey) -> Kept:
    """Sets by which phrase the caller comes back; an earlier one opens nothing any more."""
    call.session.must_not_be_suspended()
    await returning.set_key(call.ctx, call.tx, call.session.user_id, body.id, body.secret)
    return Kept(True)


async def delete_return_key(call: Call) -> Kept:
    """Nobody comes back as the caller by a phrase any more."""
    await returning.forget_key(call.tx, call.session.user_id)
    return Kept(False)


async def come_back(call: Call, body: ReturnKey) -> OpenedCase:
    """Opens the case of whoever has the phrase, on a new device."""
    case, started = await returning.come_back(call.ctx, call.tx, body.id, body.secret)
    return OpenedCase(case.id, case.room_id, case.user_id, started.device_id, started.access_token)
