"""A bridge that we have not written: its encrypted ghost talks in a case's room, driven by transactions alone."""

import asyncio
import functools
import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import environments
from tests.cast import DESK, V3, Json, Line, a_cast, refused, segment
from tests.clients import RECEIPT, TALK, TYPING, Shown
from tests.house import MADOGUCHI, SERVER_NAME, House, free_port
from tests.standins.counsellor import CounsellorClient
from tests.words import word

ROOT = Path(__file__).resolve().parents[2]
BRIDGE = ROOT / "tests" / "standins" / "mautrix_bridge.py"
SEALED = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnAC", "session_id": "s", "device_id": "D"}
GHOST = f"@kite_mio:{SERVER_NAME}"


class Attached:
    """A house, and the bridge's program beside it."""

    def __init__(self, directory: Path, python: Path) -> None:
        self.python = python
        self.told: Json = {
            "id": "kites", "as_token": secrets.token_hex(16), "hs_token": secrets.token_hex(16), "bot": "kites",
            "port": free_port(), "domain": SERVER_NAME, "ghost": GHOST, "echo": word(),
            "state": str(directory / "bridge-state.json"),
        }  # fmt: skip
        registration = directory / "kites.yaml"
        registration.write_text(
            yaml.safe_dump(
                {
                    "id": "kites",
                    "url": f"http://127.0.0.1:{self.told['port']}",
                    "as_token": self.told["as_token"],
                    "hs_token": self.told["hs_token"],
                    "sender_localpart": "kites",
                    "rate_limited": False,
                    "receive_ephemeral": True,
                    "org.matrix.msc3202": True,
                    "io.element.msc4190": True,
                    # As wide as can be: a case is entered by the ghost that is in it, and by nothing else.
                    "namespaces": {
                        "users": [{"regex": "@kite_.*", "exclusive": True}, {"regex": "@.*", "exclusive": False}],
                        "rooms": [{"regex": "!.*", "exclusive": False}],
                    },
                }
            )
        )
        self.house = House(directory / "data", env={"MADOGUCHI_APPSERVICES": str(registration)})
        self.process: asyncio.subprocess.Process | None = None
        self.said: list[Json] = []
        self.passed_over: list[Json] = []

    def opens(self) -> None:
        self.house.opens()
        self.told["server"] = self.house.base_url
        words = ("add", "line", "--mode", "relay", "--reason", "exercise of the tests")
        secret = {"LINE_CHANNEL_SECRET": "s", "LINE_CHANNEL_ACCESS_TOKEN": "t"}
        command = [MADOGUCHI, "channel", *words, "--data", str(self.house.data)]
        subprocess.run(command, env=os.environ | secret, check=True, capture_output=True)

    def asks_the_database(self, sql: str) -> str:
        command = [MADOGUCHI, "database", "--data", str(self.house.data), "psql", "-At", "-c", sql]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()

    async def starts(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            str(self.python), str(BRIDGE), json.dumps(self.told), stdout=asyncio.subprocess.PIPE
        )
        await self.says("ready", True)

    async def dies(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def says(self, key: str, value: Any) -> Json:
        """Waits until the bridge says this of itself, or has said it while something else was waited for."""
        assert self.process is not None and self.process.stdout is not None
        for told in self.passed_over:
            if told.get(key) == value:
                self.passed_over.remove(told)
                return told
        try:
            async with asyncio.timeout(20):
                while True:
                    told = json.loads(await self.process.stdout.readline() or b'{"gone": true}')
                    self.said.append(told)
                    assert "gone" not in told and "clear" not in told, self.said
                    if told.get(key) == value:
                        return dict(told)
                    self.passed_over.append(told)
        except TimeoutError:
            raise AssertionError(f"never {key}: {value}; {self.said[-6:]}") from None

    async def call(self, line: Line, method: str, path: str, body: Any = None) -> Any:
        return await line.call(method, path, body, token=self.told["as_token"], user_id=GHOST)


@pytest.fixture(scope="module")
def attached() -> Iterator[Attached]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir=os.environ.get("MADOGUCHI_TEST_TMP", "/tmp")) as directory:
        attached = Attached(Path(directory), environments.mautrix())
        try:
            attached.opens()
            yield attached
        finally:
            attached.house.closes()


