"""matrix-commander, a command-line client of its own, talks with somebody on matrix-nio in an encrypted room."""

import asyncio
import json
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import nio
import pytest

from tests.cast import Cast, Person
from tests.environments import python_with
from tests.house import House
from tests.matrix.test_nio import Client

PACKAGES = ["matrix-commander==8.0.6", "matrix-nio[e2e]==0.26.0"]


class Commander:
    """One device of a person, at the command line."""

    def __init__(self, house: House, folder: Path) -> None:
        python = python_with("matrix-commander-venv", PACKAGES, sources="atomicwrites,uuid")
        self.command = [str(python.parent / "matrix-commander")]
        self.homeserver = house.base_url
        self.kept = ["--credentials", str(folder / "credentials.json"), "--store", str(folder / "store")]
        self.folder = folder

    def does(self, *words: str, within_s: float = 60) -> str:
        done = subprocess.run(
            [*self.command, *self.kept, "--no-ssl", *words],
            capture_output=True, text=True, timeout=within_s, check=False, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout[-800:], done.stderr[-1500:])
        return done.stdout

    def logs_in(self, person: Person, room: str) -> None:
        self.does(
            "--login", "password", "--homeserver", self.homeserver, "--user-login", person.user_id,
            "--password", person.password, "--device", "commander", "--room-default", room,
        )  # fmt: skip

    def sends(self, type_: str, content: dict[str, object]) -> str:
        """Sends an event; answers its id."""
        file = self.folder / f"{secrets.token_hex(4)}.json"
        file.write_text(json.dumps({"type": type_, "content": content}))
        return self.does("--event", str(file), "--print-event-id").split()[0]


@pytest.fixture
async def ken(house: House, cast: Cast, tmp_path: Path) -> AsyncIterator[Client]:
    client = Client(house.base_url, tmp_path / "ken", "ken")
    await client.logs_in(await cast.person("ken"))
    yield client
    await client.nio.close()


async def test_from_the_command_line(house: House, cast: Cast, ken: Client, tmp_path: Path) -> None:
    mio = await cast.person("mio")
    created = await ken.nio.room_create(
        invite=[mio.user_id],
        preset=nio.RoomPreset.private_chat,
        initial_state=[nio.EnableEncryptionBuilder().as_dict()],
    )
    assert isinstance(created, nio.RoomCreateResponse), created
    room = created.room_id
    folder = tmp_path / "commander"
    folder.mkdir()
    commander = Commander(house, folder)

    async def does(*words: str) -> str:
        return await asyncio.to_thread(commander.does, *words)

    await asyncio.to_thread(commander.logs_in, mio, room)
    await does("--room-join", room)
    for _ in range(3):
        await ken.syncs(300)
    # Both ways.
    hello, answer = secrets.token_hex(6), secrets.token_hex(6)
    said = (await does("--message", hello, "--print-event-id")).split()[0]
    assert (await ken.sees(room, hello)).decrypted
    await ken.says(room, answer)
    heard = await does("--listen", "once")
    assert answer in heard
    # A file, sealed.
    content = secrets.token_bytes(20_000)
    (folder / "picture.bin").write_bytes(content)
    await does("--file", "picture.bin")
    file = await ken.waits_for(room, nio.RoomEncryptedFile)
    down = await ken.nio.download(file.url)
    assert isinstance(down, nio.MemoryDownloadResponse), down
    opened = nio.crypto.decrypt_attachment(down.body, file.key["k"], file.hashes["sha256"], file.iv)
    assert (opened, down.body == content) == (content, False)
    # A correction, a reaction, and all of it taken back.
    new = {"msgtype": "m.text", "body": "corrected"}
    relation = {"rel_type": "m.replace", "event_id": said}
    edit = {"msgtype": "m.text", "body": "* corrected", "m.new_content": new, "m.relates_to": relation}
    await asyncio.to_thread(commander.sends, "m.room.message", edit)
    assert (await ken.sees(room, "* corrected")).source["content"]["m.new_content"] == new
    annotation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": "❤"}}
    await asyncio.to_thread(commander.sends, "m.reaction", annotation)
    assert (await ken.waits_for(room, nio.ReactionEvent)).key == "❤"
    await does("--room-redact", room, said, "slip")
    assert (await ken.waits_for(room, nio.RedactionEvent)).redacts == said
    assert mio.user_id in await does("--whoami")
