"""Notices in a young person's browser (Web Push): only for who asks for them, and until they want none."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.chat import web_push
from madoguchi.core.chat.web_push import LONGEST_ENDPOINT, Subscription
from madoguchi.storage import cases
from madoguchi.web.endpoint import Call


class PushSubscription(msgspec.Struct):
    """What the browser gave (W3C Push API): `endpoint`, and of `keys` p256dh and auth (base64url). expires_at: its
    expirationTime, milliseconds."""

    endpoint: Annotated[str, Meta(min_length=1, max_length=LONGEST_ENDPOINT)]
    p256dh: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{87}=?$")]
    auth: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22}(==)?$")]
    expires_at: Annotated[int, Meta(ge=0, le=2**53)] | None = None


class Subscribed(msgspec.Struct, frozen=True):
    """Whether the caller's browser is told that something is new."""

    subscribed: bool


async def put_push_subscription(call: Call, body: PushSubscription) -> Subscribed:
    """Tells the caller's browser from now on that something is new, until their case ends."""
    session = call.session
    session.must_not_be_suspended()
    found = await cases.get_running_case(call.tx, session.user_id)
    # Held, so that its end, which takes the subscription away, comes before or after.
    case = found and await cases.lock_case(call.tx, found.id)
    if case is None or not case.running:
        raise errors.Conflict("You have no running case here.")
    wanted = Subscription(body.endpoint, body.p256dh, body.auth, body.expires_at)
    await web_push.subscribe(call.ctx, call.tx, session.user_id, session.device_id, wanted)
    return Subscribed(True)


async def delete_push_subscription(call: Call) -> Subscribed:
    """Tells the caller's browser nothing any more."""
    await web_push.unsubscribe(call.tx, call.session.user_id, call.session.device_id)
    return Subscribed(False)
