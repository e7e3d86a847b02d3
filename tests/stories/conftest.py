"""A house that calls a stand-in in the place of LINE, and a counsellor at a client of their own."""

import contextlib
import os
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house import MADOGUCHI, House, free_port
from tests.standins.counsellor import CounsellorClient
from tests.standins.line import LineStandin
from tests.words import secret


@dataclass
class Setting:
    house: House
    port: int
    secret: str
    token: str
    telegram_port: int

    def channel(self, *words: str, **environment: str) -> str:
        """`madoguchi channel …` on the running house, as its operator would."""
        line = {"LINE_CHANNEL_SECRET": self.secret, "LINE_CHANNEL_ACCESS_TOKEN": self.token}
        command = [MADOGUCHI, "channel", *words, "--data", str(self.house.data)]
        return subprocess.run(
            command,
            env=os.environ | line | environment,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        ).stdout

    def channel_at_a_terminal(self, *words: str, typed: str) -> str:
        """The same by somebody who types."""
        line = {"LINE_CHANNEL_SECRET": self.secret, "LINE_CHANNEL_ACCESS_TOKEN": self.token}
        command = [MADOGUCHI, "channel", *words, "--data", str(self.house.data)]
        ours, theirs = os.openpty()
        os.write(ours, typed.encode())
        try:
            environment = os.environ | line
            return subprocess.run(
                command, env=environment, check=True, stdin=theirs, capture_output=True, text=True
            ).stdout
        finally:
            os.close(ours)
            os.close(theirs)


@pytest.fixture(scope="session")
def setting() -> Iterator[Setting]:
    """A house that calls the stand-in instead of LINE, with two LINE channels: a relay and a contact point."""
    with a_setting() as setting:
        yield setting


@pytest.fixture
def measured_setting() -> Iterator[Setting]:
    """The same for one test alone; nobody records what is said to it, which would cost time."""
    with a_setting({"PYTHONPATH": ""}) as setting:
        yield setting


@contextlib.contextmanager
def a_setting(more: dict[str, str] | None = None) -> Iterator[Setting]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mado-", dir=os.environ.get("MADOGUCHI_TEST_TMP", "/tmp")) as directory:
        away = f"http://127.0.0.1:{port}"
        elsewhere = free_port()
        env = {
            "MADOGUCHI_LINE_API_BASE": away,
            "MADOGUCHI_LINE_DATA_BASE": away,
            "MADOGUCHI_TELEGRAM_API_BASE": f"http://127.0.0.1:{elsewhere}",
        } | (more or {})
        house = House(Path(directory) / "data", env=env)
        house.opens()
        ours, theirs = (secret(secrets.token_hex(16), f"LINE's {what}") for what in ("secret", "access token"))
        setting = Setting(house, port, ours, theirs, elsewhere)
        try:
            setting.channel("add", "line", "--mode", "relay", "--reason", "exercise of the tests")
            setting.channel("add", "line", "--id", "line-notices")
            yield setting
        finally:
            house.closes()


@pytest.fixture
async def line(setting: Setting) -> AsyncIterator[LineStandin]:
    line = LineStandin(channel_secret=setting.secret, access_token=setting.token)
    await line.start(setting.port)
    line.connect(setting.house.facts["bridges_url"], "line")
    yield line
    await line.stop()


@pytest.fixture
async def ken(setting: Setting, tmp_path: Path) -> AsyncIterator[CounsellorClient]:
    staff = setting.house.staff[0]
    async with CounsellorClient(setting.house.base_url, staff.user_id, staff.password, tmp_path / "ken") as ken:
        yield ken
        for case in (await ken.queue())["mine"]:
            await ken.closes(case["case_id"])
