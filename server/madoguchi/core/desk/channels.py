"""Channels 経路: which there are, what mode each is in, and who changed that, when and why."""

import itertools
import re

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat import registrations
from madoguchi.storage import audit, channel_checks, stream, suspensions
from madoguchi.storage import channels as stored
from madoguchi.storage.accounts import Account
from madoguchi.storage.channels import Channel, ChannelChange, Mode
from madoguchi.storage.db import Tx
from madoguchi.storage.stream import Note

OWN = ("web", "matrix")
# Modes in which somebody new may come in; running cases go on in others too.
_TAKES_CASES = ("open", "contact_point", "relay")


def modes_of(kind: str) -> tuple[Mode, ...]:
    """The modes that a channel of a kind may be in."""
    return ("open", "draining", "notice_only", "closed") if kind in OWN else (
        "contact_point", "relay", "draining", "notice_only", "closed", "emergency",
    )  # fmt: skip


def takes_cases(channel: Channel) -> bool:
    """Whether a new case may come from the channel."""
    return channel.mode in _TAKES_CASES


def may_bring(account: Account | None, channel: Channel) -> bool:
    """Whether somebody may come in by a channel. A bridge of somebody else's carries what is said, whatever the mode
    promises: whom it stands for comes by a relay alone, which has its reason and is called one."""
    foreign = account is not None and account.appservice not in (None, registrations.OURS)
    return channel.mode == "relay" or not foreign


async def list_crossed(ctx: Context, tx: Tx) -> set[str]:
    """The channels on which the content of a running case crosses the app whatever their mode: it is kept there, or a
    bridge of somebody else's carries it."""
    found = await suspensions.list_channels_with_kept(tx, ctx.clock.now())
    if registrations.of_others(ctx.appservices):
        found |= await stored.list_carried_by_others(tx, registrations.OURS)
    return found


def carries_words(mode: Mode) -> bool:
    """Whether what is said in running cases crosses the app."""
    return mode in ("relay", "draining")


def company_learns(channel: Channel, crossed: bool) -> str:
    """What the company of an app learns by a channel: `content`, `metadata`, or `nothing`.

    crossed: whether it is among `list_crossed`.
    """
    if channel.kind in OWN or (channel.mode == "closed" and not crossed):
        return "nothing"
    return "content" if crossed or carries_words(channel.mode) else "metadata"


async def of_arrival(tx: Tx, kind: str, channel_id: str | None) -> Channel:
    """The channel that somebody came by. Raises Invalid if it is not one of the desk's, or can't be told."""
    if channel_id is None:
        if kind in OWN:
            channel_id = kind
        else:
            found = await stored.list_channels_of_kind(tx, kind)
            if len(found) != 1:
                raise errors.Invalid("Say which channel it is, by channel_id.")
            channel_id = found[0].id
    channel = await stored.get_channel(tx, channel_id)
    if channel is None or channel.kind != kind:
        raise errors.Invalid("The desk has no such channel.")
    return channel


async def free_id(tx: Tx, kind: str) -> str:
    """An id for another channel of a kind: `line`, `line-2`, …"""
    taken = {channel.id for channel in await stored.list_channels(tx)}
    number = next(n for n in itertools.count(1) if (kind if n == 1 else f"{kind}-{n}") not in taken)
    return kind if number == 1 else f"{kind}-{number}"


async def add(
    ctx: Context,
    tx: Tx,
    channel_id: str,
    kind: str,
    name: str,
    mode: Mode,
    reason: str | None,
    *,
    by: str,
    settings: str = "{}",
    sealed_secrets: str | None = None,
) -> Channel:
    """Adds a channel to an app. Raises Invalid, and Conflict if the id is taken.

    reason: why this mode; a relay must have one, because the app's company can then read what is said. by: who adds: a
    user id, or the operator's name on the machine. settings: JSON text, nothing secret. sealed_secrets: base64 of a
    SealedBox for the bridges' key.
    """
    if kind in OWN:
        raise errors.Invalid("The desk has its own web and Matrix channels already.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", channel_id):
        raise errors.Invalid("A channel's id has 1 to 40 lower-case letters, digits, - and _.")
    if not 0 < len(name.strip()) <= 100:
        raise errors.Invalid("A channel's name has 1 to 100 characters.")
    reason = _checked(kind, mode, reason)
    at = ctx.clock.now()
    if not await stored.insert_channel(
        tx, channel_id, kind, name.strip(), mode, reason, settings, sealed_secrets, at, by
    ):
        raise errors.Conflict("There is a channel with this id already.")
    await stored.insert_change(tx, ChannelChange(channel_id, at, by, None, mode, reason))
    await stream.publish(tx, Note("desk", "channels"))
    await audit.append(tx, at, by, "channel.added", channel_id, mode=mode, reason=reason)
    return await _existing(tx, channel_id)


