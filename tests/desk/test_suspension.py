"""Suspending a channel: nobody is cut off, and what is dangerous takes two."""

import json
from datetime import datetime, timedelta
from subprocess import CalledProcessError

import pytest

from madoguchi.core.desk.hours import TOKYO
from madoguchi.storage import checks
from madoguchi.work import channels
from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_audit import newest
from tests.desk.test_channels import ghost
from tests.desk.test_jobs import SetClock, a_context
from tests.desk.test_moves import a_channel, errands, on_line, tells, ticket

HOUR_MS = 3_600_000


async def seen(desk: Desk, channel_id: str) -> Json:
    found: Json = await (await desk.administrator()).get(f"{DESK}/channels/{channel_id}/suspension")
    return found


async def switches(who: Person, channel_id: str, mode: str, **more: object) -> Json:
    answer: Json = await who.put(f"{DESK}/channels/{channel_id}/mode", {"mode": mode, "reason": "訓練", **more})
    return next(channel for channel in answer["channels"] if channel["id"] == channel_id)


async def second_administrator(desk: Desk) -> Person:
    return await desk.staff("二", "administrator")


def counts(found: Json) -> dict[str, int]:
    return {name: count for name, count in found["counts"].items() if count}


async def test_a_draining_channel_offers_everybody_a_move_those_in_danger_first(desk: Desk) -> None:
    admin, ken, channel_id = await desk.administrator(), await desk.staff("健"), a_channel(desk)
    people = [await on_line(desk, channel_id) for _ in range(6)]
    cases = [opened["case_id"] for _, opened in people]
    await ken.post(f"{DESK}/cases/{cases[3]}/accept")
    await ken.put(f"{DESK}/cases/{cases[3]}/risk", {"risk": "urgent"})
    before = await seen(desk, channel_id)
    assert (counts(before), before["nowhere"]) == ({"none": 6}, 6)
    assert (await switches(admin, channel_id, "draining"))["mode"] == "draining"
    assert counts(await seen(desk, channel_id)) == {"asked": 6}
    brought = (await people[0][0].get(DESK + "/bridge/errands"))["errands"]
    ours = [errand["case_id"] for errand in brought if errand["case_id"] in cases]
    assert ours[0] == cases[3] and set(ours) == set(cases)
    for (mio, opened), what in zip(people[:3], ("notified", "unreachable", "notified"), strict=True):
        await tells(mio, opened["case_id"], "queued")
        await tells(mio, opened["case_id"], what)
    tokens = [(await ticket(mio))[0] for mio, opened in people]
    await desk.line.call("POST", DESK + "/move/look", {"token": tokens[0]})
    await desk.line.call("POST", DESK + "/move/decline", {"token": tokens[2]})
    await desk.line.call("POST", DESK + "/move", {"token": tokens[3]})
    found = await seen(desk, channel_id)
    assert counts(found) == {"asked": 2, "opened": 1, "unreachable": 1, "declined": 1, "moved": 1}
    assert found["nowhere"] == 5
    assert found["people"][0] == {
        "case_id": cases[3], "risk": "urgent", "state": "talking", "standing": "moved", "kept_until": None,
        "kept_signed": False, "counsellor": "健",
    }  # fmt: skip
    # Nobody new comes by it, whose case runs stays.
    stranger = await ghost(desk)
    body = {"channel": "line", "channel_id": channel_id}
    told = await refused(stranger.post(DESK + "/cases", body, user_id=stranger.user_id), 403, "JP_MADOGUCHI_CLOSED")
    assert told.body["guidance"] and told.body["web_url"]
    mio, opened = people[4]
    assert (await mio.post(DESK + "/cases", body, user_id=mio.user_id))["case_id"] == opened["case_id"]
    # Resumed before the bridge has told everybody: whom it has not told is not troubled.
    await switches(admin, channel_id, "relay")
    assert counts(await seen(desk, channel_id)) == {"none": 2, "opened": 1, "unreachable": 1, "declined": 1, "moved": 1}
    assert await errands(people[5][0]) == []


