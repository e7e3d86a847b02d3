"""Notices by Web Push: a young person who wants it is told in their browser, once, that something is new.

The push service belongs to the browser's maker. It learns that somebody is told something, so it is asked only if the
operator names it; what is sent is the same sealed word every time. A message that is read within `web_push_after`
seconds sets nothing off, and whoever has been told is not told again before they have looked, or half a day is over:
a service sees that there was something, not how a conversation goes.

A browser's subscription is a pusher of a kind of its own, and goes with the device. Source: RFC 8030; what is sealed
and signed is in `crypto/web_push.py`.
"""

import base64
import hashlib
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import structlog

from madoguchi import errors
from madoguchi.ids import DeviceID, UserID
from madoguchi.storage import notifications as stored_notifications
from madoguchi.storage import push as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.push import Pusher
from madoguchi.storage.pushes import Push

if TYPE_CHECKING:
    from madoguchi.config import Settings
    from madoguchi.context import Context

log = structlog.get_logger()

KIND = "webpush"
APP_ID = "madoguchi.web"
KEY_FILE = "push.key"
# Told to every browser whatever has happened. Empty, Microsoft's service would drop it without a word.
MESSAGE = b"news"
AGAIN_AFTER = timedelta(hours=12)
# How long a service tries to reach a phone that is off.
KEPT_FOR = timedelta(days=1)
_SIGNED_FOR = timedelta(hours=12)
LONGEST_ENDPOINT = 1500
# Origin, and path with query.
_ENDPOINT = re.compile(r"(https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)(/[!-\x22$-~]*)")


class Subscription(msgspec.Struct, frozen=True):
    """What a browser gives (W3C Push API). endpoint: address at its service; p256dh, auth: base64url; expires_at:
    milliseconds, or None."""

    endpoint: str
    p256dh: str
    auth: str
    expires_at: int | None = None


class Request(msgspec.Struct, frozen=True):
    """What is posted to a service: its origin, the path there, headers, body."""

    service: str
    path: str
    headers: dict[str, str]
    body: bytes


class Sender:
    """Makes what is sent to push services, in the name of this desk."""

    def __init__(self, key: bytes, contact: str) -> None:
        # `cryptography` takes seven megabytes, in the processes of a desk that tells anybody.
        from madoguchi.crypto import web_push as crypto

        self._crypto = crypto
        self._signer = crypto.Signer(key)
        self._contact = contact

    @property
    def public_key(self) -> str:
        """By which browsers bind their subscription to this desk, base64url."""
        return self._signer.public_key

    def request(self, subscription: Subscription, now: datetime) -> Request:
        """Tells one browser that something is new. Its endpoint is one for which `service_of` gives an origin."""
        found = _ENDPOINT.fullmatch(subscription.endpoint)
        assert found is not None
        service, path = found[1].lower(), found[2]
        expires = int((now + _SIGNED_FOR).timestamp())
        headers = {
            "Authorization": self._signer.authorization(service, self._contact, expires),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(int(KEPT_FOR.total_seconds())),
            # A newer one takes the place of one that has not reached the phone yet.
            "Topic": "news",
            "Urgency": "high",
        }
        body = self._crypto.seal(MESSAGE, _bytes(subscription.p256dh), _bytes(subscription.auth))
        return Request(service, path, headers, body)

    def check(self, subscription: Subscription) -> None:
        """Whether it has keys to which something can be sealed. Raises ValueError if not."""
        self._crypto.check_keys(_bytes(subscription.p256dh), _bytes(subscription.auth))


def open_sender(settings: "Settings") -> Sender | None:
    """The desk's sender; None while the operator has named no service, or its key is not there."""
    if not settings.web_push_services:
        return None
    public = settings.base_url
    contact = public if public.startswith("https://") else f"mailto:postmaster@{settings.server_name}"
    try:
        return Sender((settings.keys / KEY_FILE).read_bytes(), contact)
    except (OSError, ValueError) as error:
        log.error("no web push without its key; `madoguchi init` makes it", error=type(error).__name__)
        return None


def service_of(settings: "Settings", endpoint: str) -> str | None:
    """The origin of an endpoint whose service the operator has named, else None."""
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None or len(endpoint) > LONGEST_ENDPOINT:
        return None
    origin = found[1].lower()
    return origin if any(_names(named, origin) for named in settings.web_push_services) else None


def _names(named: str, origin: str) -> bool:
    scheme, star, rest = named.lower().partition("*")
    return origin == named.lower() if not star else origin.startswith(scheme) and origin.endswith(rest)


async def subscribe(ctx: "Context", tx: Tx, user_id: UserID, device_id: DeviceID, subscription: Subscription) -> None:
    """Tells this device from now on, in the place of what it had. Whoever else was told in this browser no longer is.

    Raises NotAllowed for a service that the operator has not named, Invalid for keys that are none.
    """
    if ctx.web_push is None or service_of(ctx.settings, subscription.endpoint) is None:
        raise errors.NotAllowed("This desk tells this push service nothing: its operator has not named it.")
    try:
        ctx.web_push.check(subscription)
    except ValueError:
        raise errors.Invalid("These are no keys of a push subscription.") from None
    key = hashlib.sha256(subscription.endpoint.encode()).hexdigest()
    pusher = Pusher(
        app_id=APP_ID,
        pushkey=key,
        kind=KIND,
        app_display_name="",
        device_display_name="",
        lang="",
        data=msgspec.to_builtins(subscription),
    )
    await stored.delete_pushers_of_device(tx, user_id, device_id, APP_ID)
    await stored.delete_pushers_of_others(tx, user_id, APP_ID, key)
    await stored.set_pusher(tx, user_id, device_id, pusher)


async def unsubscribe(tx: Tx, user_id: UserID, device_id: DeviceID) -> None:
    """Tells this device nothing any more."""
    await stored.delete_pushers_of_device(tx, user_id, device_id, APP_ID)


async def forget(tx: Tx, user_id: UserID) -> None:
    """Tells none of this person's browsers anything any more: their case has ended."""
    await stored.delete_pushers_of_app(tx, user_id, APP_ID)


async def is_news(tx: Tx, push: Push, now: datetime) -> bool:
    """Whether there is something that they have not read, and that they have not been told of lately."""
    marks = await stored_notifications.list_read(tx, push.user_id, [push.room_id], 0)
    read = max((pos for (_, thread), pos in marks.items() if thread in ("", "main")), default=0)
    if push.pos <= read:
        return False
    told_and_not_looked = push.told_pos > read and push.told_at is not None and now - push.told_at < AGAIN_AFTER
    return not told_and_not_looked


def subscription_of(pusher: Pusher) -> Subscription:
    return msgspec.convert(pusher.data, Subscription)


def _bytes(text: str) -> bytes:
    """Base64url, with or without padding. Raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
