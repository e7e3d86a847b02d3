"""The memory in front of the table of sessions, and the store of files: what must hold whatever comes in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from madoguchi import errors
from madoguchi.core.chat.media import FolderStore, is_media_id, new_media_id
from madoguchi.core.chat.sessions import Session, Sessions, digest_of
from madoguchi.storage import accounts
from madoguchi.storage.accounts import StoredSession


class Clock:
    def __init__(self) -> None:
        self.at = 1_000_000

    def ms(self) -> int:
        return self.at


class Table:
    """The database as far as it is asked here. `reading` lets a test do something while a row is on its way."""

    def __init__(self) -> None:
        self.rows: dict[bytes, StoredSession] = {}
        self.asked = 0
        self.reading: Any = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Table"]:
        self.asked += 1
        yield self


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    table = Table()

    async def get_session(tx: Table, digest: bytes) -> StoredSession | None:
        found = tx.rows.get(digest)
        if tx.reading is not None:
            await tx.reading()
        return found

    monkeypatch.setattr(accounts, "get_session", get_session)
    return table


@pytest.fixture
def sessions(table: Table) -> Sessions:
    return Sessions(table, Clock())  # type: ignore[arg-type]


def stored(user_id: str = "@mio:x", **more: Any) -> StoredSession:
    facts: dict[str, Any] = {
        "token_id": 1, "user_id": user_id, "device_id": "D", "expires_at": None, "succeeds": None, "kind": "user",
        "appservice": None, "locked_at": None, "suspended_at": None,
    }  # fmt: skip
    return StoredSession(**(facts | more))


def put(table: Table, token: str, row: StoredSession) -> None:

    table.rows[digest_of(token)] = row


async def test_a_known_token_waits_for_nothing(sessions: Sessions, table: Table) -> None:
    put(table, "t", stored())
    assert await sessions.get("t") == Session("@mio:x", "D", 1)
    assert table.asked == 1
    asking = sessions.get("t")
    with pytest.raises(StopIteration) as answered:
        asking.send(None)  # the first step is the last: nothing was awaited
    assert answered.value.value == Session("@mio:x", "D", 1)
    assert table.asked == 1


async def test_what_was_read_before_a_change_is_not_kept(sessions: Sessions, table: Table) -> None:
    put(table, "t", stored())

    async def logs_out_meanwhile() -> None:
        table.rows.clear()
        sessions.forget("@mio:x")

    table.reading = logs_out_meanwhile
    assert await sessions.get("t") is not None
    table.reading = None
    assert await sessions.get("t") is None


async def test_a_change_under_way_is_met_by_the_next_request(sessions: Sessions, table: Table) -> None:
    put(table, "t", stored())
    await sessions.get("t")
    sessions.unsettle("@mio:x")
    assert await sessions.get("t") is not None  # the change has not been committed yet
    table.rows.clear()
    assert await sessions.get("t") is None


async def test_others_are_not_forgotten(sessions: Sessions, table: Table) -> None:
    put(table, "t", stored())
    put(table, "u", stored("@ken:x", token_id=2))
    await sessions.get("t")
    await sessions.get("u")
    sessions.forget("@mio:x")
    asked = table.asked
    await sessions.get("u")
    assert table.asked == asked
    await sessions.get("t")
    assert table.asked == asked + 1


async def test_expiry_and_locks_are_soft_logouts(sessions: Sessions, table: Table) -> None:
    put(table, "old", stored(expires_at=1_000_000))
    put(table, "locked", stored("@ken:x", token_id=2, locked_at=5))
    put(table, "soon", stored(token_id=3, expires_at=1_000_500))
    with pytest.raises(errors.UnknownToken) as told:
        await sessions.get("old")
    assert told.value.fields == {"soft_logout": True}
    with pytest.raises(errors.UserLocked):
        await sessions.get("locked")
    assert await sessions.get_even_locked("locked") is not None
    assert await sessions.get("soon") is not None
    sessions._clock.at += 500  # type: ignore[attr-defined]
    with pytest.raises(errors.UnknownToken):
        await sessions.get("soon")


async def test_nobody_records_where_young_people_write_from(sessions: Sessions) -> None:
    sessions.seen(Session("@y:x", "D", 1, kind="youth"), "192.0.2.1", "Phone/1.0")
    sessions.seen(Session("@s:x", "D", 2, kind="staff"), "192.0.2.2", "Desk/1.0")
    young, staff = sessions._sightings.values()
    assert (young.is_kept, young.agent) == (False, None)
    assert (staff.is_kept, staff.address, staff.agent) == (True, "192.0.2.2", "Desk/1.0")


# -- files -------------------------------------------------------------------------------------------------------------
async def pieces(*parts: bytes, fail: bool = False) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if fail:
        raise ConnectionResetError


async def test_a_file_comes_back_whole_or_in_part(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    media_id = new_media_id()
    content = bytes(range(256)) * 3000
    put = await store.put(media_id, pieces(content[:5], content[5:]), 10_000_000)
    assert put.size == len(content)
    assert b"".join([piece async for piece in store.read(media_id, 0, len(content))]) == content
    assert b"".join([piece async for piece in store.read(media_id, 1000, 7)]) == content[1000:1007]
    await store.delete(media_id)
    await store.delete(media_id)
    with pytest.raises(errors.NotFound):
        await anext(store.read(media_id, 0, 1))


async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with pytest.raises(ConnectionResetError):
        await store.put(new_media_id(), pieces(b"x" * 400_000, fail=True), 10_000_000)
    with pytest.raises(errors.TooLarge):
        await store.put(new_media_id(), pieces(b"x" * 400_000, b"y"), 400_000)

    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    putting = asyncio.create_task(store.put(new_media_id(), never(), 100))
    await asyncio.sleep(0.1)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("media_id", ["", ".", "..", "a/b", "a\\b", "a b", "a\0", "ä", "x" * 129])
async def test_no_path_is_made_of_a_media_id(tmp_path: Path, media_id: str) -> None:
    assert not is_media_id(media_id)
    with pytest.raises(errors.NotFound):
        await anext(FolderStore(tmp_path).read(media_id, 0, 1))
