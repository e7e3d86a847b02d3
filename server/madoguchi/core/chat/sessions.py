"""Who calls: access tokens, kept in memory in front of the table, and their beginning and end.

A token is looked up by its SHA-256, which is all that is stored of it. Whoever ends a session announces
Note("session", user_id) in the same transaction, and every worker forgets that user's tokens when it hears of it.
"""

import asyncio
import hashlib
import secrets
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import structlog

from madoguchi import errors
from madoguchi.clock import Clock
from madoguchi.ids import DeviceID, UserID
from madoguchi.storage import accounts as store
from madoguchi.storage import cross_signing, devices, disclosures, keys, sliding_states, staff_networks, stream
from madoguchi.storage.db import Database, Tx

if TYPE_CHECKING:
    from madoguchi.context import Context

log = structlog.get_logger()

ACCESS_TOKEN_LIFE_MS = 60 * 60 * 1000
# Of all others nobody records where they write from: young people come with Matrix clients, too.
RECORDED = frozenset({"staff"})
_MOST_IN_MEMORY = 200_000
_SEEN_EVERY_MS = 60_000
_SETTLE_MS = 10_000


class Session(msgspec.Struct, frozen=True):
    """Somebody who has shown a good token. `token_id` is 0 and `appservice` set for an application service.

    kind: the account's kind (youth, staff, ghost, keeper, user, appservice)
    """

    user_id: UserID
    device_id: DeviceID
    token_id: int
    is_guest: bool = False
    appservice: str | None = None
    kind: str = "user"
    suspended: bool = False

    def must_not_be_suspended(self) -> None:
        """Raises UserSuspended for somebody who may only read and leave ("Account suspension")."""
        if self.suspended:
            raise errors.UserSuspended("Your account has been suspended: you can read and leave, not write.")


class Started(msgspec.Struct, frozen=True, omit_defaults=True):
    """A new session's secrets, told once."""

    user_id: UserID
    device_id: DeviceID
    access_token: str
    refresh_token: str | None = None
    expires_in_ms: int | None = None


class _Known(msgspec.Struct, frozen=True):
    session: Session
    expires_at: int | None
    locked: bool


