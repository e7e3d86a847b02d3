"""`madoguchi channel`: the ways people reach the desk.

Secrets had better not stand in a command line, where every user of the machine can read them: `-` reads them from
standard input, one a line in the order --secret, --token; else they come from the environment; else the command asks.
"""

import os
import sys
from datetime import datetime

import click

from madoguchi import errors
from madoguchi.cli_channel_check import check, walk
from madoguchi.cli_channel_people import cancel, keep, people
from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import app_accounts, suspension
from madoguchi.core.desk import channels as rules
from madoguchi.core.desk.hours import TOKYO
from madoguchi.flags import with_settings
from madoguchi.storage import channels as stored
from madoguchi.storage.channels import Channel, Mode
from madoguchi.storage.db import Tx
from madoguchi.up import runfile

_MODES = ["contact_point", "relay", "draining", "notice_only", "closed", "emergency"]


@click.group()
def channel() -> None:
    """The ways people reach the desk."""


@channel.command()
@click.argument("kind", type=click.Choice(sorted(app_accounts.TITLES)))
@click.option("--id", "channel_id", help="Name of the channel in addresses (otherwise KIND, KIND-2, …).")
@click.option("--name", help="What the staff call this channel (otherwise the app's name).")
@click.option("--secret", help="LINE's channel secret: `-` reads it from standard input. [LINE_CHANNEL_SECRET]")
@click.option(
    "--token",
    help="LINE's channel access token, or the Telegram bot's token: `-` likewise. "
    "[LINE_CHANNEL_ACCESS_TOKEN, TELEGRAM_BOT_TOKEN]",
)
@click.option("--line-channel-id", help="With it instead of a token, short-lived tokens are taken out as needed.")
@click.option("--poll", is_flag=True, help="Telegram is asked for news instead of calling us: needs no public address.")
@click.option("--mode", type=click.Choice(["contact_point", "relay"]), default="contact_point", show_default=True)
@click.option("--reason", help="Why this mode. A relay lets the app's company read what is said, and needs one.")
@with_settings
def add(
    settings: Settings,
    kind: str,
    channel_id: str | None,
    name: str | None,
    secret: str | None,
    token: str | None,
    line_channel_id: str | None,
    poll: bool,
    mode: Mode,
    reason: str | None,
) -> None:
    """Connect a messaging app."""
    if mode == "relay" and not (reason or "").strip():
        raise click.UsageError("--mode relay needs --reason: the app's company can then read what is said.")
    polls = poll or app_accounts.must_poll(settings.public_url)
    sealed = _sealed(settings, kind, secret, token, line_channel_id, polls)

    async def act(ctx: Context, tx: Tx) -> Channel:
        wanted = channel_id or await rules.free_id(tx, kind)
        return await rules.add(
            ctx, tx, wanted, kind, name or app_accounts.TITLES[kind], mode, reason, by=operator(), sealed_secrets=sealed
        )

    added = in_transaction(settings, act)
    click.echo(f"channel {added.id}: {added.kind}, {added.mode}, {added.name}")
    if kind == "telegram":
        how = "is asked for news" if polls else "is told where to call"
        click.echo(f"Telegram {how} within a few seconds.", err=True)
    else:
        click.echo(f"webhook: {webhook_url(settings, added)}")
        click.echo(
            "Next, in the LINE Developers console: enter this address as the webhook URL (it must be reachable by\n"
            "https), switch on 'Use webhook' and 'Webhook redelivery', press 'Verify'; in the LINE Official Account\n"
            "Manager switch off auto-reply messages.",
            err=True,
        )
    if sys.stdin.isatty():
        walk(settings, added.id)
    else:
        click.echo(f"Then: madoguchi channel check {added.id}", err=True)


