"""Who works at the desk, in which role, and whether they are there."""

import hashlib
import secrets
from datetime import datetime, timedelta

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat import accounts, profiles
from madoguchi.core.desk import cases
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.presence import PRESENT_FOR
from madoguchi.storage import audit, stream
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import staff as stored
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Role, Staff
from madoguchi.storage.stream import Note

_SEEN_EVERY = timedelta(seconds=15)
LINK_LASTS = timedelta(days=7)
INVITATION_LASTS = timedelta(days=3)


class Added(msgspec.Struct, frozen=True):
    """A new member of staff. password: shown this once, kept only as its hash."""

    user_id: str
    name: str
    role: Role
    capacity: int
    password: str


class Invitation(msgspec.Struct, frozen=True):
    """link: shown this once; its token stands behind the #, which no server sees."""

    link: str
    ends_at: datetime


async def member(tx: Tx, user_id: str) -> Staff:
    """The member of staff with this user id. Raises NotAllowed for anybody else and for disabled ones."""
    staff = await stored.get_staff(tx, user_id)
    if staff is None or staff.disabled_at is not None:
        raise errors.NotAllowed("Only the desk's staff may do this.")
    return staff


async def add(
    ctx: Context,
    tx: Tx,
    localpart: str,
    name: str,
    role: Role,
    capacity: int | None = None,
    *,
    by: str | None,
    password: str | None = None,
) -> Added:
    """Makes an account and a member of staff of it.

    capacity: None takes the desk's default. by: the user id of who adds, or None for the system operator. password:
    None makes one. Raises UserInUse, InvalidUsername, WeakPassword, Invalid.
    """
    name = name.strip()
    if not 0 < len(name) <= 100:
        raise errors.Invalid("A name has 1 to 100 characters.")
    if capacity is None:
        capacity = (await desk_settings.get(tx)).capacity
    if not 0 <= capacity <= 100:
        raise errors.Invalid("A capacity is a number from 0 to 100.")
    password = password or secrets.token_urlsafe(12)
    user_id = await accounts.create(ctx, tx, localpart, password=password, kind="staff", display_name=name)
    await stored.insert_staff(tx, user_id, name, role, capacity, ctx.clock.now(), by)
    await audit.append(tx, ctx.clock.now(), by or "system", "staff.added", user_id, role=role, capacity=capacity)
    return Added(user_id, name, role, capacity, password)


async def change(
    ctx: Context,
    tx: Tx,
    user_id: str,
    *,
    by: str,
    name: str | None = None,
    role: Role | None = None,
    capacity: int | None = None,
) -> Staff:
    """Gives a member of staff another name, role or capacity; None leaves it. It holds from their next request on.

    Whoever becomes an auditor looks after no cases: theirs go back to the queue. A lower capacity takes none away.
    Raises NotFound (disabled ones, too), Invalid, and NotAllowed for the role of the last administrator.
    """
    administrators = await stored.lock_administrators(tx)
    before = await stored.lock_staff(tx, user_id)
    if before is None or before.disabled_at is not None:
        raise errors.NotFound("There is no such member of staff.")
    name = before.name if name is None else name.strip()
    if not 0 < len(name) <= 100:
        raise errors.Invalid("A name has 1 to 100 characters.")
    after = msgspec.structs.replace(
        before, name=name, role=role or before.role, capacity=before.capacity if capacity is None else capacity
    )
    if administrators == [user_id] and after.role != "administrator":
        raise errors.NotAllowed("The last administrator stays one: nobody could make another.")
    if after == before:
        return before
    await stored.update_staff(tx, user_id, after.name, after.role, after.capacity)
    # All locks on cases are taken before the stream's, as everywhere.
    held = await cases.hold_all(tx, user_id) if after.role == "auditor" else []
    if after.name != before.name:
        await profiles.rename(ctx, tx, user_id, after.name)
    await cases.release(ctx, tx, user_id, held, by=by)
    await stream.publish(tx, Note("desk", "staff"))
    changed = {
        key: getattr(after, key) for key in ("name", "role", "capacity") if getattr(after, key) != getattr(before, key)
    }
    await audit.append(tx, ctx.clock.now(), by, "staff.changed", user_id, **changed)
    return after


async def reset_password(ctx: Context, tx: Tx, user_id: str, *, by: str) -> str:
    """A new first password for somebody who has lost theirs; they are signed out everywhere. Raises NotFound."""
    staff = await stored.lock_staff(tx, user_id)
    if staff is None or staff.disabled_at is not None:
        raise errors.NotFound("There is no such member of staff.")
    password = secrets.token_urlsafe(12)
    await accounts.set_password(ctx, tx, user_id, password, end_sessions=True)
    await audit.append(tx, ctx.clock.now(), by, "staff.password_reset", user_id)
    return password


