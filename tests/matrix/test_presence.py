"""Who is there: told to nobody, unless the operator wants it; then to those who share a room, over any worker."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.cast import V3, Cast, Json, Person, refused, segment
from tests.house import Workers


@pytest.fixture(scope="module")
def open_workers() -> Iterator[Workers]:
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as directory:
        workers = Workers(Path(directory), count=2, env={"MADOGUCHI_PRESENCE": "minimal"})
        try:
            workers.start()
            yield workers
        finally:
            workers.stop()


@pytest.fixture
async def seen(open_workers: Workers) -> AsyncIterator[Cast]:
    cast = Cast(open_workers.base_urls[0])
    yield cast
    await cast.leave_the_stage()


async def status(who: Person, of: Person) -> str:
    return str((await who.get(f"{V3}/presence/{segment(of.user_id)}/status"))["presence"])


def told(answer: Json) -> dict[str, str]:
    return {event["sender"]: event["content"]["presence"] for event in answer["presence"]["events"]}


async def until(who: Person, of: Person, state: str) -> None:
    for _ in range(20):
        if told(await who.catches_up(timeout_ms=1_000, set_presence="offline")).get(of.user_id) == state:
            return
    raise AssertionError(f"{of.name} was not seen {state}")


async def test_those_who_share_a_room_see_it(open_workers: Workers, seen: Cast) -> None:
    mio, ken, aoi = [await seen.person(name) for name in ("mio", "ken", "aoi")]
    elsewhere = mio.through(seen.line_to(open_workers.base_urls[1]))
    await mio.opens_a_room(with_=[ken])
    for person in (ken, aoi):
        await person.catches_up(set_presence="offline")
    assert await status(ken, mio) == "offline"
    await elsewhere.sync()
    await until(ken, mio, "online")
    assert await status(ken, mio) == "online"
    # Once more is no news.
    await elsewhere.sync()
    assert told(await ken.catches_up(set_presence="offline")) == {}
    # Somebody new to it is told of those who are there.
    assert told(await ken.sync(set_presence="offline"))[mio.user_id] == "online"
    await mio.put(f"{V3}/presence/{segment(mio.user_id)}/status", {"presence": "unavailable", "status_msg": "ねむい"})
    await until(ken, mio, "unavailable")
    await mio.put(f"{V3}/presence/{segment(mio.user_id)}/status", {"presence": "offline"})
    await until(ken, mio, "offline")
    # Nobody else.
    assert told(await aoi.catches_up(set_presence="offline")) == {}
    assert mio.user_id not in told(await aoi.sync(set_presence="offline"))
    await refused(aoi.get(f"{V3}/presence/{segment(mio.user_id)}/status"), 403, "M_FORBIDDEN")
    await refused(aoi.put(f"{V3}/presence/{segment(mio.user_id)}/status", {"presence": "online"}), 403, "M_FORBIDDEN")


async def test_who_looks_without_being_seen_is_not_seen(seen: Cast) -> None:
    mio, ken = await seen.person("mio"), await seen.person("ken")
    await mio.opens_a_room(with_=[ken])
    await ken.catches_up(set_presence="offline")
    await mio.sync(set_presence="offline")
    await asyncio.sleep(0.3)
    assert await status(ken, mio) == "offline"
    only = {"presence": {"not_senders": [mio.user_id]}}
    await mio.sync()
    assert mio.user_id not in told(await ken.catches_up(timeout_ms=500, filter=only, set_presence="offline"))


async def test_usually_nobody_keeps_it(mio: Person, ken: Person) -> None:
    await mio.opens_a_room(with_=[ken])
    await ken.catches_up()
    await mio.put(f"{V3}/presence/{segment(mio.user_id)}/status", {"presence": "online"})
    await mio.sync()
    assert told(await ken.catches_up(timeout_ms=300)) == {}
    assert await status(ken, mio) == "offline"
