"""The keeper's machine is lost, and the keeper comes back: what stories and pages do for that alike."""

import asyncio
import shutil
from pathlib import Path

import asyncpg

from madoguchi.keeper import published
from tests.house import House

PHRASE = "a phrase that nobody guesses\n"
# On a machine that does much else.
PATIENCE_S = 120.0


async def prepares(house: House, key: Path, room_id: str) -> None:
    """Makes a recovery key, and waits until a key of the room is kept for it."""
    connection = await asyncpg.connect(house.database_url)
    try:
        before = await connection.fetchval(
            "SELECT coalesce(max(version), 0) FROM key_backups WHERE user_id ~ '^@keeper:'"
        )
        made = await asyncio.to_thread(house.run, "keeper", "prepare", "--anew", "--key", str(key), input_=PHRASE)
        assert made.returncode == 0 and key.stat().st_mode & 0o077 == 0, made.stderr
        question = "SELECT true FROM key_backup_sessions WHERE user_id ~ '^@keeper:' AND room_id = $1 AND version > $2"
        async with asyncio.timeout(PATIENCE_S):
            while not await connection.fetchval(question, room_id, before):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    finally:
        await connection.close()


def loses(house: House) -> None:
    """The keeper's process, and everything that it had on its disk."""
    keeper = house.process("keeper")
    keeper.suspend()
    shutil.rmtree(house.data / "keeper")
    keeper.kill()


async def recovers(house: House, *words: str, input_: str = PHRASE) -> str:
    """`madoguchi keeper recover …`, and waits until the keeper is back; gives what the command said."""
    told = await asyncio.to_thread(house.run, "keeper", "recover", *words, input_=input_)
    assert told.returncode == 0, told.stderr
    async with asyncio.timeout(PATIENCE_S):
        while not published(house.data).exists():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return told.stdout