async def invite(ctx: Context, tx: Tx, user_id: str, *, by: str) -> Invitation:
    """A link by which a member of staff chooses their password; good once, for three days. It signs them out
    everywhere when it is used. One made before is good no more. Raises NotFound."""
    staff = await stored.lock_staff(tx, user_id)
    if staff is None or staff.disabled_at is not None:
        raise errors.NotFound("There is no such member of staff.")
    token, at = secrets.token_urlsafe(24), ctx.clock.now()
    await stored.upsert_link(tx, user_id, _hash(token), by, at + INVITATION_LASTS)
    await audit.append(tx, at, by, "staff.invited", user_id)
    return Invitation(f"{ctx.settings.base_url}/staff/#invite={token}", at + INVITATION_LASTS)


async def redeem(ctx: Context, tx: Tx, token: str, password: str) -> Staff:
    """Sets the password of whoever was invited by a link. Raises NotAllowed for a link that is unknown, used or
    expired, WeakPassword (the link stays good then)."""
    user_id = await stored.redeem_link(tx, _hash(token), ctx.clock.now())
    staff = None if user_id is None else await stored.lock_staff(tx, user_id)
    if staff is None or staff.disabled_at is not None:
        raise errors.NotAllowed("This link is not known, has been used, or has expired.")
    await accounts.set_password(ctx, tx, staff.user_id, password, end_sessions=True)
    await audit.append(tx, ctx.clock.now(), staff.user_id, "staff.joined", staff.user_id)
    return staff


async def disable(ctx: Context, tx: Tx, user_id: str, *, by: str) -> None:
    """Ends all sessions of a member of staff at once and gives their cases back to the queue. Twice does no more.

    by: the user id of who disables, or a word for the system operator. Raises NotFound, and NotAllowed for the last
    administrator.
    """
    administrators = await stored.lock_administrators(tx)
    staff = await stored.lock_staff(tx, user_id)
    if staff is None:
        raise errors.NotFound("There is no such member of staff.")
    if staff.disabled_at is not None:
        return
    if administrators == [user_id]:
        raise errors.NotAllowed("The last administrator can't be disabled: nobody could add another.")
    at = ctx.clock.now()
    await stored.update_disabled(tx, user_id, at, by)
    await stored.delete_links(tx, user_id)
    # All locks on cases are taken before the stream's, as everywhere.
    held = await cases.hold_all(tx, user_id)
    await accounts.end(ctx, tx, user_id)
    await cases.release(ctx, tx, user_id, held, by=by)
    await stored_cases.update_all_ended(tx, user_id, at)
    await stream.publish(tx, Note("desk", "staff"))
    await audit.append(tx, at, by, "staff.disabled", user_id)


async def seen(ctx: Context, tx: Tx, staff: Staff) -> None:
    """Notes that a console is open. Those who wait are told when the first or another counsellor comes."""
    at = ctx.clock.now()
    if staff.last_seen_at is not None and at - staff.last_seen_at < _SEEN_EVERY:
        return
    await stored.update_last_seen(tx, staff.user_id, at)
    if staff.last_seen_at is None or at - staff.last_seen_at > PRESENT_FOR:
        await stream.publish(tx, Note("desk", "staff"))


async def set_away(ctx: Context, tx: Tx, user_id: str, away: bool) -> None:
    """Takes a break, or comes back: while away somebody gets no new cases and counts as absent; their cases stay."""
    staff = await stored.lock_staff(tx, user_id)
    if staff is None or away == (staff.away_since is not None):
        return
    await stored.update_away(tx, user_id, ctx.clock.now() if away else None)
    await stream.publish(tx, Note("desk", "staff"))


async def count_present(ctx: Context, tx: Tx) -> int:
    """How many who may take cases have their console open."""
    return await stored.count_present(tx, ctx.clock.now() - PRESENT_FOR)


async def make_admin_link(ctx: Context, tx: Tx) -> str:
    """The token of a new link that makes one administrator; links made before and not used stop working."""
    token = secrets.token_urlsafe(24)
    at = ctx.clock.now()
    await stored.delete_open_admin_links(tx)
    await stored.insert_admin_link(tx, _hash(token), at, at + LINK_LASTS)
    return token


async def needs_admin_link(ctx: Context, tx: Tx) -> bool:
    """Whether there is neither an administrator nor a link that could still make one."""
    return not await stored.count_administrators(tx) and not await stored.count_admin_links(tx, ctx.clock.now())


async def redeem_admin_link(ctx: Context, tx: Tx, token: str, localpart: str, name: str, password: str) -> Added:
    """Makes an administrator. Raises NotAllowed for a link that is unknown, used or expired, and what `add` raises."""
    user_id = f"@{localpart}:{ctx.settings.server_name}"
    # The link first: the same link twice at once must not make two accounts.
    if not await stored.redeem_admin_link(tx, _hash(token), ctx.clock.now(), user_id):
        raise errors.NotAllowed("This link is not known, has been used, or has expired.")
    return await add(ctx, tx, localpart, name, "administrator", by=user_id, password=password)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
