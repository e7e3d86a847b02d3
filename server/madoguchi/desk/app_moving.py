"""Moving from app to app and back to one: what can be offered, the person's own ticket, and what they bring there."""

from typing import Annotated

import msgspec
from msgspec import Meta

from madoguchi.core.desk import app_moves
from madoguchi.core.desk.app_moves import Redeemed, Ticket
from madoguchi.desk.permissions import caller
from madoguchi.storage import app_moves as stored
from madoguchi.web.endpoint import Call

ChannelID = Annotated[str, Meta(min_length=1, max_length=40)]


class App(msgspec.Struct, frozen=True):
    """A channel to an app on which the case can go on. mode: `relay`, where the app's company can read what is said; or
    `contact_point`, where answers are on the page."""

    channel_id: str
    kind: str
    name: str
    mode: str


class Apps(msgspec.Struct, frozen=True):
    apps: list[App]


class ToApp(msgspec.Struct):
    channel_id: ChannelID


class Redeem(msgspec.Struct):
    """token: from behind the link that opened the account; code: typed. event: the bridge's name of what brought it,
    which is answered the same when it comes again."""

    channel_id: ChannelID
    event: Annotated[str, Meta(min_length=1, max_length=100)]
    token: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    code: Annotated[str, Meta(min_length=1, max_length=40)] | None = None


async def list_apps(call: Call, case_id: str) -> Apps:
    """The other apps that the person of a case on an app can be offered; none for whoever is on the page."""
    return _apps(await app_moves.list_apps_of(call.tx, case_id, await caller(call, call.tx)))


async def list_my_apps(call: Call) -> Apps:
    """The apps to which the caller, who came from one, may go back."""
    return _apps(await app_moves.list_own_apps(call.tx, call.session.user_id))


async def make_my_ticket(call: Call, body: ToApp) -> Ticket:
    """What the caller takes to an app to go on there: a link, or a code to be typed. Good once."""
    return await app_moves.own_ticket(call.ctx, call.tx, call.session.user_id, body.channel_id)


async def make_app_ticket(call: Call) -> Ticket:
    """The same for whom the calling ghost stands for, to the app that a counsellor offers them."""
    return await app_moves.ticket(call.ctx, call.tx, call.session.user_id)


async def redeem(call: Call, body: Redeem) -> Redeemed:
    """Hands in what somebody brought to an app, as the ghost who stands for them there."""
    return await app_moves.redeem(
        call.ctx, call.tx, call.session.user_id, body.channel_id, body.token, body.code, body.event
    )


def _apps(found: list[stored.App]) -> Apps:
    return Apps([App(app.channel_id, app.kind, app.name, app.mode) for app in found])
