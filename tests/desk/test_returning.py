"""Coming back by the return phrase, over HTTP: what the phrase is made into opens the case, and nothing else does."""

import asyncio
import secrets

from tests.cast import DESK, V3, Json, Person, Refusal, refused
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts


def a_key() -> Json:
    return {"id": secrets.token_urlsafe(16), "secret": secrets.token_urlsafe(32)}


async def comes_back(desk: Desk, key: Json) -> Person:
    opened = await desk.some_line().call("POST", DESK + "/return", key)
    return Person(desk.some_line(), "young person", "", opened)


async def test_whoever_has_the_phrase_comes_back_on_another_device(desk: Desk) -> None:
    ken = await desk.staff("健")
    mio, opened = await desk.arrives()
    key = a_key()
    assert await mio.put(DESK + "/return_key", key) == {"kept": True}
    again = await comes_back(desk, key)
    assert again.user_id == mio.user_id and again.device_id != mio.device_id
    assert (await again.get(DESK + "/cases/mine"))["case_id"] == opened["case_id"]
    # Both phones go on.
    await accepts(ken, opened["case_id"])
    for phone in (mio, again):
        assert (await phone.get(DESK + "/cases/mine"))["counsellor"]["name"] == "健"
    # After the end it opens what was said, and from there a new case.
    await ken.post(f"{DESK}/cases/{opened['case_id']}/close")
    later = await comes_back(desk, key)
    assert (await later.get(DESK + "/cases/mine"))["state"] == "closed"
    assert (await later.post(DESK + "/cases", {"channel": "web"}))["case_id"] != opened["case_id"]


async def test_wrong_old_and_withdrawn_phrases_open_nothing(desk: Desk) -> None:
    mio, _ = await desk.arrives()
    first, second = a_key(), a_key()
    await mio.put(DESK + "/return_key", first)
    for wrong in (a_key(), first | {"secret": a_key()["secret"]}, a_key() | {"secret": first["secret"]}):
        told = await refused(desk.line.call("POST", DESK + "/return", wrong), 403, "M_FORBIDDEN")
        # It does not tell which half was wrong.
        assert told.body["error"] == "These words open nothing here."
    await mio.put(DESK + "/return_key", second)
    await refused(desk.line.call("POST", DESK + "/return", first), 403)
    await comes_back(desk, second)
    assert await mio.delete(DESK + "/return_key") == {"kept": False}
    await mio.delete(DESK + "/return_key")
    await refused(desk.line.call("POST", DESK + "/return", second), 403)
    for nonsense in ({"id": "x", "secret": "y"}, {"id": first["id"]}, first | {"secret": "あ" * 43}, {}):
        await refused(desk.line.call("POST", DESK + "/return", nonsense), 400)


async def test_the_database_knows_no_secret_and_nobody_takes_anothers_place(desk: Desk) -> None:
    (mio, _), (aoi, _) = await desk.arrives(), await desk.arrives()
    key = a_key()
    await mio.put(DESK + "/return_key", key)
    assert key["secret"] not in desk.workers.postgres.psql("SELECT * FROM return_keys", "madoguchi")
    await refused(aoi.put(DESK + "/return_key", key | {"secret": a_key()["secret"]}), 409, "M_CONFLICT")
    assert (await comes_back(desk, key)).user_id == mio.user_id


async def test_of_many_who_set_one_at_once_the_last_holds(desk: Desk) -> None:
    mio, _ = await desk.arrives()
    keys = [a_key() for _ in range(6)]
    await asyncio.gather(*(mio.put(DESK + "/return_key", key) for key in keys), return_exceptions=True)
    opening = [key for key in keys if await opens(desk, key)]
    assert len(opening) == 1


async def opens(desk: Desk, key: Json) -> bool:
    try:
        await comes_back(desk, key)
    except Refusal:
        return False
    return True


async def test_after_the_purge_it_says_so(desk: Desk) -> None:
    mio, opened = await desk.arrives()
    key = a_key()
    await mio.put(DESK + "/return_key", key)
    await mio.post(DESK + "/cases/mine/leave")
    await desk.run("case", "purge", opened["case_id"], "--reason", "x", "--yes")
    told = await refused(desk.line.call("POST", DESK + "/return", key), 404, "M_NOT_FOUND")
    assert "destroyed" in told.body["error"]


async def test_whoever_has_a_password_of_their_own_needs_none(desk: Desk) -> None:
    ken = await desk.person("ken")
    await refused(ken.put(DESK + "/return_key", a_key()), 403)
    await ken.get(f"{V3}/account/whoami")