@channel.command(name="list")
@click.option("--changes", is_flag=True, help="Also who changed each mode, when and why.")
@with_settings
def list_channels(settings: Settings, changes: bool) -> None:
    """Show all channels, one a line."""

    async def act(ctx: Context, tx: Tx) -> list[tuple[Channel, list[stored.ChannelChange]]]:
        return [(found, await stored.list_changes(tx, found.id)) for found in await stored.list_channels(tx)]

    for found, history in in_transaction(settings, act):
        click.echo("\t".join((found.id, found.kind, found.mode, found.name, found.reason or "")).rstrip())
        for change in history if changes else ():
            modes = f"{change.mode_before} → {change.mode_after}" if change.mode_before else change.mode_after
            click.echo(f"  {change.at:%Y-%m-%d %H:%M:%S%z}  {modes}  {change.by_whom}  {change.reason or ''}".rstrip())


@channel.command(name="set")
@click.argument("channel_id")
@click.option("--mode", type=click.Choice(["open", *_MODES]))
@click.option("--reason", help="Why; kept with the change.")
@click.option("--secret", help="A new channel secret (LINE): `-` reads it from standard input.")
@click.option("--token", help="A new access token, with LINE given along with --secret.")
@click.option("--poll", is_flag=True, help="With --token: Telegram is asked for news instead of calling us.")
@click.option(
    "--quota-reserve",
    type=click.IntRange(min=0),
    help="How many of the month's messages are kept for danger and moves (otherwise a tenth).",
)
@click.option("--greeting", help="First line for whoever adds the account, not a question; empty: the common one.")
@click.option("--sign", is_flag=True, help="Close it although somebody would be left; takes two people.")
@click.option("--at", "due", type=click.DateTime(["%Y-%m-%d %H:%M"]), help="Switch the mode then, in Japan's time.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@with_settings
def set_channel(
    settings: Settings,
    channel_id: str,
    mode: Mode | None,
    reason: str | None,
    secret: str | None,
    token: str | None,
    sign: bool,
    poll: bool,
    quota_reserve: int | None,
    greeting: str | None,
    due: datetime | None,
    yes: bool,
) -> None:
    """Switch a channel's mode, renew its secrets, its reserve or greeting. Every change is kept with who and when."""
    renews = secret is not None or token is not None
    if mode is None and not renews and quota_reserve is None and greeting is None:
        raise click.UsageError("Say --mode (with --reason), --secret and --token, --quota-reserve, or --greeting.")
    if mode is not None and not (reason or "").strip():
        raise click.UsageError("A change of mode needs --reason.")
    if due is not None and (mode is None or sign):
        raise click.UsageError("--at says when --mode is switched; a closing that needs --sign is not planned.")
    if mode is not None:
        _show_beforehand(settings, channel_id, mode, yes)
    sealed = None
    if renews:
        kind = in_transaction(settings, lambda ctx, tx: _kind_of(tx, channel_id))
        polls = poll or app_accounts.must_poll(settings.public_url)
        sealed = _sealed(settings, kind, secret, token, None, polls)

    async def act(ctx: Context, tx: Tx) -> Channel | None:
        found = await rules.renew_secrets(ctx, tx, channel_id, sealed, by=operator()) if sealed else None
        if quota_reserve is not None:
            found = await rules.set_reserve(ctx, tx, channel_id, quota_reserve, by=operator())
        if greeting is not None:
            found = await rules.set_greeting(ctx, tx, channel_id, greeting, by=operator())
        if mode is None:
            return found
        if due is not None:
            at = round(due.replace(tzinfo=TOKYO).timestamp() * 1000)
            await suspension.plan(ctx, tx, channel_id, mode, reason or "", at, by=operator())
            return await stored.get_channel(tx, channel_id)
        try:
            done = await suspension.switch(ctx, tx, channel_id, mode, reason, by=operator(), sign=sign)
        except errors.PeopleLeft as left:
            raise click.ClickException(
                f"{left.fields['nowhere']} people would be left with nowhere to go (`madoguchi channel people "
                f"{channel_id}`). With --sign it is closed once an administrator signs as well, within an hour."
            ) from None
        return await stored.get_channel(tx, channel_id) if done else None

    changed = in_transaction(settings, act)
    if changed is None:
        click.echo(f"channel {channel_id}: signed; it closes when an administrator signs as well, within an hour.")
        return
    more = f", {mode} on {due:%F at %H:%M}" if due else ""
    more += ", secrets renewed" if sealed else ""
    more += f", {quota_reserve} kept back" if quota_reserve is not None else ""
    more += ", greeting set" if greeting is not None else ""
    click.echo(f"channel {changed.id}: {changed.mode}{more}")


for command in (check, people, cancel, keep):
    channel.add_command(command)


def _show_beforehand(settings: Settings, channel_id: str, mode: Mode, yes: bool) -> None:
    """How many people a switch of mode touches; somebody at a terminal then confirms it."""

    async def look(ctx: Context, tx: Tx) -> suspension.Suspension:
        return await suspension.get(ctx, tx, channel_id)

    found = in_transaction(settings, look)
    running = sum(not person.moved for person in found.people)
    click.echo(
        f"{channel_id}: {found.channel.mode} → {mode}. It touches {running} people whose case runs on it; if it closed "
        f"now, {found.nowhere} would have nowhere to go.",
        err=True,
    )
    if not yes and sys.stdin.isatty():
        click.confirm("Go on?", abort=True, err=True)


async def _kind_of(tx: Tx, channel_id: str) -> str:
    found = await stored.get_channel(tx, channel_id)
    if found is None or found.kind not in app_accounts.TITLES:
        raise click.ClickException(f"There is no channel {channel_id} to an app.")
    return found.kind


def _sealed(
    settings: Settings, kind: str, secret: str | None, token: str | None, line_channel_id: str | None, polls: bool
) -> str:
    """What opens an account of an app: asked for where it was not given, and sealed for the bridges."""
    if kind == "telegram":
        bot_token = _secret("token", token, "TELEGRAM_BOT_TOKEN", "Bot token")
        try:
            opens = app_accounts.of_telegram(bot_token, polls=polls)
        except errors.Invalid as refused:
            raise click.ClickException(refused.message) from None
    else:
        channel_secret = _secret("secret", secret, "LINE_CHANNEL_SECRET", "Channel secret")
        if token or not line_channel_id:
            token = _secret("token", token, "LINE_CHANNEL_ACCESS_TOKEN", "Channel access token")
        opens = app_accounts.of_line(channel_secret, token, line_channel_id)
    try:
        return app_accounts.sealed(app_accounts.bridges_key(settings.keys), opens)
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"{settings.keys / 'bridges.pub'}: the bridges' public key can't be read ({type(error).__name__}). "
            "`madoguchi up` or `madoguchi init` makes it."
        ) from None


def webhook_url(settings: Settings, found: Channel) -> str:
    """The address that the app has to call. Behind a proxy, the public address; else the bridges' own listener."""
    path = f"/_madoguchi/bridges/{found.kind}/{found.id}/webhook"
    if settings.public_url:
        return settings.public_url + path
    running = runfile.read(settings.run_file)
    return (running.bridges_url if running else settings.bridges_url) + path


def _secret(what: str, given: str | None, variable: str, prompt: str) -> str:
    """A secret from standard input (`-`), the environment, or the terminal."""
    if given == "-":
        value = sys.stdin.readline()
    elif given is not None:
        click.echo(
            f"Everybody on this machine can read a command line while it runs. Better: `--{what} -` and the secret on "
            f"standard input, or {variable} in the environment.",
            err=True,
        )
        value = given
    elif (from_environment := os.environ.get(variable)) is not None:
        value = from_environment
    elif sys.stdin.isatty():
        value = click.prompt(prompt, hide_input=True)
    else:
        raise click.UsageError(f"{prompt}: say `--{what} -` and give it on standard input, or set {variable}.")
    if not (value := value.strip()):
        raise click.UsageError(f"{prompt}: nothing was given.")
    return value