async def switch(ctx: Context, tx: Tx, channel_id: str, mode: Mode, reason: str | None, *, by: str) -> Channel:
    """Changes a channel's mode and writes down who, when and why. Raises NotFound, Invalid."""
    channel = await stored.get_channel_to_change(tx, channel_id)
    if channel is None:
        raise errors.NotFound("There is no such channel.")
    reason = _checked(channel.kind, mode, reason)
    if reason is None:
        raise errors.Invalid("A change of mode needs a reason.")
    await stored.update_mode(tx, channel_id, mode, reason)
    await stored.insert_change(tx, ChannelChange(channel_id, ctx.clock.now(), by, channel.mode, mode, reason))
    await stream.publish(tx, Note("desk", "channels"))
    told = {"before": channel.mode, "after": mode, "reason": reason}
    await audit.append(tx, ctx.clock.now(), by, "channel.switched", channel_id, **told)
    return await _existing(tx, channel_id)


async def renew_secrets(ctx: Context, tx: Tx, channel_id: str, sealed_secrets: str, *, by: str) -> Channel:
    """Replaces a channel's sealed secrets. Raises NotFound."""
    if await stored.get_channel_to_change(tx, channel_id) is None:
        raise errors.NotFound("There is no such channel.")
    await stored.update_secrets(tx, channel_id, sealed_secrets)
    await stream.publish(tx, Note("desk", "channels"))
    await audit.append(tx, ctx.clock.now(), by, "channel.secrets_renewed", channel_id)
    return await _existing(tx, channel_id)


async def set_reserve(ctx: Context, tx: Tx, channel_id: str, reserve: int, *, by: str) -> Channel:
    """Sets how many of the month's messages to an app are kept for danger and moves. Raises NotFound, Invalid."""
    channel = await stored.get_channel_to_change(tx, channel_id)
    if channel is None:
        raise errors.NotFound("There is no such channel.")
    if channel.kind in OWN:
        raise errors.Invalid("The desk's own channels have no quota.")
    await stored.update_setting(tx, channel_id, "quota_reserve", reserve)
    await audit.append(tx, ctx.clock.now(), by, "channel.reserve_set", channel_id, reserve=reserve)
    return await _existing(tx, channel_id)


async def set_greeting(ctx: Context, tx: Tx, channel_id: str, greeting: str, *, by: str) -> Channel:
    """Sets the first line of what whoever adds the account reads; "" for the common one. Raises NotFound, Invalid.

    It is no question: in an app, a human asks.
    """
    channel = await stored.get_channel_to_change(tx, channel_id)
    if channel is None:
        raise errors.NotFound("There is no such channel.")
    greeting = greeting.strip()
    if channel.kind in OWN or len(greeting) > 200 or any(mark in greeting for mark in "?？\0"):
        raise errors.Invalid("A greeting belongs to an app's account, has at most 200 characters, and asks nothing.")
    await stored.update_setting(tx, channel_id, "greeting", greeting)
    await stream.publish(tx, Note("desk", "channels"))
    await audit.append(tx, ctx.clock.now(), by, "channel.greeting_set", channel_id)
    return await _existing(tx, channel_id)


async def ask_check(ctx: Context, tx: Tx, channel_id: str) -> None:
    """Has the bridges look at how a channel's account is set up. Raises NotFound, Invalid."""
    channel = await stored.get_channel(tx, channel_id)
    if channel is None:
        raise errors.NotFound("There is no such channel.")
    if channel.kind in OWN:
        raise errors.Invalid("The desk's own channels have no account to be checked.")
    await channel_checks.ask(tx, channel_id, ctx.clock.now())


def _checked(kind: str, mode: Mode, reason: str | None) -> str | None:
    reason = (reason or "").strip() or None
    if reason is not None and len(reason) > 1000:
        raise errors.Invalid("A reason has at most 1,000 characters.")
    if kind in OWN and mode not in modes_of(kind):
        raise errors.Invalid("No app stands in between on this channel: it can't be a contact point or a relay.")
    if kind not in OWN and mode not in modes_of(kind):
        raise errors.Invalid("A channel to an app is a contact_point or a relay, not open.")
    if mode == "relay" and reason is None:
        raise errors.Invalid("A relay lets the app's company read what is said; it needs a recorded reason.")
    return reason


async def _existing(tx: Tx, channel_id: str) -> Channel:
    channel = await stored.get_channel(tx, channel_id)
    assert channel is not None
    return channel
