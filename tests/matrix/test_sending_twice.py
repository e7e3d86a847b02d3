"""The same request again, all at once and to a worker that has just begun; and messages that spoil no others."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.cast import V3, Cast, Person, a_cast, refused, segment
from tests.house import Workers


@pytest.fixture
async def cast(workers: Workers) -> AsyncIterator[Cast]:
    async for cast in a_cast(workers.base_urls[0]):
        yield cast


@pytest.mark.parametrize("both", [False, True])
async def test_a_request_repeated_at_once_sends_once(cast: Cast, workers: Workers, mio: Person, both: bool) -> None:
    """The other worker has never heard of the room: it has to read it before it can judge."""
    room = await mio.opens_a_room()
    hands = [mio.through(cast.line_to(url)) for url in workers.base_urls[0 if both else 1 :]]
    sent = await asyncio.gather(
        *(hand.says(room, "一度だけ", txn="same") for _ in range(6) for hand in hands),
        *(hands[-1].says(room, str(n)) for n in range(12)),
    )
    assert len(set(sent[: 6 * len(hands)])) == 1
    assert len(set(sent)) == 13
    assert len([e for e in await mio.reads_all(room) if e["type"] == "m.room.message"]) == 13


async def test_what_the_database_could_not_take_harms_nobody_else(mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    # Random enough that no index compresses it.
    endless = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(9_000))
    relation = {"rel_type": "m.reference", "event_id": "$" + endless}

    async def poison() -> None:
        await ken.sends(room, "m.room.message", {"msgtype": "m.text", "body": "", "m.relates_to": relation})

    await asyncio.gather(poison(), *(mio.says(room, str(n)) for n in range(20)))
    path = f"{V3}/rooms/{segment(room)}/send/m.room.message/{segment(endless[:900])}"
    await refused(mio.put(path, {"msgtype": "m.text", "body": "x"}), 400, "M_INVALID_PARAM")
    event = await mio.says(room, "取り消す")
    await refused(mio.redacts(room, event, txn=endless[:900]), 400, "M_INVALID_PARAM")
