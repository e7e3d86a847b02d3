"""The nothing-lost ledger: what came in is what is shown, and all else by name; what is nowhere is seen at once."""

from madoguchi.storage.bridging import Ledger, count_vanished
from madoguchi_bridges import store
from tests.bridges.parts import CHANNEL, Bench


async def ledger(bench: Bench) -> Ledger:
    (found,) = await bench.ledgers()
    return found


async def test_every_event_stands_in_one_column(bench: Bench) -> None:
    mio, aoi = bench.line.person(), bench.line.person()
    assert await bench.ledgers() == []
    event = await mio.says("眠れない")
    await bench.line.deliver(event, redelivery=True)
    await bench.line.deliver(event, event)
    group = {"type": "group", "groupId": "C" + "1" * 32, "userId": mio.user_id}
    await bench.line.deliver(
        mio.event("telepathy"), mio.said("続き"), aoi.event("unfollow"), mio.said("みんな", source=group), check=False
    )
    found = await ledger(bench)
    assert (found.received, found.repeated, found.waiting, found.missing) == (8, 3, 5, 0)
    assert found.waiting_since is not None
    await bench.works()
    await mio.does("unsend", unsend={"messageId": event["message"]["id"]})
    await bench.works()
    await bench.sets("notice_only", None)
    await aoi.says("つらい")
    await bench.works()
    assert await ledger(bench) == Ledger(
        channel_id=CHANNEL, received=10, repeated=3, shown=3, placeholders=1, answered=1, noted=1, apart=1, waiting=0,
        destroyed=0, waiting_since=None,
    )  # fmt: skip


async def test_what_is_forgotten_after_a_month_stays_counted(bench: Bench) -> None:
    mio = bench.line.person()
    for text in ("一", "二"):
        await mio.says(text)
        await bench.works()
    before = await ledger(bench)
    await bench.pool.execute("UPDATE bridge_intake SET done_at = 1 WHERE seq = 1")
    for _ in range(2):
        await store.delete_old(bench.pool, before=2)
        assert await ledger(bench) == before
    assert await bench.pool.fetchval("SELECT count(*) FROM bridge_intake") == 1


async def test_what_gets_lost_is_missing(bench: Bench) -> None:
    await bench.line.person().says("眠れない")
    await bench.pool.execute("DELETE FROM bridge_intake")
    assert (await ledger(bench)).missing == 1


async def test_items_that_are_in_no_room_have_vanished(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.says("眠れない")
    await bench.works()
    async with bench.pool.acquire() as db, db.transaction():
        # The rooms of this bench are of paper: no event of theirs is in the database.
        assert await count_vanished(db) == 1  # type: ignore[arg-type]


async def test_what_the_door_refused_did_not_come_in(bench: Bench) -> None:
    raw = bench.line.body([bench.line.person().said("眠れない")])
    await bench.line.deliver_raw(raw, signature="wrong")
    assert await bench.ledgers() == []
