"""Administration: staff, channels, the house's health, and the link by which the first administrator comes in."""

import base64
import re
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import app_accounts, channels, guidance, presence, staff, teams
from madoguchi.core.desk import settings as desk_settings
from madoguchi.core.desk.settings import DeskSettings
from madoguchi.storage import bridging, channel_checks, checks, health, stream
from madoguchi.storage import channels as stored_channels
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.channel_checks import ChannelCheck, Finding
from madoguchi.storage.channels import Mode
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Role
from madoguchi.web.endpoint import Call

# The keeper asks the desk at least every half minute.
KEEPER_ASKS_WITHIN = timedelta(seconds=60)

Name = Annotated[str, Meta(min_length=1, max_length=100)]
Localpart = Annotated[str, Meta(min_length=1, max_length=200)]


class StaffMember(msgspec.Struct, frozen=True):
    """Moments are milliseconds since 1970."""

    user_id: str
    name: str
    role: str
    capacity: int
    present: bool
    added_at: int
    last_seen_at: int | None
    disabled_at: int | None


class StaffList(msgspec.Struct, frozen=True):
    """Everybody, those who are disabled too."""

    staff: list[StaffMember]


class Disabled(msgspec.Struct, frozen=True):
    user_id: str


class AddStaff(msgspec.Struct):
    """capacity: left out, the desk's default; invite: by a link instead of a first password."""

    localpart: Localpart
    name: Name
    role: Role
    capacity: Annotated[int, Meta(ge=0, le=100)] | None = None
    invite: bool = False


class AddedStaff(msgspec.Struct, frozen=True):
    """Either password or link, shown this once; link_ends: until when the link is good, in milliseconds."""

    user_id: str
    name: str
    role: Role
    capacity: int
    password: str | None
    link: str | None
    link_ends: int | None


class Invited(msgspec.Struct, frozen=True):
    """link: shown this once, good once; link_ends: milliseconds."""

    user_id: str
    link: str
    link_ends: int


class RedeemInvitation(msgspec.Struct):
    token: Annotated[str, Meta(min_length=1, max_length=200)]
    password: Annotated[str, Meta(max_length=10_000)]