class Sessions:
    """The sessions that this worker has met lately."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._digests: dict[UserID, tuple[bytes, ...]] = {}
        self._forgotten = 0
        self._unsettled: dict[UserID, int] = {}
        self._sightings: dict[tuple[UserID, DeviceID], devices.Sighting] = {}
        self._seen_at: dict[int, int] = {}

    async def get(self, token: str) -> Session | None:
        """The session of an access token, or None if there is none. Does not wait for anything in the usual case.

        Raises UnknownToken (soft_logout) if the token has expired, UserLocked if an administrator locked the account.
        """
        session, locked = await self._find(token)
        if locked:
            raise errors.UserLocked("Your account has been locked.", soft_logout=True)
        return session

    async def get_even_locked(self, token: str) -> Session | None:
        """As `get`, for the few things that a locked account may still do (logging out)."""
        return (await self._find(token))[0]

    async def _find(self, token: str) -> tuple[Session | None, bool]:
        digest = digest_of(token)
        known = self._known.get(digest)
        if known is None:
            known = await self._load(digest)
            if known is None:
                return None, False
        if known.expires_at is not None and known.expires_at <= self._clock.ms():
            raise errors.UnknownToken("This access token has expired.", soft_logout=True)
        return known.session, known.locked

    async def _load(self, digest: bytes) -> _Known | None:
        forgotten = self._forgotten
        async with self._db.transaction() as tx:
            stored = await store.get_session(tx, digest)
            if stored is None:
                return None
            expired = stored.expires_at is not None and stored.expires_at <= self._clock.ms()
            if stored.succeeds is not None and not expired:
                # The client has the new tokens in hand: only now do the old ones go.
                await store.delete_predecessor(tx, stored.token_id)
                await stream.publish(tx, stream.Note("session", stored.user_id))
        known = _Known(_session(stored), stored.expires_at, stored.locked_at is not None)
        # What was read before somebody was forgotten may be older than the reason for it.
        if forgotten == self._forgotten and not self._is_unsettled(stored.user_id):
            self._remember(digest, known)
        return known

    def _remember(self, digest: bytes, known: _Known) -> None:
        if len(self._known) >= _MOST_IN_MEMORY:
            self.forget_all()
        if digest not in self._known:
            user_id = known.session.user_id
            self._digests[user_id] = (*self._digests.get(user_id, ()), digest)
        self._known[digest] = known

    def _is_unsettled(self, user_id: UserID) -> bool:
        until = self._unsettled.get(user_id)
        if until is None:
            return False
        if until > self._clock.ms():
            return True
        del self._unsettled[user_id]
        return False

    def unsettle(self, user_id: UserID) -> None:
        """Reads this user's tokens from the database for the next ten seconds.

        For the worker that makes a change: its next request must meet it, even before the announcement comes back.
        """
        self._unsettled[user_id] = self._clock.ms() + _SETTLE_MS
        self.forget(user_id)

    def forget(self, user_id: UserID) -> None:
        """What is known of this user's tokens no longer counts."""
        self._forgotten += 1
        for digest in self._digests.pop(user_id, ()):
            self._known.pop(digest, None)

    def forget_all(self) -> None:
        """For when announcements may have been missed."""
        self._forgotten += 1
        self._known.clear()
        self._digests.clear()

    def seen(self, session: Session, address: str, agent: str | None) -> None:
        """Notes that a device called; at most once a minute, written down later. From where is kept of staff only, and
        of those for whose life two people have opened the glass (core/desk/disclosures.py)."""
        now = self._clock.ms()
        if session.token_id == 0 or now - self._seen_at.get(session.token_id, 0) < _SEEN_EVERY_MS:
            return
        if len(self._seen_at) > _MOST_IN_MEMORY:
            self._seen_at.clear()
        self._seen_at[session.token_id] = now
        is_kept = session.kind in RECORDED
        agent = agent[:255].replace("\0", "") if agent and is_kept else None
        self._sightings[session.user_id, session.device_id] = devices.Sighting(
            session.user_id, session.device_id, now, address or None, agent, is_kept
        )

    async def write_down(self) -> None:
        """Writes the sightings gathered since the last time."""
        gathered, self._sightings = self._sightings, {}
        if gathered:
            async with self._db.transaction() as tx:
                await self._write_down(tx, list(gathered.values()))

    async def write_down_for(self, tx: Tx, user_id: UserID) -> None:
        """Writes one user's sightings, for somebody who is about to read them."""
        theirs = [seen for (who, _), seen in self._sightings.items() if who == user_id]
        if theirs:
            await self._write_down(tx, theirs)

    async def _write_down(self, tx: Tx, sightings: list[devices.Sighting]) -> None:
        await devices.update_last_seen(tx, sightings)
        await staff_networks.put(tx, sightings)
        others = [seen for seen in sightings if not seen.is_kept and seen.address]
        if others:
            await disclosures.insert_sightings(tx, others, self._clock.now())

    async def run(self, every_s: float = 30.0) -> None:
        """Writes sightings down from time to time, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.write_down()
            except Exception as error:  # the next round tries again with newer sightings
                log.warning("sightings were not written", error=type(error).__name__)


def _session(stored: store.StoredSession) -> Session:
    return Session(
        user_id=stored.user_id,
        device_id=stored.device_id,
        token_id=stored.token_id,
        kind=stored.kind,
        suspended=stored.suspended_at is not None,
    )


def digest_of(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def new_token(kind: str) -> str:
    """256 random bits with a recognisable beginning (`kind`: a for access, r for refresh, l for login)."""
    return f"mdg{kind}_{secrets.token_urlsafe(32)}"


def new_device_id() -> DeviceID:
    """Ten random capital letters."""
    return "".join(secrets.choice(string.ascii_uppercase) for _ in range(10))


def check_device_id(device_id: DeviceID) -> None:
    """Raises Invalid for a device id that can't be stored or shown."""
    if not device_id or len(device_id) > 255 or not device_id.isprintable():
        raise errors.Invalid("A device id has 1 to 255 printable characters.")


def check_display_name(name: str | None) -> None:
    """Raises Invalid for the name of a device that can't be stored or shown."""
    if name is not None and (len(name) > 255 or "\0" in name):
        raise errors.Invalid("The name of a device has at most 255 characters.")


