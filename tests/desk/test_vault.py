"""The vault behind the desk: only the keeper puts keys in, nobody takes any out over HTTP."""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest

from madoguchi.vault import sealing, shares
from tests.cast import DESK, refused
from tests.desk.conftest import Desk

KEY = DESK + "/keeper/vault_key"
KEYS = DESK + "/keeper/vault_keys"


@pytest.fixture
async def empty(desk: Desk) -> AsyncIterator[Desk]:
    """A desk without a vault."""
    desk.workers.postgres.psql("DELETE FROM vault_keys", "madoguchi")
    desk.workers.postgres.psql("DELETE FROM vault", "madoguchi")
    yield desk
    desk.workers.postgres.psql("DELETE FROM vault_keys", "madoguchi")
    desk.workers.postgres.psql("DELETE FROM vault", "madoguchi")


def sealed_key(public_key: bytes, first: int = 0, session_id: str = "s") -> dict[str, Any]:
    secret = sealing.SessionSecret("!r:x", session_id, "c", "e", "exported", first)
    return {
        "room_id": "!r:x", "session_id": session_id, "sender_key": "c", "first_index": first,
        "sealed": base64.b64encode(sealing.seal(public_key, secret)).decode(),
    }  # fmt: skip


async def test_keys_go_in_once_there_is_a_vault(empty: Desk) -> None:
    keeper = await empty.keeper()
    await refused(keeper.get(KEY), 404)
    await refused(keeper.put(KEYS, {"keys": []}), 404)
    words = await empty.run("vault", "init")
    private_key = shares.read(words)
    told = await keeper.get(KEY)
    assert base64.b64decode(told["public_key"]) == sealing.public_of(private_key)
    public_key = sealing.public_of(private_key)
    body = {"key_id": told["key_id"], "keys": [sealed_key(public_key, 3), sealed_key(public_key, 0, "t")]}
    assert await keeper.put(KEYS, body) == {"stored": 2}
    assert await keeper.put(KEYS, body) == {"stored": 2}
    # A copy that reaches further back takes the place of a later one, never the other way round.
    for first in (1, 5):
        await keeper.put(KEYS, {"keys": [sealed_key(public_key, first)]})
    rows = empty.workers.postgres.psql("SELECT session_id, first_index FROM vault_keys ORDER BY 1", "madoguchi")
    assert rows.split() == ["s|1", "t|0"]
    assert "2 session keys sealed" in await empty.run("vault", "status")


async def test_keys_sealed_to_another_vault_are_refused(empty: Desk) -> None:
    keeper = await empty.keeper()
    await empty.run("vault", "init", "--shares", "3", "--threshold", "2")
    other = sealing.public_of(sealing.make_private_key())
    refusal = await refused(keeper.put(KEYS, {"key_id": sealing.key_id(other), "keys": [sealed_key(other)]}), 409)
    assert refusal.body["key_id"] == (await keeper.get(KEY))["key_id"]
    await refused(keeper.put(KEYS, {"keys": [sealed_key(other) | {"sealed": "!"}]}), 400)
    await refused(keeper.put(KEYS, {"keys": [sealed_key(other) | {"first_index": -1}]}), 400)
    await refused(keeper.put(KEYS, {"keys": [sealed_key(other) | {"sealed": "A" * 8000}]}), 400)


async def test_nobody_else_comes_near_the_vault(empty: Desk) -> None:
    ken, (mio, _) = await empty.staff("健"), await empty.arrives()
    await empty.run("vault", "init")
    for person in (await empty.administrator(), ken, mio):
        await refused(person.get(KEY), 403)
        await refused(person.put(KEYS, {"keys": []}), 403)
    await refused(empty.line.call("GET", KEY), 401)


async def test_of_two_who_make_a_vault_at_once_one_does(empty: Desk) -> None:
    told = await asyncio.gather(*(empty.run("vault", "init") for _ in range(3)), return_exceptions=True)
    made = [words for words in told if isinstance(words, str)]
    assert len(made) == 1
    assert all("never overwritten" in told.stderr for told in told if isinstance(told, subprocess.CalledProcessError))
    public_key = base64.b64decode((await (await empty.keeper()).get(KEY))["public_key"])
    assert sealing.public_of(shares.read(made[0])) == public_key