class ChangeStaff(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays."""

    name: Name | None = None
    role: Role | None = None
    capacity: Annotated[int, Meta(ge=0, le=100)] | None = None


class ChangedStaff(msgspec.Struct, frozen=True):
    user_id: str
    name: str
    role: str
    capacity: int


class NewPassword(msgspec.Struct, frozen=True):
    """password: shown this once, kept only as its hash."""

    user_id: str
    password: str


class Redeem(msgspec.Struct):
    token: Annotated[str, Meta(min_length=1, max_length=200)]
    localpart: Localpart
    name: Name
    password: Annotated[str, Meta(max_length=10_000)]


class Redeemed(msgspec.Struct, frozen=True):
    user_id: str
    name: str
    role: str


class Change(msgspec.Struct, frozen=True):
    at: int
    by: str
    mode_before: str | None
    mode_after: str
    reason: str | None


class ConnectionSeen(msgspec.Struct, frozen=True):
    """asked_at, checked_at: milliseconds; checked_at is None until the bridges have answered."""

    asked_at: int
    checked_at: int | None
    findings: list[Finding]


class ChannelSeen(msgspec.Struct, frozen=True):
    """running: cases that came by it and have not ended; modes: those that it may be in; changes: who switched the
    mode, when and why, oldest first; check: what the last check of the connection found."""

    id: str
    kind: str
    name: str
    mode: str
    reason: str | None
    has_secrets: bool
    running: int
    modes: list[Mode]
    changes: list[Change]
    check: ConnectionSeen | None


class Channels(msgspec.Struct, frozen=True):
    """bridges_key: to which a page seals what opens an account (X25519, base64), None where it is not on this machine;
    telegram_polls: whether a Telegram bot has to ask for news, because it could not call."""

    channels: list[ChannelSeen]
    bridges_key: str | None
    telegram_polls: bool


class Process(msgspec.Struct, frozen=True):
    """connections: to the database; last_seen: milliseconds, of the keeper, which has none and asks the desk."""

    name: str
    alive: bool
    connections: int | None
    last_seen: int | None


class Confirmed(msgspec.Struct, frozen=True):
    """checked_on: the day, as 2026-11-27."""

    id: str
    checked_on: str


class Entries(msgspec.Struct, frozen=True):
    """All guidance, in its order."""

    guidance: list[guidance.Entry]


class Order(msgspec.Struct):
    """The ids of all entries, as they should stand."""

    order: Annotated[list[str], Meta(max_length=500)]


class NewValue(msgspec.Struct):
    """value: as it stands in the answer of GET /settings."""

    value: Any


class CheckSeen(msgspec.Struct, frozen=True):
    """A daily examination: `vault` (could its holders open everything?), `audit` (is the log whole?), `events` (are
    they what was sent?), `bridges` (is everything from the apps where the ledger says?). at: milliseconds; found: how
    much is wrong."""

    name: str
    at: int
    found: int


class LedgerSeen(msgspec.Struct, frozen=True):
    """What came in by a channel to an app since it was connected, and what became of it. received: all that the app was
    told 200 for; repeated: those of them that were known already; answered: not carried, answered with the way to the
    page; noted: follows, blocks; apart: groups, the account itself; destroyed: with their case; missing: received, and
    nowhere. waiting_since: milliseconds."""

    channel_id: str
    name: str
    received: int
    repeated: int
    shown: int
    placeholders: int
    answered: int
    noted: int
    apart: int
    waiting: int
    waiting_since: int | None
    destroyed: int
    missing: int


class QuotaSeen(msgspec.Struct, frozen=True):
    """What may be sent by a channel in this month, as the app said at `read_at` (milliseconds). most: null for as much
    as one wants; reserve: how many are kept for danger and moves; down_to_reserve: nothing else goes out any more."""

    channel_id: str
    name: str
    most: int | None
    used: int
    reserve: int
    read_at: int
    down_to_reserve: bool


class Status(msgspec.Struct, frozen=True):
    """unchecked_guidance: entries whose number and hours nobody has confirmed in the last 90 days; ledgers, quotas: of
    the channels to apps, as they are now."""

    open: bool
    staff_present: int
    counts: health.Counts
    processes: list[Process]
    schema: str
    database: str
    unchecked_guidance: list[str]
    checks: list[CheckSeen]
    ledgers: list[LedgerSeen]
    quotas: list[QuotaSeen]


async def list_staff(call: Call) -> StaffList:
    """Everybody who works or worked at the desk."""
    now = call.ctx.clock.now()
    return StaffList(
        [
            StaffMember(
                user_id=person.user_id,
                name=person.name,
                role=person.role,
                capacity=person.capacity,
                present=presence.is_present(person, now),
                added_at=_required_ms(person.added_at),
                last_seen_at=_ms(person.last_seen_at),
                disabled_at=_ms(person.disabled_at),
            )
            for person in await stored_staff.list_staff(call.tx)
        ]
    )


async def add_staff(call: Call, body: AddStaff) -> AddedStaff:
    """Adds a member of staff; the answer is the only place where their first password, or the link to them, stands."""
    by = call.session.user_id
    added = await staff.add(call.ctx, call.tx, body.localpart, body.name, body.role, body.capacity, by=by)
    if not body.invite:
        return AddedStaff(added.user_id, added.name, added.role, added.capacity, added.password, None, None)
    # Nobody has seen the password: they come in by the link only.
    made = await staff.invite(call.ctx, call.tx, added.user_id, by=by)
    ends = _required_ms(made.ends_at)
    return AddedStaff(added.user_id, added.name, added.role, added.capacity, None, made.link, ends)


async def invite_staff(call: Call, user_id: str) -> Invited:
    """Makes a new link by which a member of staff chooses their password; the one before is good no more."""
    made = await staff.invite(call.ctx, call.tx, user_id, by=call.session.user_id)
    return Invited(user_id, made.link, _required_ms(made.ends_at))


async def redeem_invitation(call: Call, body: RedeemInvitation) -> Redeemed:
    """Chooses the password of whoever was invited by a link, which is used up by that."""
    joined = await staff.redeem(call.ctx, call.tx, body.token, body.password)
    return Redeemed(joined.user_id, joined.name, joined.role)


async def change_staff(call: Call, user_id: str, body: ChangeStaff) -> ChangedStaff:
    """Gives a member of staff another name, role or capacity."""
    changed = await staff.change(
        call.ctx,
        call.tx,
        user_id,
        by=call.session.user_id,
        name=body.name,
        role=body.role,
        capacity=body.capacity,
    )
    return ChangedStaff(changed.user_id, changed.name, changed.role, changed.capacity)


async def reset_password(call: Call, user_id: str) -> NewPassword:
    """Gives a member of staff a new first password and signs them out everywhere."""
    return NewPassword(user_id, await staff.reset_password(call.ctx, call.tx, user_id, by=call.session.user_id))


async def disable_staff(call: Call, user_id: str) -> Disabled:
    """Ends all sessions of a member of staff at once; their cases go back to the queue."""
    await staff.disable(call.ctx, call.tx, user_id, by=call.session.user_id)
    return Disabled(user_id)


async def list_channels(call: Call) -> Channels:
    """The ways people reach the desk, with the history of their modes."""
    running = await stored_channels.count_running(call.tx)
    checks = await channel_checks.list_checks(call.tx)
    return Channels(
        [
            ChannelSeen(
                id=channel.id,
                kind=channel.kind,
                name=channel.name,
                mode=channel.mode,
                reason=channel.reason,
                has_secrets=channel.has_secrets,
                running=running.get(channel.id, 0),
                modes=list(channels.modes_of(channel.kind)),
                changes=[
                    Change(
                        _required_ms(change.at), change.by_whom, change.mode_before, change.mode_after, change.reason
                    )
                    for change in await stored_channels.list_changes(call.tx, channel.id)
                ],
                check=_check(checks.get(channel.id)),
            )
            for channel in await stored_channels.list_channels(call.tx)
        ],
        bridges_key=_bridges_key(call),
        telegram_polls=app_accounts.must_poll(call.ctx.settings.public_url),
    )


def _bridges_key(call: Call) -> str | None:
    try:
        return base64.b64encode(app_accounts.bridges_key(call.ctx.settings.keys)).decode()
    except (OSError, ValueError):
        return None


def _check(found: ChannelCheck | None) -> ConnectionSeen | None:
    return ConnectionSeen(_required_ms(found.asked_at), _ms(found.checked_at), found.findings) if found else None


async def check_channel(call: Call, channel_id: str) -> Channels:
    """Has the bridges check how a channel's account is set up; what they find is there within seconds."""
    await channels.ask_check(call.ctx, call.tx, channel_id)
    return await list_channels(call)


async def get_status(call: Call) -> Status:
    """How the house is."""
    ctx, tx = call.ctx, call.tx
    at = ctx.clock.now()
    connected = await health.list_connected(tx)
    seen = (await health.list_heartbeats(tx)).get("keeper")
    return Status(
        open=(await desk_settings.get(tx)).hours.open_at(at),
        staff_present=await staff.count_present(ctx, tx),
        counts=await health.get_counts(tx),
        processes=[
            *(_by_connections(name, connected) for name in ("serve", "bridges", "work")),
            Process("keeper", seen is not None and at - seen < KEEPER_ASKS_WITHIN, None, _ms(seen)),
        ],
        schema=await health.get_schema_version(tx),
        database=await health.get_database_version(tx),
        unchecked_guidance=await guidance.list_unchecked(tx, at),
        checks=[CheckSeen(each.name, _required_ms(each.at), each.found) for each in await checks.list_checks(tx)],
        ledgers=await _ledgers(tx),
        quotas=await _quotas(tx),
    )


async def get_settings(call: Call) -> DeskSettings:
    """The desk's settings as they stand now."""
    return await desk_settings.get(call.tx)


async def put_setting(call: Call, name: str, body: NewValue) -> DeskSettings:
    """Changes one setting. Gives them all as they then stand."""
    changed = await desk_settings.change(call.tx, name, body.value, call.session.user_id, call.ctx.clock.now())
    if name == "teams":
        await teams.check(call.tx, changed.teams)
    await stream.publish(call.tx, stream.Note("desk", "settings"))
    return changed


async def list_guidance(call: Call) -> Entries:
    """The guidance with its opening hours, and what has to be checked."""
    return Entries(await guidance.list_entries(call.tx, call.ctx.clock.now()))


async def order_guidance(call: Call, body: Order) -> Entries:
    """Puts the guidance into another order."""
    await guidance.reorder(call.tx, body.order, call.session.user_id, call.ctx.clock.now())
    return await list_guidance(call)


async def put_guidance(call: Call, guidance_id: str, body: guidance.Wording) -> Entries:
    """Sets an entry, or makes one. Gives the whole list."""
    if not re.fullmatch(r"[a-z0-9_]{1,40}", guidance_id):
        raise errors.Invalid("The id of an entry has 1 to 40 small letters, digits and underscores.")
    await guidance.put(call.tx, guidance_id, body, call.session.user_id, call.ctx.clock.now())
    return await list_guidance(call)


async def delete_guidance(call: Call, guidance_id: str) -> Entries:
    """Takes an entry away; the last one stays."""
    await guidance.remove(call.tx, guidance_id, call.session.user_id, call.ctx.clock.now())
    return await list_guidance(call)


async def confirm_guidance(call: Call, guidance_id: str) -> Confirmed:
    """Notes that number and hours of an entry have been looked at today."""
    return Confirmed(
        guidance_id, await guidance.confirm(call.tx, guidance_id, call.session.user_id, call.ctx.clock.now())
    )


async def redeem_admin_link(call: Call, body: Redeem) -> Redeemed:
    """Makes an administrator of whoever has the one-time link."""
    added = await staff.redeem_admin_link(call.ctx, call.tx, body.token, body.localpart, body.name, body.password)
    return Redeemed(added.user_id, added.name, added.role)


async def _ledgers(tx: Tx) -> list[LedgerSeen]:
    names = {channel.id: channel.name for channel in await stored_channels.list_channels(tx)}
    return [
        LedgerSeen(
            name=names.get(found.channel_id, found.channel_id), missing=found.missing, **msgspec.structs.asdict(found)
        )
        for found in await bridging.list_ledgers(tx)
    ]


async def _quotas(tx: Tx) -> list[QuotaSeen]:
    names = {channel.id: channel.name for channel in await stored_channels.list_channels(tx)}
    return [
        QuotaSeen(
            each.channel_id,
            names.get(each.channel_id, each.channel_id),
            each.most,
            each.used,
            each.reserve,
            each.read_at,
            each.is_down_to_reserve,
        )
        for each in await bridging.list_quotas(tx)
    ]


def _by_connections(name: str, connected: dict[str, int]) -> Process:
    count = connected.get(f"madoguchi {name}", 0)
    return Process(name, count > 0, count, None)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else _required_ms(at)


def _required_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
