"""maubot, a server for bots, logs in as an ordinary account; its plugin answers in clear and in a sealed room."""

import asyncio
import io
import json
import secrets
import sqlite3
import zipfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import nio
import pytest
import yaml

from tests import environments
from tests.cast import Cast, Person
from tests.clients import LOGIN, REACTION, RECEIPT, TALK, Shown
from tests.house import House, free_port
from tests.matrix.on_nio import Client

PLUGIN = """
from maubot import MessageEvent, Plugin
from maubot.handlers import command


class Ping(Plugin):
    @command.new("ping")
    async def ping(self, event: MessageEvent) -> None:
        await event.mark_read()
        await event.react("🏓")
        await event.respond("pong")
"""
PLUGINS_NAME = "test.madoguchi.ping"


def plugin() -> bytes:
    """The plugin as maubot takes it: a ZIP archive."""
    meta = {"id": PLUGINS_NAME, "version": "1.0.0", "license": "Apache-2.0", "modules": ["ping"], "main_class": "Ping"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("maubot.yaml", yaml.safe_dump(meta | {"maubot": environments.MAUBOT}))
        archive.writestr("ping.py", PLUGIN)
    return packed.getvalue()


class Maubot:
    """The program, and its management interface, through which an operator sets a bot up."""

    def __init__(self, house: House, folder: Path, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.http = http
        self.port = free_port()
        self.secret = secrets.token_hex(16)
        self.token = ""
        self.log = folder / "maubot.log"
        (folder / "plugins").mkdir(parents=True)
        handlers = {"console": {"class": "logging.StreamHandler"}}
        config = {
            "server": {"hostname": "127.0.0.1", "port": self.port, "unshared_secret": self.secret},
            "homeservers": {"desk": {"url": house.base_url}},
            "logging": {"version": 1, "handlers": handlers, "root": {"level": "INFO", "handlers": ["console"]}},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))

    async def starts(self, python: Path) -> asyncio.subprocess.Process:
        with self.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(python), "-m", "maubot", cwd=self.folder, stdout=log, stderr=log
            )
        async with asyncio.timeout(30):
            while not self.token:
                assert process.returncode is None, self.log.read_text()[-2000:]
                try:
                    self.token = (await self.asks("POST", "auth/login", {"user": "root", "secret": self.secret}))[
                        "token"
                    ]
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
        return process

    async def asks(self, method: str, path: str, body: Any) -> Any:
        url = f"http://127.0.0.1:{self.port}/_matrix/maubot/v1/{path}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.request(
            method, url, data=data, headers={"Authorization": f"Bearer {self.token}"}
        ) as answer:
            told = await answer.json()
            assert answer.status < 300, (path, told, self.log.read_text()[-2000:])
            return told

    async def sets_a_bot_up(self, person: Person) -> None:
        """Uploads the plugin, logs in by password, and lets the plugin run as that account."""
        await self.asks("POST", "plugins/upload", plugin())
        login = {"username": person.user_id, "password": person.password}
        client = await self.asks("POST", "client/auth/desk/login?update_client=true", login)
        assert client["id"] == person.user_id and client["fingerprint"], client
        await self.asks("PUT", "instance/ping", {"type": PLUGINS_NAME, "primary_user": person.user_id})
        await self._has_synced()

    async def _has_synced(self) -> None:
        """Waits for its first sync: it takes no notice of what that brings, invitations among it."""
        with closing(sqlite3.connect(self.folder / "maubot.db")) as database:
            for _ in range(400):
                if database.execute("SELECT count(*) FROM client WHERE next_batch <> ''").fetchone() == (1,):
                    return
                await asyncio.sleep(0.05)
        raise AssertionError(self.log.read_text()[-2000:])


@pytest.fixture
async def maubot(house: House, tmp_path: Path) -> AsyncIterator[Maubot]:
    python = await asyncio.to_thread(environments.mautrix)
    async with aiohttp.ClientSession() as http:
        maubot = Maubot(house, tmp_path / "maubot", http)
        process = await maubot.starts(python)
        try:
            yield maubot
        finally:
            process.kill()
            await process.wait()


async def test_a_bot_answers(maubot: Maubot, cast: Cast, ken_on_nio: Client, shows: Shown) -> None:
    bot, ken = await cast.person("bot"), ken_on_nio
    with shows(LOGIN):
        await maubot.sets_a_bot_up(bot)
    for sealed in (False, True):
        room = await ken.opens_a_room(bot.user_id, sealed=sealed)
        await ken.sees_join(room, bot.user_id)
        asked = await ken.says(room, "!ping")
        pong = await ken.waits_for(room, nio.RoomMessageNotice)
        assert (pong.sender, pong.body, pong.decrypted) == (bot.user_id, "pong", sealed)
    with shows(TALK, REACTION, RECEIPT):
        reaction = await ken.waits_for(room, nio.ReactionEvent)
        assert (reaction.reacts_to, reaction.key, reaction.decrypted) == (asked, "🏓", False)
        await ken.syncs_until(lambda: bot.user_id in ken.nio.rooms[room].read_receipts)
        assert ken.nio.rooms[room].read_receipts[bot.user_id].event_id == asked