async def test_closing_while_somebody_has_nowhere_to_go_takes_two_administrators(desk: Desk) -> None:
    admin, other, channel_id = await desk.administrator(), await second_administrator(desk), a_channel(desk)
    await on_line(desk, channel_id)
    told = await refused(switches(admin, channel_id, "closed"), 409, "JP_MADOGUCHI_PEOPLE_LEFT")
    assert told.body["nowhere"] == 1
    for _ in range(2):
        assert (await switches(admin, channel_id, "closed", sign=True))["mode"] == "relay", "one alone is not enough"
    waiting = (await seen(desk, channel_id))["closing"]
    assert (waiting["by"], waiting["nowhere"]) == (admin.user_id, 1)
    await refused(switches(other, channel_id, "closed"), 409, "JP_MADOGUCHI_PEOPLE_LEFT")
    await other.delete(f"{DESK}/channels/{channel_id}/closing")
    assert (await switches(other, channel_id, "closed", sign=True))["mode"] == "relay", "the first was withdrawn"
    old = "UPDATE closings SET asked_at = asked_at - interval '61 minutes'"
    desk.workers.postgres.psql(old, "madoguchi")
    assert (await switches(admin, channel_id, "closed", sign=True))["mode"] == "relay", "the first was too long ago"
    assert (await switches(other, channel_id, "closed", sign=True))["mode"] == "closed"
    assert (await seen(desk, channel_id))["closing"] is None
    acts = [entry for entry in await newest(admin) if entry["subject"] == channel_id]
    [by_two] = [entry for entry in acts if entry["act"] == "channel.closed_by_two"]
    assert json.loads(by_two["detail"]) == {"signed": f"{admin.user_id}, {other.user_id}", "nowhere": 1}


async def test_nobody_left_needs_no_second(desk: Desk) -> None:
    admin, channel_id = await desk.administrator(), a_channel(desk)
    mio, _ = await on_line(desk, channel_id)
    token, _ = await ticket(mio)
    await desk.line.call("POST", DESK + "/move", {"token": token})
    assert (await switches(admin, channel_id, "closed"))["mode"] == "closed"
    assert (await switches(admin, channel_id, "relay"))["mode"] == "relay"


async def test_emergency_asks_nobody_and_offers_all_at_once(desk: Desk) -> None:
    admin, channel_id = await desk.administrator(), a_channel(desk)
    mio, opened = await on_line(desk, channel_id)
    # Whoever said no while words still went both ways, or whose link has run out, is not left without a word.
    assert (await switches(admin, channel_id, "draining"))["mode"] == "draining"
    token, _ = await ticket(mio)
    await tells(mio, opened["case_id"], "queued")
    await desk.line.call("POST", DESK + "/move/decline", {"token": token})
    assert await errands(mio) == [] and counts(await seen(desk, channel_id)) == {"declined": 1}
    for mode in ("notice_only", "emergency"):
        assert (await switches(admin, channel_id, mode))["mode"] == mode
        assert [errand["kind"] for errand in await errands(mio)] == ["offer"]
        await tells(mio, opened["case_id"], "queued")
    assert (await switches(admin, channel_id, "contact_point"))["mode"] == "contact_point"
    assert await errands(mio) == [], "nothing stops by that"
    # Taken back before the bridge had it: the links that are about stay good.
    assert (await switches(admin, channel_id, "emergency"))["mode"] == "emergency"
    assert (await switches(admin, channel_id, "relay"))["mode"] == "relay"
    assert await errands(mio) == []
    assert (await desk.line.call("POST", DESK + "/move", {"token": token}))["case_id"] == opened["case_id"]
    await refused(switches(admin, "web", "emergency"), 400)
    await desk.arrives()
    assert (await switches(admin, "web", "closed"))["mode"] == "closed", "who is on the page goes on there"
    assert (await switches(admin, "web", "open"))["mode"] == "open"


async def test_a_case_is_kept_on_its_app_by_two_people_for_a_time(desk: Desk) -> None:
    admin, lead, channel_id = await desk.administrator(), await desk.staff("主", "supervisor"), a_channel(desk)
    _, opened = await on_line(desk, channel_id)
    path = f"{DESK}/cases/{opened['case_id']}/keeping"
    now = int(desk.workers.postgres.psql("SELECT round(extract(epoch FROM now()) * 1000)", "madoguchi"))
    await refused(admin.post(path + "/sign"), 404)
    for until in (now - 1, now + 31 * 24 * HOUR_MS):
        await refused(admin.put(path, {"reason": "命", "until": until}), 400, "M_INVALID_PARAM")
    await admin.put(path, {"reason": "命にかかわる", "until": now + HOUR_MS})
    await refused(admin.post(path + "/sign"), 409)
    found = await seen(desk, channel_id)
    assert (found["nowhere"], found["people"][0]["kept_signed"]) == (1, False)
    await lead.post(path + "/sign")
    found = await seen(desk, channel_id)
    assert (found["nowhere"], counts(found), found["people"][0]["kept_until"]) == (0, {"kept": 1}, now + HOUR_MS)
    assert (await switches(admin, channel_id, "closed"))["mode"] == "closed"
    await lead.delete(path)
    await refused(lead.delete(path), 404)
    assert (await seen(desk, channel_id))["nowhere"] == 1
    acts = [entry["act"] for entry in await newest(admin) if entry["subject"] == opened["case_id"]]
    assert sorted(acts) == ["case.keeping_asked", "case.keeping_ended", "case.kept"]
    _, web = await desk.arrives()
    await refused(admin.put(f"{DESK}/cases/{web['case_id']}/keeping", {"reason": "r", "until": now + HOUR_MS}), 409)