@pytest.fixture
async def bridge(attached: Attached) -> AsyncIterator[Attached]:
    await attached.starts()
    try:
        yield attached
    finally:
        await attached.dies()


async def test_an_encrypted_ghost_talks_in_a_case(bridge: Attached, tmp_path: Path, shows: Shown) -> None:
    ken = bridge.house.staff[0]
    async for cast in a_cast(bridge.house.base_url):
        # Cases that no ghost is in: of somebody on the web, and of somebody with a client, whose name is in its reach.
        other = await cast.line.call("POST", f"{DESK}/cases", {"channel": "web"})
        aoi = await cast.person("aoi")
        apart = (await aoi.post(f"{V3}/join/{segment(f'#desk:{SERVER_NAME}')}"))["room_id"]
        await aoi.sends(apart, "m.room.encrypted", SEALED)
        for person in (other["user_id"], aoi.user_id, ken.user_id):
            pretended = cast.line.call("GET", f"{V3}/sync", token=bridge.told["as_token"], user_id=person)
            await refused(pretended, 403, "M_FORBIDDEN")
        # What it brings it can read: it comes by a relay, which is called one, and by no channel that promises more.
        switched = "UPDATE channels SET mode = '{}' WHERE id = 'line'"
        await asyncio.to_thread(bridge.asks_the_database, switched.format("contact_point"))
        arriving = functools.partial(bridge.call, cast.line, "POST", f"{DESK}/cases", {"channel": "line"})
        await refused(arriving(), 403, "M_FORBIDDEN")
        await asyncio.to_thread(bridge.asks_the_database, switched.format("relay"))
        opened = await arriving()
        # A mode that stops the desk's own bridges does not stop it: its company is still said to read.
        await asyncio.to_thread(bridge.asks_the_database, switched.format("notice_only"))
        told = (await cast.line.call("GET", f"{DESK}/desk"))["readers"]
        assert sum(each["reads"] for each in told if each["kind"] == "app") == 2
        room = opened["room_id"]
        async with CounsellorClient(bridge.house.base_url, ken.user_id, ken.password, tmp_path / "ken") as counsellor:
            assert await counsellor.accepts(opened["case_id"]) == room
            await bridge.says("member", ken.user_id)
            first = word("こんにちは")
            with shows(TALK):
                await counsellor.says(room, first)
                assert (await bridge.says("heard", first))["by"] == ken.user_id
                answer = await counsellor.sees(room, f"{first} {bridge.told['echo']}")
                assert answer["sender"] == GHOST
            # They are told that the counsellor is typing, and that they have read.
            path = f"{V3}/rooms/{segment(room)}"
            with shows(TYPING):
                await counsellor.device.call("PUT", f"{path}/typing/{segment(ken.user_id)}", {"typing": True})
                await bridge.says("typing", [ken.user_id])
            with shows(RECEIPT):
                await counsellor.device.call("POST", f"{path}/receipt/m.read/{segment(answer['event_id'])}", {})
                await bridge.says("receipt", [answer["event_id"]])
            # `work` dies, and the conversation goes on.
            bridge.house.kills("work")
            second = word("まだいますか")
            await counsellor.says(room, second)
            await bridge.says("heard", second)
            await counsellor.sees(room, f"{second} {bridge.told['echo']}")
            # The bridge dies too; what was said meanwhile waits for it.
            await bridge.dies()
            third = word("聞こえますか")
            await counsellor.says(room, third)
            await bridge.starts()
            await bridge.says("heard", third)
            await counsellor.sees(room, f"{third} {bridge.told['echo']}")
        # However wide its namespaces are, it has heard of one room.
        assert {told["room"] for told in bridge.said if "room" in told} == {room}
        assert other["user_id"] not in str(bridge.said)
        # What the ghost's device has taken with its transactions is not kept for it.
        sql = f"SELECT count(*) FROM to_device WHERE user_id = '{GHOST}'"
        assert await asyncio.to_thread(bridge.asks_the_database, sql) == "0"
