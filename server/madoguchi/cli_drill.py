"""`madoguchi drill`: the suspension of a channel, practised on a desk of its own that is gone afterwards."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import aiohttp
import click

from madoguchi.cli_staff import in_transaction, operator
from madoguchi.config import Settings
from madoguchi.context import Context
from madoguchi.core.desk import channels, drills
from madoguchi.core.desk.hours import TOKYO
from madoguchi.drill import play, report
from madoguchi.drill.people import Assumptions, behaviours
from madoguchi.drill.play import CHANNEL, DESK, V3, Failed, Play, Result
from madoguchi.flags import with_settings
from madoguchi.storage.db import Tx
from madoguchi.up import runfile
from madoguchi.up.runfile import RunFile

SERVER_NAME = "drill.madoguchi.localhost"
_OPEN_WITHIN_S = 120.0


@click.command()
@click.option("--people", default=200, show_default=True, type=click.IntRange(1, 10_000), help="Running cases.")
@click.option("--reached", default=0.97, show_default=True, type=click.FloatRange(0, 1), help="Share the app reaches.")
@click.option("--opens", default=0.85, show_default=True, type=click.FloatRange(0, 1), help="Share who open the link.")
@click.option("--declines", default=0.05, show_default=True, type=click.FloatRange(0, 1), help="Share who would stay.")
@click.option("--median", default=8.0, show_default=True, type=click.FloatRange(0.1), help="Minutes until half opened.")
@click.option("--minutes", default=60.0, show_default=True, type=click.FloatRange(1), help="When it is to be closed.")
@click.option("--speed", default=60.0, show_default=True, type=click.FloatRange(1), help="Minutes in one minute.")
@click.option("--seed", default=1, show_default=True, help="The same people again for the same number.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where the report goes (HTML).")
@click.option("--keep", is_flag=True, help="Keep the report on your desk: administrators find it on their page.")
@with_settings
def drill(
    settings: Settings,
    people: int,
    reached: float,
    opens: float,
    declines: float,
    median: float,
    minutes: float,
    speed: float,
    seed: int,
    out: Path | None,
    keep: bool,
) -> None:
    """Practise suspending a channel with people that do not exist, on a desk of its own beside yours."""
    assumptions = Assumptions(people, reached, opens, declines, median)
    with _a_desk() as (run, as_token):
        click.echo(f"A desk of its own is open. {people} people, {speed:g} times as fast as life.", err=True)
        try:
            result = asyncio.run(_play(run, as_token, assumptions, seed, speed, minutes))
        except (Failed, aiohttp.ClientError, TimeoutError) as error:
            raise click.ClickException(f"The drill broke off: {error}") from None
    moved = people - len(result.left)
    when = f"after {result.moved_95:.1f} minutes" if result.moved_95 is not None else "never"
    click.echo(f"95% had moved: {when}; {moved} of {people} moved, {len(result.left)} left")
    click.echo(
        f"all offers given to the app within {result.offered_s:.1f} s, high risk first: {result.high_risk_first}"
    )
    middle, highest = result.entered_s
    click.echo(f"from the person's word into the room: {middle:.2f} s in the middle, {highest:.2f} s at most")
    if result.refused:
        click.echo(f"closing was refused because of those left; closed by two: {result.closed_by_two}")
    at = datetime.now(TOKYO)
    page = report.page(result, assumptions, seed, at)
    if out is not None:
        out.write_text(page, encoding="utf-8")
        click.echo(f"report: {out}")
    if keep:

        async def act(ctx: Context, tx: Tx) -> None:
            await drills.keep(ctx, tx, at, people, moved, result.moved_95, page, by=operator())

        in_transaction(settings, act)
        click.echo("kept: administrators find it on their page, at the channels")


async def _play(
    run: RunFile, as_token: str, assumptions: Assumptions, seed: int, speed: float, minutes: float
) -> Result:
    async with aiohttp.ClientSession(run.local_url) as http:
        first, second = await _administrators(http, str(run.admin_link))
    return await Play(run.local_url, as_token, behaviours(assumptions, seed), speed, minutes).run(first, second)


async def _administrators(http: aiohttp.ClientSession, link: str) -> tuple[str, str]:
    """Access tokens of two administrators."""
    password = secrets.token_urlsafe(16)
    body = {"token": link.rpartition("link=")[2], "localpart": "first", "name": "first", "password": password}
    await _post(http, f"{DESK}/admin/redeem", body)
    first = await _signs_in(http, "first", password)
    added = await _post(http, f"{DESK}/staff", {"localpart": "second", "name": "s", "role": "administrator"}, first)
    return first, await _signs_in(http, "second", str(added["password"]))


async def _signs_in(http: aiohttp.ClientSession, user: str, password: str) -> str:
    identifier = {"type": "m.id.user", "user": user}
    body = {"type": "m.login.password", "identifier": identifier, "password": password}
    return str((await _post(http, f"{V3}/login", body))["access_token"])


async def _post(http: aiohttp.ClientSession, path: str, body: play.Json, token: str = "") -> play.Json:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.post(path, json=body, headers=headers) as answer:
        found: play.Json = await answer.json()
        if answer.status >= 400:
            raise Failed(f"POST {path}: {answer.status} {found.get('errcode')}")
        return found


@contextlib.contextmanager
def _a_desk() -> Iterator[tuple[RunFile, str]]:
    """A desk in a directory that goes with it, and the token of the bridge that the drill plays."""
    with tempfile.TemporaryDirectory(prefix="mado-drill-") as directory:
        data, registration = Path(directory) / "data", Path(directory) / "drill.yaml"
        as_token = secrets.token_hex(32)
        # JSON is YAML.
        registration.write_text(json.dumps(_registration(as_token)))
        settings = Settings(data=data, server_name=SERVER_NAME, appservices=(registration,))
        words = ["--data", str(data), "--listen", "127.0.0.1:0", "--server-name", SERVER_NAME, "--limits", "off"]
        command = [sys.executable, "-m", "madoguchi", "up", *words, "--appservices", str(registration)]
        # Nothing of the operator's own desk: neither its settings nor its database.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MADOGUCHI_")}
        with (Path(directory) / "up.log").open("wb") as log:
            up = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
        try:
            run = _wait_for(up, data / "run.json")
            in_transaction(settings, _add_channel)
            yield run, as_token
        finally:
            up.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                up.wait(30)
            up.kill()


def _wait_for(up: "subprocess.Popen[bytes]", told: Path) -> RunFile:
    ends = time.monotonic() + _OPEN_WITHIN_S
    while time.monotonic() < ends and up.poll() is None:
        run = runfile.read(told)
        if run is not None:
            return run
        time.sleep(0.1)
    raise click.ClickException("The desk for the drill did not open. `madoguchi doctor` may say why.")


async def _add_channel(ctx: Context, tx: Tx) -> None:
    await channels.add(ctx, tx, CHANNEL, CHANNEL, "drill 停止訓練", "relay", "drill 停止訓練", by="drill")


def _registration(as_token: str) -> play.Json:
    users = [{"regex": f"@drill_.*:{SERVER_NAME}", "exclusive": True}]
    return {
        "id": "drill", "url": None, "as_token": as_token, "hs_token": secrets.token_hex(32),
        "sender_localpart": "drill", "rate_limited": False, "namespaces": {"users": users, "rooms": [], "aliases": []},
    }  # fmt: skip
