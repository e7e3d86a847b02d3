"""Disclosures: whoever asks never approves, each refusal beside the permission, and the words stay the holders'."""

import base64
import json
import secrets
import subprocess

import pytest
from nacl.public import PublicKey, SealedBox

from madoguchi.work import retention
from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_audit import newest
from tests.desk.test_cases import accepts
from tests.desk.test_jobs import a_context
from tests.desk.test_moves import a_channel, on_line, ticket

MINE = f"{DESK}/cases/mine/disclosure"
LIST = f"{DESK}/disclosures"


async def seen(who: Person, case_id: str) -> Json:
    """The newest request of a case, as somebody sees it."""
    found: list[Json] = (await who.get(LIST))["disclosures"]
    return next(each for each in found if each["case_id"] == case_id)


async def acts_of(desk: Desk, case_id: str) -> list[tuple[str, str, Json]]:
    """(act, actor, detail), the newest first."""
    entries = [each for each in await newest(await desk.administrator()) if each["subject"] == case_id]
    return [(each["act"], each["actor"], json.loads(each["detail"] or "{}")) for each in entries]


async def fails(desk: Desk, *words: str, input_: str | None = None) -> str:
    """What a command says that is refused."""
    with pytest.raises(subprocess.CalledProcessError) as told:
        await desk.run(*words, input_=input_)
    return str(told.value.stderr)


def psql(desk: Desk, statement: str) -> str:
    return desk.workers.postgres.psql(statement, "madoguchi")


async def test_a_person_asks_for_their_own_and_reads_the_answer(desk: Desk) -> None:
    admin, lead, ken = await desk.administrator(), await desk.staff("主", "supervisor"), await desk.staff("健")
    (mio, opened), (aoi, other) = await desk.arrives(), await desk.arrives()
    case_id = opened["case_id"]
    assert await mio.get(MINE) == {"disclosure": None}
    await refused(ken.post(MINE), 404)
    asked = (await mio.post(MINE))["disclosure"]
    assert (asked["state"], asked["handover"], asked["refusal"]) == ("asked", None, None)
    assert await mio.post(MINE) == await mio.get(MINE) == {"disclosure": asked}, "asking twice is asking once"
    assert await aoi.get(MINE) == {"disclosure": None}
    request = await seen(admin, case_id)
    assert (request["kind"], request["may_decide"], request["may_look"]) == ("own", True, False)
    path = f"{LIST}/{request['id']}"
    # Counsellors and supervisors neither see nor decide it.
    for who in (lead, ken):
        assert not [each for each in (await who.get(LIST))["disclosures"] if each["case_id"] == case_id]
    await refused(lead.post(path + "/approve", {"handover": "in_person"}), 404)
    await refused(ken.post(path + "/refuse", {"refusal": "not_kept"}), 404)
    await refused(admin.post(path + "/approve"), 400, "M_INVALID_PARAM")
    await refused(admin.post(path + "/refuse", {"refusal": "withdrawn"}), 400, "M_INVALID_PARAM")
    await refused(admin.post(path + "/done"), 409)
    await admin.post(path + "/approve", {"handover": "in_conversation"})
    told = (await mio.get(MINE))["disclosure"]
    assert (told["state"], told["handover"]) == ("approved", "in_conversation")
    await refused(admin.post(path + "/refuse", {"refusal": "not_kept"}), 409)
    await refused(admin.post(path + "/look"), 409)
    # Whom nobody knows to be the person is told so, and may ask again.
    await aoi.post(MINE)
    await admin.post(f"{LIST}/{(await seen(admin, other['case_id']))['id']}/refuse", {"refusal": "not_the_person"})
    answer = (await aoi.get(MINE))["disclosure"]
    assert (answer["state"], answer["refusal"]) == ("refused", "not_the_person")
    assert (await aoi.post(MINE))["disclosure"]["state"] == "asked"
    acts = await acts_of(desk, case_id)
    detail = {"disclosure": request["id"], "kind": "own"}
    assert acts[:2] == [
        ("disclosure.approved", admin.user_id, detail | {"asked_by": mio.user_id, "handover": "in_conversation"}),
        ("disclosure.asked", mio.user_id, detail),
    ]


