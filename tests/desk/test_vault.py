"""The vault behind the desk: only the keeper puts keys in, nobody takes any out over HTTP."""

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from madoguchi.storage import wrapping
from madoguchi.vault import sealing, shares
from tests.cast import DESK, refused
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts

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


async def test_the_key_is_exchanged_whole_and_the_old_words_open_nothing(empty: Desk, tmp_path: Path) -> None:
    keeper, (_, case) = await empty.keeper(), await empty.arrives()
    old = await empty.run("vault", "init", "--shares", "3", "--threshold", "2")
    words = [line for line in old.splitlines() if not line.startswith("#")]
    before = sealing.public_of(shares.read("\n".join(words[:2])))
    damaged = sealed_key(before, session_id="damaged") | {"sealed": base64.b64encode(b"x" * 99).decode()}
    await keeper.put(KEYS, {"keys": [sealed_key(before), damaged]})
    pages, told = tmp_path / "pages", ("--reason", "a holder leaves", "--holder", "Abe", "--holder", "Baba")
    again = ("vault", "rotate", "--shares", "2", "--threshold", "2", *told)
    # Nothing is exchanged without enough words, without the vault's own, or without a place for the new ones.
    stranger = "\n".join(shares.split(sealing.make_private_key(), 2, 2))
    for given, place, why in ((words[0], pages, "2 different shares"), (stranger, pages, "Wrong key"),
                              ("\n".join(words[:2]), tmp_path / "no" / "pages", "No such file")):  # fmt: skip
        with pytest.raises(subprocess.CalledProcessError) as refusal:
            await empty.run(*again, "--sheets", str(place), input_=given)
        assert why in refusal.value.stderr
        assert base64.b64decode((await keeper.get(KEY))["public_key"]) == before
    said = await empty.run(*again, "--sheets", str(pages), "--out", str(tmp_path / "new"), input_="\n".join(words[1:]))
    assert "1 keys sealed anew" in said and "1 sealed keys were damaged" in said
    assert sorted(page.name for page in pages.iterdir()) == ["share-1.html", "share-2.html"]
    new = shares.read((tmp_path / "new").read_text())
    key = await keeper.get(KEY)
    assert base64.b64decode(key["public_key"]) == sealing.public_of(new)
    kept = "encode(k.sealed, 'hex'), encode(w.key, 'hex') FROM vault_keys k JOIN wrapping_keys w ON w.id = wrapping"
    wrapped, around = map(bytes.fromhex, empty.workers.postgres.psql(f"SELECT {kept}", "madoguchi").split("|"))
    assert sealing.unseal(new, wrapping.unwrap(around, wrapped)).session_id == "s"
    # The keeper that still has the old key is told so, and seals to the new one.
    refusal_ = await refused(keeper.put(KEYS, {"key_id": sealing.key_id(before), "keys": []}), 409)
    assert refusal_.body["key_id"] == key["key_id"]
    with pytest.raises(subprocess.CalledProcessError) as wrong:
        await empty.run("vault", "open", case["case_id"], *told, input_="\n".join(words[1:]))
    assert "Wrong key" in wrong.value.stderr
    # An opening with the new words, written down with its holders; and one away from the desk, once.
    given = (tmp_path / "new").read_text()
    opened = ("vault", "open", case["case_id"], "--reason", "exercise", "--holder", "Abe")
    with pytest.raises(subprocess.CalledProcessError) as alone:
        await empty.run(*opened, input_=given)
    assert "2 holders are needed" in alone.value.stderr and alone.value.stdout == ""
    with pytest.raises(subprocess.CalledProcessError) as few:
        await empty.run(*opened, "--out", str(tmp_path / "t"), input_=given)
    assert "2 holders are needed" in few.value.stderr
    await empty.run(*opened, "--holder", "Baba", "--out", str(tmp_path / "t.zip"), input_=given)
    public_key = (await empty.run("vault", "key")).strip()
    assert "Genuine" in await empty.run("vault", "verify", str(tmp_path / "t.zip"), "--key", public_key)
    record = str(tmp_path / "record.json")
    away = ("--holder", "Baba", "--from-copy", record, "--out", str(tmp_path / "away"))
    assert "not in the desk's log yet" in await empty.run(*opened, *away, input_=given)
    assert "1 opened rooms" in await empty.run("vault", "record", record)
    with pytest.raises(subprocess.CalledProcessError) as twice:
        await empty.run("vault", "record", record)
    assert "already" in twice.value.stderr
    question = f"SELECT holders, record IS NULL FROM vault_openings WHERE case_id = '{case['case_id']}' ORDER BY id"
    assert empty.workers.postgres.psql(question, "madoguchi").split() == ["{Abe,Baba}|t", "{Abe,Baba}|f"]


async def test_whom_the_keeper_gave_the_history_stands_in_the_log(desk: Desk) -> None:
    ken, keeper = await desk.staff("健"), await desk.keeper()
    _, opened = await desk.arrives()
    await accepts(ken, opened["case_id"])
    given = {"room_id": opened["room_id"], "user_id": ken.user_id, "sessions": 3, "devices": 1}
    await keeper.post(f"{DESK}/keeper/history_given", given)
    await refused(keeper.post(f"{DESK}/keeper/history_given", given | {"room_id": "!no:such"}), 404, "M_NOT_FOUND")
    await refused(keeper.post(f"{DESK}/keeper/history_given", given | {"user_id": "@no:such"}), 404, "M_NOT_FOUND")
    newest = (await (await desk.administrator()).get(f"{DESK}/audit", limit=1))["entries"][0]
    assert (newest["act"], newest["actor"], newest["subject"]) == ("history.given", keeper.user_id, opened["case_id"])
    assert json.loads(newest["detail"]) == {"to": ken.user_id, "room": "conversation", "sessions": 3, "devices": 1}