async def test_a_switch_is_planned_done_in_time_and_refused_where_somebody_is_left(desk: Desk) -> None:
    admin, channel_id, empty = await desk.administrator(), a_channel(desk), a_channel(desk)
    await on_line(desk, channel_id)
    now = int(desk.workers.postgres.psql("SELECT round(extract(epoch FROM now()) * 1000)", "madoguchi"))
    plan = f"{DESK}/channels/{{}}/plan"
    body = {"mode": "closed", "reason": "年度末", "at": now + HOUR_MS}
    for wrong in ({"at": now - 1}, {"mode": "open"}, {"mode": "emergency"}, {"at": now + 400 * 24 * HOUR_MS}):
        await refused(admin.put(plan.format(channel_id), body | wrong), 400, "M_INVALID_PARAM")
    for each in (channel_id, empty):
        assert (await admin.put(plan.format(each), body))["planned"]["at"] == now + HOUR_MS
    async with a_context(desk) as ctx:
        assert isinstance(ctx.clock, SetClock)
        for after, modes in ((0, ["relay", "relay"]), (61, ["relay", "closed"])):
            ctx.clock.at += timedelta(minutes=after)
            async with ctx.db.transaction() as tx:
                await channels.switch_planned(ctx, tx, {})
            assert [(await seen(desk, each))["mode"] for each in (channel_id, empty)] == modes
    assert (await seen(desk, channel_id))["planned"]["refused"] == "people_left"

    async def untold() -> list[tuple[str, int]]:
        async with a_context(desk) as ctx, ctx.db.transaction() as tx:
            await channels.switch_planned(ctx, tx, {})
            told = [(each.name, each.found) for each in await checks.list_untold(tx) if each.name == "switches"]
        listed = {each["name"]: each["found"] for each in (await admin.get(f"{DESK}/status"))["checks"]}
        assert listed["switches"] == len(told)
        return told

    # The staff room is told of it, and the status page, until it is given up.
    assert await untold() == [("switches", 1)]
    assert (await admin.delete(plan.format(channel_id)))["planned"] is None
    assert await untold() == []
    await refused(admin.delete(plan.format(channel_id)), 404)


async def test_the_operator_sees_and_signs_on_the_machine(desk: Desk) -> None:
    admin, channel_id = await desk.administrator(), a_channel(desk)
    _, opened = await on_line(desk, channel_id)
    told = await desk.run("channel", "people", channel_id)
    assert told.splitlines() == [
        f"{opened['case_id']}\tnone\twaiting\t-", f"{channel_id}: relay, 1 people, 1 with nowhere to go",
    ]  # fmt: skip
    words = ("channel", "set", channel_id, "--mode", "closed", "--reason", "r")
    assert "signed; it closes when an administrator signs" in await desk.run(*words, "--sign")
    assert "nothing is to come" in await desk.run("channel", "cancel", channel_id)
    with pytest.raises(CalledProcessError) as failed:
        await desk.run(*words)
    assert "relay → closed. It touches 1 people" in failed.value.stderr
    soon = (datetime.now(TOKYO) + timedelta(days=2)).strftime("%Y-%m-%d %H:%M")
    told = await desk.run(*words, "--at", soon)
    assert told.strip() == f"channel {channel_id}: relay, closed on {soon.replace(' ', ' at ')}"
    assert (await seen(desk, channel_id))["planned"]["mode"] == "closed"
    await desk.run("channel", "cancel", channel_id)
    # Asked for on the machine, signed on the page.
    await desk.run("channel", "keep", opened["case_id"], "--reason", "命にかかわる", "--days", "2")
    for wrong in (("--sign",), (), ("--sign", "--end")):
        with pytest.raises(CalledProcessError):
            await desk.run("channel", "keep", opened["case_id"], *wrong)
    await admin.post(f"{DESK}/cases/{opened['case_id']}/keeping/sign")
    assert (await seen(desk, channel_id))["nowhere"] == 0
    await desk.run("channel", "keep", opened["case_id"], "--end")
    await desk.run(*words, "--sign")
    assert (await switches(admin, channel_id, "closed", sign=True))["mode"] == "closed"
