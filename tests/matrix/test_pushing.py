"""Phones are told that something is new, by gateways that learn nothing else, whoever dies in between."""

import asyncio
import secrets
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.cast import V3, Cast, Person, refused, segment
from tests.desk.conftest import Desk
from tests.house import MADOGUCHI, Workers, _environment
from tests.standins.gateway import Gateway

CIPHERTEXT = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgAEnACxyz", "session_id": "s", "device_id": "D"}


class Phones:
    """Two workers, one `work`, and a gateway."""

    def __init__(self, workers: Workers, gateway: Gateway) -> None:
        self.workers = workers
        self.gateway = gateway
        self.work: subprocess.Popen[bytes] | None = None

    def starts_work(self) -> None:
        with (self.workers.directory / "work.log").open("ab") as log:
            self.work = subprocess.Popen(
                [MADOGUCHI, "work"], stdout=log, stderr=log, env=_environment(self.workers.env)
            )

    def kills_work(self) -> None:
        if self.work is not None:
            self.work.kill()
            self.work.wait()
            self.work = None

    def waits(self) -> int:
        return int(self.workers.postgres.psql("SELECT count(*) FROM pushes", "madoguchi"))

    def pushkeys(self) -> str:
        return self.workers.postgres.psql("SELECT pushkey FROM pushers", "madoguchi")

    async def rings(self, person: Person, **data: object) -> str:
        """Sets a pusher for the person's phone; answers its push key."""
        pushkey = secrets.token_hex(8)
        body = {
            "app_id": "jp.example.phone", "app_display_name": "App", "device_display_name": "Phone", "kind": "http",
            "lang": "ja", "pushkey": pushkey, "data": {"url": self.gateway.url} | data,
        }  # fmt: skip
        await person.post(f"{V3}/pushers/set", body)
        return pushkey


async def until(so: Callable[[], bool], within_s: float = 15) -> None:
    """Waits until something is so."""
    ends = time.monotonic() + within_s
    while not so():
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def phone_workers() -> Iterator[tuple[Workers, Gateway]]:
    gateway = Gateway()
    with tempfile.TemporaryDirectory(prefix="mado-", dir="/tmp") as directory:
        workers = Workers(Path(directory), count=2, env={"MADOGUCHI_PUSH_GATEWAYS": gateway.origin})
        try:
            workers.start()
            subprocess.run([MADOGUCHI, "init"], check=True, env=_environment(workers.env), capture_output=True)
            for index in range(2):
                # They learn of the keeper, whom the first start has just made.
                workers.kills(index)
                workers.opens(index)
            yield workers, gateway
        finally:
            workers.stop()


@pytest.fixture
async def phones(phone_workers: tuple[Workers, Gateway]) -> AsyncIterator[Phones]:
    workers, gateway = phone_workers
    phones = Phones(workers, gateway)
    await gateway.opens()
    phones.starts_work()
    try:
        yield phones
    finally:
        gateway.mood = "good"
        phones.kills_work()
        await gateway.closes()
    assert gateway.complaints == []


@pytest.fixture
async def cast(phones: Phones) -> AsyncIterator[Cast]:
    cast = Cast(phones.workers.base_urls[0])
    yield cast
    await cast.leave_the_stage()


async def test_a_phone_is_told_of_a_message_and_of_its_being_read(phones: Phones, mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], name="ひろば")
    full, bare = await phones.rings(ken), await phones.rings(ken, format="event_id_only", extra={"a": 1})
    said = await mio.says(room, "こんばんは")
    told = await phones.gateway.hears(full, lambda told: told.get("event_id") == said)
    assert (told["room_id"], told["type"], told["sender"]) == (room, "m.room.message", mio.user_id)
    assert (told["room_name"], told["content"]["body"]) == ("ひろば", "こんばんは")
    assert told["counts"] == {"unread": 1}
    assert told["prio"] == "high"
    [device] = told["devices"]
    assert device == {
        "app_id": "jp.example.phone", "pushkey": full, "data": {}, "tweaks": {"sound": "default"},
    }  # fmt: skip
    told = await phones.gateway.hears(bare, lambda told: told.get("event_id") == said)
    assert set(told) == {"event_id", "room_id", "counts", "prio", "devices"}
    assert told["devices"] == [
        {"app_id": "jp.example.phone", "pushkey": bare, "data": {"format": "event_id_only", "extra": {"a": 1}}}
    ]
    await ken.post(f"{V3}/rooms/{segment(room)}/receipt/m.read/{segment(said)}")
    told = await phones.gateway.hears(full, lambda told: told["counts"] == {"unread": 0})
    assert "event_id" not in told


