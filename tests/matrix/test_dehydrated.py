"""Dehydrated devices: keys wait for somebody who is not logged in anywhere."""

from typing import Any

from tests.cast import V3, Person, refused, segment
from tests.matrix.signing import Device, a_cross_signed, queried

Json = dict[str, Any]
PATH = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"


class Sleeping(Device):
    """The keys of a dehydrated device."""

    async def is_put(self, mark: str = "sealed") -> Json:
        body = {
            "device_id": self.device_id,
            "device_data": {"algorithm": "org.matrix.msc3814.v2", "device_pickle": mark, "nonce": "n"},
            "initial_device_display_name": "sleeping",
            "device_keys": self.keys | {"dehydrated": True},
            "one_time_keys": self.one_time_keys("A"),
            "fallback_keys": self.one_time_keys("F", fallback=True),
        }
        answer: Json = await self.person.put(PATH, body)
        return answer


async def gets(mio: Person, device_id: str) -> list[Json]:
    """All messages that wait for the device, page by page, as the proposal has it now."""
    events: list[Json] = []
    query: Json = {}
    while True:
        answer = await mio.get(f"{PATH}/{segment(device_id)}/events", **query)
        events += answer["events"]
        if "next_batch" not in answer:
            return events
        query = {"from_": answer["next_batch"]}


async def gets_as_before(mio: Person, device_id: str) -> list[Json]:
    """The same as older clients ask for it."""
    events: list[Json] = []
    token = None
    while True:
        body = {} if token is None else {"next_batch": token}
        answer = await mio.post(f"{PATH}/{segment(device_id)}/events", body)
        if not answer["events"]:
            return events
        events += answer["events"]
        token = answer["next_batch"]


async def test_keys_wait_for_who_is_not_logged_in(mio: Person, ken: Person) -> None:
    await refused(mio.get(PATH), 404, "M_NOT_FOUND")
    await a_cross_signed(mio)
    assert await Sleeping(mio, "SLEEP").is_put() == {"device_id": "SLEEP"}
    told = await mio.get(PATH)
    assert told["device_id"] == "SLEEP" and told["device_data"]["device_pickle"] == "sealed"
    shown = (await queried(ken, mio))["device_keys"][mio.user_id]["SLEEP"]
    assert shown["dehydrated"] is True
    claim = {"one_time_keys": {mio.user_id: {"SLEEP": "signed_curve25519"}}}
    for key in ("A", "F", "F"):
        given = (await ken.post(f"{V3}/keys/claim", claim))["one_time_keys"][mio.user_id]["SLEEP"]
        assert list(given) == [f"signed_curve25519:{key}"]
    for n in range(130):
        body = {"messages": {mio.user_id: {"SLEEP": {"n": n}}}}
        await ken.put(f"{V3}/sendToDevice/m.test/{n}", body)
    for way in (gets, gets_as_before, gets):
        assert [event["content"]["n"] for event in await way(mio, "SLEEP")] == list(range(130))
    assert await mio.delete(PATH) == {"device_id": "SLEEP"}
    await refused(mio.delete(PATH), 404, "M_NOT_FOUND")
    await refused(gets(mio, "SLEEP"), 403, "M_FORBIDDEN")
    assert "SLEEP" not in (await queried(ken, mio))["device_keys"][mio.user_id]


async def test_a_new_one_takes_the_place_of_the_old(mio: Person, ken: Person) -> None:
    await mio.opens_a_room(with_=[ken], encrypted=True)
    await ken.catches_up()
    await Sleeping(mio, "ONE").is_put("first")
    assert mio.user_id in (await ken.catches_up(timeout_ms=5000))["device_lists"]["changed"]
    await Sleeping(mio, "TWO").is_put("second")
    assert (await mio.get(PATH))["device_id"] == "TWO"
    assert set((await queried(ken, mio))["device_keys"][mio.user_id]) == {"TWO"}
    await Sleeping(mio, "TWO").is_put("third")
    assert (await mio.get(PATH))["device_data"]["device_pickle"] == "third"
    assert {device["device_id"] for device in (await mio.get(f"{V3}/devices"))["devices"]} == {mio.device_id, "TWO"}


async def test_it_never_takes_the_place_of_a_device_in_use(mio: Person, ken: Person) -> None:
    await refused(Sleeping(mio, mio.device_id).is_put(), 400, "M_INVALID_PARAM")
    await Sleeping(mio, "SLEEP").is_put()
    await refused(gets(ken, "SLEEP"), 403, "M_FORBIDDEN")
    await refused(ken.get(PATH), 404, "M_NOT_FOUND")
    await refused(gets(mio, mio.device_id), 403, "M_FORBIDDEN")
    await refused(mio.put(PATH, {"device_id": "X", "device_data": {}}), 400)
    assert (await mio.get(PATH))["device_id"] == "SLEEP"
