"""Accounts of messaging apps, given in on the administrators' page, which seals them for the bridges."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from madoguchi import errors
from madoguchi.core.desk import app_accounts, channels
from madoguchi.desk.administration import Channels, Name, list_channels
from madoguchi.storage import channels as stored
from madoguchi.web.endpoint import Call

Sealed = Annotated[str, Meta(min_length=1, max_length=8000)]


class GiveAccount(msgspec.Struct):
    """sealed: libsodium's sealed box for `bridges_key`, base64; in it what core/desk/app_accounts.py makes, as JSON."""

    sealed: Sealed


class AddChannel(GiveAccount):
    """name: what the staff call the channel; left out, the app's name."""

    kind: Literal["line", "telegram"]
    name: Name | None = None


class ChannelAdded(msgspec.Struct, frozen=True):
    channel_id: str


async def add_channel(call: Call, body: AddChannel) -> ChannelAdded:
    """Connects an account of an app, as a contact point: no words cross the app until somebody switches the mode."""
    app_accounts.check_sealed(body.sealed)
    channel_id = await channels.free_id(call.tx, body.kind)
    name = body.name or app_accounts.TITLES[body.kind]
    by = call.session.user_id
    await channels.add(
        call.ctx, call.tx, channel_id, body.kind, name, "contact_point", None, by=by, sealed_secrets=body.sealed
    )
    return ChannelAdded(channel_id)


async def renew_account(call: Call, channel_id: str, body: GiveAccount) -> Channels:
    """Gives what opens a channel's account anew, as after a token was withdrawn."""
    channel = await stored.get_channel(call.tx, channel_id)
    if channel is None:
        raise errors.NotFound("There is no such channel.")
    if channel.kind not in app_accounts.TITLES:
        raise errors.Invalid("The desk's own channels have no account of an app.")
    app_accounts.check_sealed(body.sealed)
    await channels.renew_secrets(call.ctx, call.tx, channel_id, body.sealed, by=call.session.user_id)
    return await list_channels(call)