async def test_of_what_is_encrypted_nothing_is_told(phones: Phones, mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken], encrypted=True)
    key = await phones.rings(ken)
    said = await mio.sends(room, "m.room.encrypted", CIPHERTEXT)
    told = await phones.gateway.hears(key, lambda told: told.get("event_id") == said)
    assert "content" not in told
    assert CIPHERTEXT["ciphertext"] not in str(told)


async def test_only_what_the_rules_say_and_nobody_of_their_own(phones: Phones, mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    key, own = await phones.rings(ken), await phones.rings(mio)
    await ken.put(f"{V3}/pushrules/global/room/{segment(room)}", {"actions": []})
    await mio.says(room, "まず")
    await mio.sends(room, "m.room.message", {"msgtype": "m.notice", "body": "notice"})
    highlighted = {"msgtype": "m.text", "body": "x", "m.mentions": {"user_ids": [ken.user_id]}}
    said = await mio.sends(room, "m.room.message", highlighted)
    told = await phones.gateway.hears(key, lambda told: told.get("event_id") == said)
    assert told["devices"][0]["tweaks"] == {"sound": "default", "highlight": True}
    assert [each.get("event_id") for each in phones.gateway.of(key)] == [said]
    assert phones.gateway.of(own) == []
    # An invitation is told, before anybody is in.
    other = await mio.opens_a_room()
    await mio.invites(other, ken)
    told = await phones.gateway.hears(key, lambda told: told.get("room_id") == other)
    assert (told["type"], told["user_is_target"], told["membership"]) == ("m.room.member", True, "invite")


async def test_a_gateway_that_was_away_is_told_the_newest_once(phones: Phones, mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    key = await phones.rings(ken)
    phones.gateway.mood = "failing"
    tries = phones.gateway.tries
    for n in range(5):
        last = await mio.says(room, str(n))
    await until(lambda: phones.gateway.tries > tries)
    # Whoever dies: what waits is in the database, and so is how far it has been looked.
    phones.kills_work()
    phones.workers.postgres.psql("UPDATE pushes SET due_at = now()", "madoguchi")
    phones.gateway.mood = "good"
    last = await mio.says(room, "まだいる？")
    phones.starts_work()
    told = await phones.gateway.hears(key, lambda told: told.get("event_id") == last)
    assert told["counts"] == {"unread": 1}
    assert len(phones.gateway.of(key)) <= 2
    await until(lambda: not phones.waits())


async def test_a_key_that_is_rejected_is_not_used_again(phones: Phones, mio: Person, ken: Person) -> None:
    room = await mio.opens_a_room(with_=[ken])
    key = await phones.rings(ken)
    phones.gateway.rejects.add(key)
    await mio.says(room, "a")
    await until(lambda: key not in phones.pushkeys())
    assert (await ken.get(f"{V3}/pushers")) == {"pushers": []}
    assert len(phones.gateway.of(key)) == 1
    # No redirect is followed, and a logged-out phone hears nothing.
    phone = await ken.logs_in_again()
    key = await phones.rings(phone)
    phones.gateway.mood = "moved"
    tries = phones.gateway.tries
    await mio.says(room, "b")
    await until(lambda: phones.gateway.tries > tries)
    phones.gateway.mood = "good"
    await phone.post(f"{V3}/logout")
    assert phones.waits() == 0
    assert phones.gateway.of(key) == []


async def test_only_gateways_that_the_operator_named(phones: Phones, mio: Person) -> None:
    for url in ("https://elsewhere.example/_matrix/push/v1/notify", "http://127.0.0.1:1/_matrix/push/v1/notify"):
        body = {
            "app_id": "a", "app_display_name": "a", "device_display_name": "d", "kind": "http", "lang": "ja",
            "pushkey": "k", "data": {"url": url},
        }  # fmt: skip
        await refused(mio.post(f"{V3}/pushers/set", body), 403, "M_FORBIDDEN")


async def test_of_a_case_nobody_learns_more_than_that_something_happened(phones: Phones) -> None:
    desk = Desk(phones.workers)
    try:
        mio, opened = await desk.arrives()
        key = await phones.rings(mio)
        keeper = await desk.keeper()
        said = await keeper.sends(opened["room_id"], "m.room.encrypted", CIPHERTEXT)
        told = await phones.gateway.hears(key, lambda told: told.get("event_id") == said)
        assert set(told) == {"event_id", "room_id", "counts", "prio", "devices"}
        assert set(told["devices"][0]) == {"app_id", "pushkey", "data"}
    finally:
        await desk.leave_the_stage()
