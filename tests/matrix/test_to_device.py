"""Messages from device to device: each delivered once, in order, to those who are meant."""

import asyncio
import secrets
from typing import Any

from tests.cast import V3, Line, Person, a_cast, refused, segment
from tests.house import Workers

Json = dict[str, Any]


async def sends(sender: Person, messages: Json, type_: str = "m.test", txn: str | None = None) -> None:
    path = f"{V3}/sendToDevice/{segment(type_)}/{segment(txn or secrets.token_hex(8))}"
    assert await sender.put(path, {"messages": messages}) == {}


async def gets(receiver: Person, timeout_ms: int = 0) -> list[Json]:
    events: list[Json] = (await receiver.catches_up(timeout_ms=timeout_ms)).get("to_device", {}).get("events", [])
    return events


async def test_a_message_reaches_one_device_or_all(mio: Person, ken: Person) -> None:
    phone = await ken.logs_in_again()
    await sends(mio, {ken.user_id: {phone.device_id: {"n": 1}}})
    await sends(mio, {ken.user_id: {"*": {"n": 2}}})
    await sends(mio, {ken.user_id: {"*": {"n": 3}, phone.device_id: {"n": 4}}})
    await sends(mio, {ken.user_id: {"NOSUCH": {"n": 5}}, "@nobody:elsewhere": {"*": {"n": 6}}})
    assert await gets(phone) == [{"type": "m.test", "sender": mio.user_id, "content": {"n": n}} for n in (1, 2, 4)]
    assert [event["content"]["n"] for event in await gets(ken)] == [2, 3]
    assert await gets(mio) == []


async def test_a_message_wakes_who_waits(mio: Person, ken: Person) -> None:
    await ken.catches_up()
    waiting = asyncio.create_task(gets(ken, timeout_ms=20_000))
    await asyncio.sleep(0.3)
    await sends(mio, {ken.user_id: {"*": {"n": 1}}})
    assert [event["content"]["n"] for event in await asyncio.wait_for(waiting, 5)] == [1]


async def test_what_was_not_confirmed_comes_again_and_what_was_does_not(mio: Person, ken: Person) -> None:
    await ken.catches_up()
    await sends(mio, {ken.user_id: {"*": {"n": 1}}})
    first = await ken.sync(since=ken.since)
    again = await ken.sync(since=ken.since)
    assert first["to_device"] == again["to_device"] != {"events": []}
    after = await ken.sync(since=first["next_batch"])
    assert after.get("to_device", {}).get("events", []) == []
    late = await ken.sync(since=ken.since)
    assert late.get("to_device", {}).get("events", []) == []


async def test_many_messages_all_arrive_in_order(mio: Person, ken: Person) -> None:
    await ken.catches_up()
    for n in range(230):
        await sends(mio, {ken.user_id: {ken.device_id: {"n": n}}})
    seen: list[int] = []
    while len(batch := await gets(ken)) > 0:
        seen += [event["content"]["n"] for event in batch]
    assert seen == list(range(230))


async def test_the_same_transaction_sends_once_over_all_processes(workers: Workers) -> None:
    async for cast in a_cast(workers.base_urls[0]):
        mio, ken = await cast.person("mio"), await cast.person("ken")
        elsewhere = mio.through(cast.line_to(workers.base_urls[1]))
        await ken.catches_up()
        for txn in ("a", "b"):
            tries = [
                sends(who, {ken.user_id: {"*": {"txn": txn}}}, txn=txn) for who in (mio, elsewhere) for _ in range(4)
            ]
            await asyncio.gather(*tries)
        # Another type, another device: other transactions.
        await sends(mio, {ken.user_id: {"*": {"txn": "type"}}}, type_="m.other", txn="a")
        await sends(await mio.logs_in_again(), {ken.user_id: {"*": {"txn": "device"}}}, txn="a")
        assert [event["content"]["txn"] for event in await gets(ken)] == ["a", "b", "type", "device"]


async def test_what_one_process_has_delivered_no_other_does_again(workers: Workers) -> None:
    async for cast in a_cast(workers.base_urls[0]):
        mio, ken = await cast.person("mio"), await cast.person("ken")
        elsewhere = ken.through(cast.line_to(workers.base_urls[1]))
        assert await gets(ken) == []
        assert await gets(ken) == []
        elsewhere.since = ken.since
        for n in range(6):
            await sends(mio, {ken.user_id: {"*": {"n": n}}})
            reader, other = (elsewhere, ken) if n % 3 else (ken, elsewhere)
            assert [event["content"]["n"] for event in await gets(reader, timeout_ms=5_000)] == [n]
            other.since = reader.since


async def _sends_twenty(sender: Person, number: int, receiver: Person, other: Line) -> None:
    for n in range(20):
        through = sender if n % 2 else sender.through(other)
        await sends(through, {receiver.user_id: {"*": {"from": number, "n": n}}})


async def test_many_senders_at_once_lose_and_double_nothing(workers: Workers) -> None:
    async for cast in a_cast(workers.base_urls[0]):
        ken = await cast.person("ken")
        senders = [await cast.person("mio") for _ in range(3)]
        other = cast.line_to(workers.base_urls[1])
        await ken.catches_up()

        sending = asyncio.gather(*(_sends_twenty(sender, n, ken, other) for n, sender in enumerate(senders)))
        seen: list[Json] = []
        reader = ken
        while len(seen) < 60:
            seen += [event["content"] for event in await asyncio.wait_for(gets(reader, timeout_ms=10_000), 20)]
            # The reader goes from process to process as a balancer would send them.
            since = reader.since
            reader = ken.through(other) if reader is ken else ken
            reader.since = since
        await sending
        for number in range(3):
            assert [told["n"] for told in seen if told["from"] == number] == list(range(20))


async def test_messages_of_the_wrong_shape_are_refused(mio: Person, ken: Person) -> None:
    await ken.catches_up()
    path = f"{V3}/sendToDevice/m.test"
    deep: Json = {}
    for _ in range(100):
        deep = {"in": deep}
    for n, wrong in enumerate(
        ([], {"messages": []}, {}, {"messages": {ken.user_id: {"*": "text"}}}, {"messages": {ken.user_id: {"*": deep}}})
    ):
        await refused(mio.put(f"{path}/wrong{n}", wrong), 400)
    await refused(mio.put(f"{path}/{'x' * 300}", {"messages": {}}), 400, "M_INVALID_PARAM")
    await refused(
        mio.call("PUT", f"{path}/utf8", raw=b'{"messages":{"' + ken.user_id.encode() + b'":{"*":{"x":"\xff"}}}}'), 400
    )
    assert await gets(ken) == []
