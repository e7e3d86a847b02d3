"""matrix-commander, a command-line client of its own, talks with somebody on matrix-nio in an encrypted room."""

import asyncio
import json
import secrets
import subprocess
from pathlib import Path

import nio

from tests import environments
from tests.cast import Cast, Person
from tests.clients import EDIT, FILE, LOGIN, REACTION, REDACTION, TALK, Shown
from tests.house import House
from tests.matrix.on_nio import Client


class Commander:
    """One device of a person, at the command line."""

    def __init__(self, house: House, folder: Path) -> None:
        self.command = [str(environments.matrix_commander())]
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

    def event(self, type_: str, content: dict[str, object]) -> list[str]:
        """The words that send such an event."""
        file = self.folder / f"{secrets.token_hex(4)}.json"
        file.write_text(json.dumps({"type": type_, "content": content}))
        return ["--event", str(file)]


async def test_from_the_command_line(
    house: House, cast: Cast, ken_on_nio: Client, tmp_path: Path, shows: Shown
) -> None:
    """Each command is a process of its own, so several things are said in one."""
    mio, ken = await cast.person("mio"), ken_on_nio
    room = await ken.opens_a_room(mio.user_id)
    folder = tmp_path / "commander"
    folder.mkdir()
    commander = Commander(house, folder)

    async def does(*words: str) -> str:
        return await asyncio.to_thread(commander.does, *words)

    with shows(LOGIN):
        await asyncio.to_thread(commander.logs_in, mio, room)
    hello, answer = secrets.token_hex(6), secrets.token_hex(6)
    said = (await does("--room-join", room, "--message", hello, "--print-event-id")).split()[0]
    heard = await ken.sees(room, hello)
    assert heard.decrypted and heard.event_id == said
    await ken.says(room, answer)
    content = secrets.token_bytes(20_000)
    (folder / "picture.bin").write_bytes(content)
    new = {"msgtype": "m.text", "body": "corrected"}
    relation = {"rel_type": "m.replace", "event_id": said}
    edit = {"msgtype": "m.text", "body": "* corrected", "m.new_content": new, "m.relates_to": relation}
    heart = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": "❤"}}
    sent = [*commander.event("m.room.message", edit), *commander.event("m.reaction", heart)]
    told = await does("--file", "picture.bin", *sent, "--listen", "tail", "--tail", "10")
    with shows(TALK):
        assert answer in told
    with shows(FILE):
        file = await ken.waits_for(room, nio.RoomEncryptedFile)
        down = await ken.nio.download(file.url)
        assert isinstance(down, nio.MemoryDownloadResponse), down
        opened = nio.crypto.decrypt_attachment(down.body, file.key["k"], file.hashes["sha256"], file.iv)
        assert (opened, down.body == content) == (content, False)
    with shows(EDIT):
        assert (await ken.sees(room, "* corrected")).source["content"]["m.new_content"] == new
    with shows(REACTION):
        reaction = await ken.waits_for(room, nio.ReactionEvent)
        assert (reaction.reacts_to, reaction.key, reaction.decrypted) == (said, "❤", False)
    with shows(REDACTION):
        assert mio.user_id in await does("--room-redact", room, said, "slip", "--whoami")
        assert (await ken.waits_for(room, nio.RedactionEvent)).redacts == said