async def start(
    ctx: "Context",
    tx: Tx,
    user_id: UserID,
    device_id: DeviceID | None = None,
    display_name: str | None = None,
    refresh: bool = False,
) -> Started:
    """Begins a session on a device, made if the user does not have it; its earlier tokens end.

    With `refresh` the access token lives an hour and comes with a refresh token. Raises Invalid for an unfit device id
    or name, NotAllowed for a device id that is one of the user's cross-signing keys.
    """
    if device_id is not None:
        check_device_id(device_id)
        signing = await cross_signing.list_cross_signing_keys(tx, [user_id])
        if any(key.public_key == device_id for key in signing):
            raise errors.NotAllowed("This device id is the id of a cross-signing key.")
    check_display_name(display_name)
    now = ctx.clock.ms()
    device = device_id or new_device_id()
    known = not await devices.insert_device(tx, user_id, device, display_name, now)
    access_token = new_token("a")
    refresh_token = new_token("r") if refresh else None
    token_id = await store.insert_session(
        tx,
        user_id,
        device,
        digest_of(access_token),
        digest_of(refresh_token) if refresh_token else None,
        now,
        now + ACCESS_TOKEN_LIFE_MS if refresh else None,
    )
    if known:
        await store.delete_other_sessions_of_device(tx, user_id, device, keep=token_id)
        await announce_change(ctx, tx, user_id)
    return Started(user_id, device, access_token, refresh_token, ACCESS_TOKEN_LIFE_MS if refresh else None)


async def renew(ctx: "Context", tx: Tx, refresh_token: str) -> Started:
    """New tokens for a refresh token, which stays good until one of the new ones is used. Raises UnknownToken."""
    stored = await store.get_session_by_refresh_token(tx, digest_of(refresh_token))
    if stored is None:
        raise errors.UnknownToken("This refresh token is unknown, or has been used already.", soft_logout=False)
    if stored.locked_at is not None:
        raise errors.UserLocked("Your account has been locked.", soft_logout=True)
    if stored.succeeds is not None:
        await store.delete_predecessor(tx, stored.token_id)
    await store.delete_successors(tx, stored.token_id)
    now = ctx.clock.ms()
    access_token, following = new_token("a"), new_token("r")
    await store.insert_session(
        tx,
        stored.user_id,
        stored.device_id,
        digest_of(access_token),
        digest_of(following),
        now,
        now + ACCESS_TOKEN_LIFE_MS,
        succeeds=stored.token_id,
    )
    await announce_change(ctx, tx, stored.user_id)
    return Started(stored.user_id, stored.device_id, access_token, following, ACCESS_TOKEN_LIFE_MS)


async def end(ctx: "Context", tx: Tx, user_id: UserID, device_ids: Sequence[DeviceID]) -> None:
    """Takes devices away with their tokens and encryption keys. Those that are gone already are passed over.

    Call it late: it takes a stream position.
    """
    ended = [device_id for device_id in sorted(device_ids) if await devices.delete_device(tx, user_id, device_id)]
    if not ended:
        return
    for device_id in ended:
        await keys.delete_device_keys(tx, user_id, device_id)
        await sliding_states.delete_states(tx, user_id, device_id)
    ctx.sessions.unsettle(user_id)
    pos = await stream.publish(tx, stream.Note("session", user_id), stream.Note("devices", user_id))
    await keys.set_device_change(tx, user_id, pos)


async def is_last(tx: Tx, user_id: UserID, device_id: DeviceID) -> bool:
    """Whether somebody has no other device."""
    return all(device.device_id == device_id for device in await devices.list_devices(tx, user_id))


async def end_all(ctx: "Context", tx: Tx, user_id: UserID, keep: DeviceID | None = None) -> None:
    """Takes all devices of a user away, but for `keep`."""
    every = await devices.list_devices(tx, user_id)
    await end(ctx, tx, user_id, [device.device_id for device in every if device.device_id != keep])


async def announce_change(ctx: "Context", tx: Tx, user_id: UserID) -> None:
    """Makes every worker look this user's tokens up anew, this one at once."""
    ctx.sessions.unsettle(user_id)
    await stream.publish(tx, stream.Note("session", user_id))