async def test_a_court_takes_two_administrators_and_holds_the_case(desk: Desk) -> None:
    admin, other = await desk.administrator(), await desk.staff("二", "administrator")
    lead = await desk.staff("主", "supervisor")
    _, opened = await desk.arrives()
    case_id = opened["case_id"]
    ask = f"{DESK}/cases/{case_id}/court_request"
    body = {"reference": "令和8年(ワ)12", "reason": "文書提出命令"}
    await refused(lead.post(ask, body), 403)
    await refused(admin.post(f"{DESK}/cases/nosuchcase/court_request", body), 404)
    for wrong in ({"reference": "x\ny"}, {"reference": " "}, {"reason": " "}, {"reason": "x" * 301}):
        await refused(admin.post(ask, body | wrong), 400)
    await admin.post(ask, body | {"side_room": True})
    request = await seen(admin, case_id)
    assert (request["state"], request["side_room"], request["may_decide"], request["may_withdraw"]) == (
        "asked", True, False, True,
    )  # fmt: skip
    assert f"{case_id}\tcourt\t{body['reference']}" in await desk.run("case", "holds")
    path = f"{LIST}/{request['id']}"
    await refused(admin.post(path + "/approve"), 409)
    await refused(lead.post(path + "/approve"), 404)
    await refused(other.post(path + "/approve", {"handover": "in_person"}), 400)
    await other.post(path + "/approve")
    after = await seen(other, case_id)
    assert (after["state"], after["decided_by"]["id"], after["asked_by"]["name"]) == ("approved", other.user_id, "管理")
    # The same file asks again: the hold stands already. What is no longer wanted is withdrawn by whoever asked.
    await other.post(ask, body)
    again = f"{LIST}/{(await seen(other, case_id))['id']}"
    await refused(other.post(again + "/refuse", {"refusal": "no_grounds"}), 409)
    await other.post(again + "/refuse", {"refusal": "withdrawn"})
    await refused(admin.post(again + "/approve"), 409)
    psql(desk, f"UPDATE cases SET state = 'purged' WHERE id = '{case_id}'")
    await refused(admin.post(ask, body), 409)


