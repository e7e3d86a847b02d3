"""`madoguchi channel check`: the set-up of an app's account, step by step, as the app itself sees it."""

import time

import click

from madoguchi.cli_staff import in_transaction
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import channels as rules
from madoguchi.flags import with_settings
from madoguchi.storage import channel_checks
from madoguchi.storage.channel_checks import ChannelCheck, Finding
from madoguchi.storage.db import Tx

PATIENCE_SECONDS = 40.0
STEPS = {
    "secrets": "secrets",
    "token": "token",
    "address": "address that the app calls",
    "active": "use of the webhook",
    "test": "the app's calls",
    "console": "redelivery, auto-reply, greeting",
    "quota": "sent this month",
    "groups": "invitations into groups",
}
MEND = {
    "not_opened": "give them anew: madoguchi channel set ID --token - (LINE: with --secret -)",
    "unauthorized": "the app takes this token no longer: madoguchi channel set ID --token - (LINE: with --secret -)",
    "refused": "the app refuses to answer: look at the account in its console",
    "no_answer": "the app did not answer: try again; can this machine reach the internet?",
    "no_https": "apps call nothing but https: set public_url to the desk's address",
    "not_set": "enter this address as webhook URL in the LINE Developers console",
    "elsewhere": "another address is set: enter this one (Telegram: wait a few seconds, or end what else uses the bot)",
    "inactive": "switch on 'Use webhook' in the LINE Developers console",
    "signature": "the channel secret is another one: madoguchi channel set ID --secret - --token -",
    "not_ours": "the address leads elsewhere: the proxy has to pass /_madoguchi/bridges/ on to the bridges",
    "proxy": "the proxy does not reach the bridges: compare its rule with bridges_listen",
    "database": "the bridges could not reach the database: madoguchi doctor",
    "not_reached": "nobody answers at this address from outside: name, certificate, firewall?",
    "too_slow": "the answer took too long: madoguchi doctor",
    "failed": "the calls fail: look at the proxy's log and DATA/logs/bridges.log",
    "spent": "nothing but free answers goes out until the month ends: raise the plan",
    "polls": "Telegram is asked for news, so it needs no address to call",
    "joins": "@BotFather: /setjoingroups, Disable",
}

CONSOLE = "LINE does not tell: in its consoles 'Webhook redelivery' has to be on, auto-reply and greeting messages off"


@click.command()
@click.argument("channel_id")
@with_settings
def check(settings: Settings, channel_id: str) -> None:
    """Check an account's set-up with the app itself; ends with 1 where something is wrong."""
    if not _is_good(settings, channel_id):
        raise SystemExit(1)


def walk(settings: Settings, channel_id: str) -> None:
    """Goes through the set-up with somebody at a terminal: looked at with the app itself after each thing they mend."""
    click.pause("Press any key once that is done: it is then looked at with the app itself.", err=True)
    while not _is_good(settings, channel_id) and click.confirm("Mended? Look again", default=True, err=True):
        pass
    click.echo(f"At any time: madoguchi channel check {channel_id}", err=True)


def _is_good(settings: Settings, channel_id: str) -> bool:
    """Has the account looked at, and says each step as it is."""

    async def ask(ctx: Context, tx: Tx) -> None:
        await rules.ask_check(ctx, tx, channel_id)

    async def look(ctx: Context, tx: Tx) -> ChannelCheck:
        return (await channel_checks.list_checks(tx))[channel_id]

    in_transaction(settings, ask)
    ends = time.monotonic() + PATIENCE_SECONDS
    while (found := in_transaction(settings, look)).checked_at is None:
        if time.monotonic() > ends:
            raise click.ClickException("The bridges do not answer: is `madoguchi up` (or `madoguchi bridges`) running?")
        time.sleep(0.5)
    for finding in found.findings:
        click.echo(line_of(finding))
    return not any(finding.state == "wrong" for finding in found.findings)


def line_of(finding: Finding) -> str:
    """A step in one line, with what mends it."""
    mark = {"good": "ok   ", "wrong": "WRONG"}.get(finding.state, "look ")
    value = f": {finding.value}" if finding.value else ""
    mend = CONSOLE if finding.step == "console" else MEND.get(finding.why, "")
    return f"{mark} {STEPS.get(finding.step, finding.step)}{value}" + (f"\n      {mend}" if mend else "")