async def test_who_somebody_is_whose_life_is_at_risk(desk: Desk) -> None:
    lead, ken, sato = await desk.staff("主", "supervisor"), await desk.staff("健"), await desk.staff("佐藤")
    admin = await desk.administrator()
    mio, opened = await desk.arrives()
    case_id = opened["case_id"]
    await accepts(ken, case_id)
    await ken.put(f"{DESK}/cases/{case_id}/record", {"age": "13_15", "prefecture": 12, "topics": ["suicidal"]})
    ask, body = f"{DESK}/cases/{case_id}/identity_request", {"reason": "今夜の危険", "hours": 2}
    await refused(sato.post(ask, body), 403)
    for wrong in ({"hours": 0}, {"hours": 25}, {"reason": ""}, {"reason": "  "}):
        await refused(ken.post(ask, body | wrong), 400)
    await ken.post(ask, body)
    await refused(lead.post(ask, body), 409)
    request = await seen(ken, case_id)
    assert (request["kind"], request["may_decide"], request["may_look"]) == ("life_at_risk", False, False)
    path = f"{LIST}/{request['id']}"
    # Nobody sees anything before a second person has approved, and that is never who asked.
    for who in (ken, lead, admin):
        await refused(who.post(path + "/look"), 403 if who is not ken else 409)
    await refused(ken.post(path + "/approve"), 403)
    await refused(sato.post(path + "/refuse", {"refusal": "no_grounds"}), 404)
    assert psql(desk, f"SELECT count(*) FROM disclosure_sightings WHERE disclosure_id = '{request['id']}'") == "0"
    await lead.post(path + "/approve")
    await refused(lead.post(path + "/approve"), 409)
    known = await ken.post(path + "/look")
    assert (known["user_id"], known["channel"], known["names"], known["apps"]) == (mio.user_id, "web", [], [])
    assert known["known"] == {
        "age": "13_15", "school": "unknown", "grade": None, "gender": "not_given", "prefecture": 12,
    }  # fmt: skip
    assert "topics" not in json.dumps(known) and "suicidal" not in json.dumps(known)
    await refused(admin.post(path + "/look"), 403)
    await refused(sato.post(path + "/look"), 404)
    # From where their device calls is kept from now on; of nobody else's.
    await mio.through(lead.line).get(f"{DESK}/cases/mine")
    assert [each["address"] for each in (await lead.post(path + "/look"))["addresses"]] == ["127.0.0.1"]
    acts = [each for each in await acts_of(desk, case_id) if each[0].startswith("disclosure.")]
    assert [(act, actor) for act, actor, _ in acts] == [
        ("disclosure.looked", lead.user_id), ("disclosure.looked", ken.user_id),
        ("disclosure.approved", lead.user_id), ("disclosure.asked", ken.user_id),
    ]  # fmt: skip
    assert acts[-1][2] == {"disclosure": request["id"], "kind": "life_at_risk", "reason": "今夜の危険", "hours": 2}
    # It is over by itself, and the addresses go.
    ends = "UPDATE disclosures SET ends_at = now() - interval '1 second' WHERE id = '{}'"
    psql(desk, ends.format(request["id"]))
    for who in (ken, lead):
        await refused(who.post(path + "/look"), 409)
    assert (await seen(ken, case_id))["state"] == "expired"
    async with a_context(desk) as ctx, ctx.db.transaction() as tx:
        await retention.forget_sightings(ctx, tx, {})
    assert psql(desk, f"SELECT count(*) FROM disclosure_sightings WHERE disclosure_id = '{request['id']}'") == "0"
    # Asked anew, and ended by one of the two.
    await lead.post(ask, body)
    again = f"{LIST}/{(await seen(lead, case_id))['id']}"
    await refused(lead.post(again + "/approve"), 409)
    await admin.post(again + "/approve")
    assert (await admin.post(again + "/look"))["user_id"] == mio.user_id
    await refused(ken.post(again + "/done"), 404)
    await lead.post(again + "/done")
    await refused(admin.post(again + "/look"), 409)


async def test_the_holders_open_what_was_approved_and_nothing_else(desk: Desk) -> None:
    admin, ken = await desk.administrator(), await desk.staff("健")
    mio, opened = await desk.arrives()
    case_id = opened["case_id"]
    await accepts(ken, case_id)
    await ken.post(f"{DESK}/cases/{case_id}/side_room")
    psql(desk, "DELETE FROM vault_keys; DELETE FROM vault")
    shares = await desk.run("vault", "init", "--shares", "3", "--threshold", "2")
    await mio.post(MINE)
    own = (await seen(admin, case_id))["id"]
    holders = ("--holder", "Abe", "--holder", "Baba")

    def opening(disclosure: str) -> tuple[str, ...]:
        return ("vault", "open", "--disclosure", disclosure, *holders)

    assert "not approved" in await fails(desk, *opening(own), input_=shares)
    assert "no disclosure nosuch" in await fails(desk, *opening("nosuch"), input_=shares)
    assert "it says itself" in await fails(desk, *opening(own), "--reason", "r", input_=shares)
    assert "which case" in await fails(desk, *opening(own), case_id, input_=shares)
    assert own in await desk.run("case", "disclosure", "list")
    await admin.post(f"{LIST}/{own}/approve", {"handover": "in_person"})
    # A person's own is their conversation alone; a court's may have the staff's room with it.
    told = await desk.run(*opening(own), input_=shares)
    assert told.count("# Case") == 1 and "(the staff's own)" not in told
    court = (await desk.run(
        "case", "disclosure", "court", case_id, "--reference", "R8-1", "--reason", "命令", "--with-side-room"
    )).partition(":")[0]  # fmt: skip
    assert "Somebody else" in await fails(desk, "case", "disclosure", "approve", court)
    await admin.post(f"{LIST}/{court}/approve")
    assert "(the staff's own)" in await desk.run(*opening(court), input_=shares)
    assert (await mio.get(MINE))["disclosure"]["state"] == "opened"
    by_court, by_own = [detail for act, _, detail in await acts_of(desk, case_id) if act == "vault.opened"][1:]
    assert (by_court["disclosure"], by_own["disclosure"]) == (court, own)
    assert by_own["reason"].startswith(f"disclosure {own} (own), asked by {mio.user_id}, approved by {admin.user_id}")
    # Once more within its time, as when the files did not arrive; never after it.
    await desk.run(*opening(own), input_=shares)
    await desk.run("case", "disclosure", "done", own)
    assert "is done" in await fails(desk, *opening(own), input_=shares)
    assert (await mio.get(MINE))["disclosure"]["state"] == "done"
    psql(desk, f"UPDATE disclosures SET ends_at = now() WHERE id = '{court}'")
    assert "is over" in await fails(desk, *opening(court), input_=shares)
    psql(desk, f"UPDATE disclosures SET ends_at = now() + interval '1 hour' WHERE id = '{court}'")
    psql(desk, f"UPDATE cases SET state = 'purged' WHERE id = '{case_id}'")
    assert "is purged" in await fails(desk, *opening(court), input_=shares)
    psql(desk, "DELETE FROM vault_keys; DELETE FROM vault")


async def test_by_what_an_app_knows_somebody_says_the_bridges_key_alone(desk: Desk) -> None:
    lead, admin, channel_id = await desk.staff("主", "supervisor"), await desk.administrator(), a_channel(desk)
    ghost, opened = await on_line(desk, channel_id)
    case_id = opened["case_id"]
    public_key = (desk.workers.directory / "data" / "keys" / "bridges.pub").read_bytes()
    box = SealedBox(PublicKey(base64.b64decode(public_key)))
    known = box.encrypt(b"U0123456789").hex()
    psql(
        desk,
        "INSERT INTO bridge_people (person, channel_id, sealed_address, user_id) VALUES "
        f"('{secrets.token_hex(8)}', '{channel_id}', '\\x{known}', '{ghost.user_id}')",
    )
    await lead.post(f"{DESK}/cases/{case_id}/identity_request", {"reason": "今夜の危険", "hours": 1})
    request = (await seen(lead, case_id))["id"]
    assert "is asked" in await fails(desk, "case", "disclosure", "app-id", request)
    await admin.post(f"{LIST}/{request}/approve")
    look = await lead.post(f"{LIST}/{request}/look")
    assert (look["apps"], look["channel"], look["user_id"]) == (["line"], "line", ghost.user_id)
    assert "U0123456789" not in json.dumps(look)
    assert await desk.run("case", "disclosure", "app-id", request) == "line\tU0123456789\n"
    act, actor, detail = (await acts_of(desk, case_id))[0]
    assert (act, actor.partition(":")[0], detail["app_ids"]) == ("disclosure.looked", "operator", 1)
    # Who has moved is known by the app all the same.
    token, _ = await ticket(ghost)
    await desk.line.call("POST", DESK + "/move", {"token": token})
    assert "U0123456789" in await desk.run("case", "disclosure", "app-id", request)
    await admin.post(f"{LIST}/{request}/done")
    assert "is done" in await fails(desk, "case", "disclosure", "app-id", request)


async def test_what_nobody_opens_in_time_is_over(desk: Desk) -> None:
    admin, (mio, opened) = await desk.administrator(), await desk.arrives()
    made = (await desk.run("case", "disclosure", "own", opened["case_id"])).partition(":")[0]
    assert await mio.get(MINE) == {"disclosure": None}, "what came by letter is answered by letter"
    psql(desk, f"UPDATE disclosures SET ends_at = now() WHERE id = '{made}'")
    assert made not in await desk.run("case", "disclosure", "list")
    assert made in await desk.run("case", "disclosure", "list", "--all")
    await refused(admin.post(f"{LIST}/{made}/approve", {"handover": "in_person"}), 409)
