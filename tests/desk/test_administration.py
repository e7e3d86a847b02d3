"""The administrator's part: links, staff, settings, guidance, health."""

import asyncio
import re
import secrets

from tests.cast import DESK, V3, Json, refused
from tests.desk.conftest import Desk
from tests.desk.test_cases import accepts


async def new_link(desk: Desk) -> str:
    """A link that has not been used: made the way the first start makes it, with the other administrators away."""
    psql = desk.workers.postgres.psql
    psql("UPDATE staff SET role = 'auditor' WHERE role = 'administrator'", "madoguchi")
    try:
        found = re.search(r"#link=(\S+)", await desk.run("init"))
        assert found
        return found[1]
    finally:
        psql("UPDATE staff SET role = 'administrator' WHERE role = 'auditor' AND name = '管理'", "madoguchi")


def redeeming(token: str) -> Json:
    return {
        "token": token,
        "localpart": f"admin-{secrets.token_hex(4)}",
        "name": "管理",
        "password": secrets.token_urlsafe(12),
    }


async def test_a_link_makes_one_administrator_and_no_second(desk: Desk) -> None:
    link = await new_link(desk)
    path = DESK + "/admin/redeem"
    answers = await asyncio.gather(
        *(desk.some_line().call("POST", path, redeeming(link)) for _ in range(4)), return_exceptions=True
    )
    [made] = [answer for answer in answers if isinstance(answer, dict)]
    assert made["role"] == "administrator"
    await refused(desk.line.call("POST", path, redeeming(link)), 403, "M_FORBIDDEN")
    await refused(desk.line.call("POST", path, redeeming("guessed")), 403, "M_FORBIDDEN")


async def test_a_refused_redeeming_leaves_the_link_as_it_was(desk: Desk) -> None:
    link = await new_link(desk)
    path = DESK + "/admin/redeem"
    await refused(desk.line.call("POST", path, redeeming(link) | {"password": "short"}), 400, "M_WEAK_PASSWORD")
    await refused(desk.line.call("POST", path, redeeming(link) | {"localpart": "Not Allowed"}), 400)
    await refused(desk.line.call("POST", path, redeeming(link) | {"localpart": "keeper"}), 400)
    await desk.line.call("POST", path, redeeming(link))


async def test_a_new_link_ends_the_one_before(desk: Desk) -> None:
    first = await new_link(desk)
    # The operator has lost it: without its file the next start makes another.
    (desk.workers.directory / "data" / "keys" / "admin-link").unlink()
    second = await new_link(desk)
    await refused(desk.line.call("POST", DESK + "/admin/redeem", redeeming(first)), 403)
    await desk.line.call("POST", DESK + "/admin/redeem", redeeming(second))


async def test_the_database_does_not_know_the_link(desk: Desk) -> None:
    link = await new_link(desk)
    assert link not in desk.workers.postgres.psql("SELECT * FROM admin_links", "madoguchi")


async def test_staff_are_added_with_a_password_shown_once(desk: Desk) -> None:
    admin = await desk.administrator()
    body = {"localpart": f"staff-{secrets.token_hex(4)}", "name": "美咲", "role": "supervisor"}
    added = await admin.post(DESK + "/staff", body)
    assert (added["capacity"], added["role"]) == (5, "supervisor")
    misaki = await desk.enters(added["user_id"], added["password"])
    assert await misaki.get(DESK + "/me") == {
        "user_id": added["user_id"],
        "name": "美咲",
        "role": "supervisor",
        "capacity": 5,
        "away": False,
        "debrief": False,
    }
    await refused(admin.post(DESK + "/staff", body), 400, "M_USER_IN_USE")
    [listed] = [one for one in (await admin.get(DESK + "/staff"))["staff"] if one["user_id"] == added["user_id"]]
    assert (listed["disabled_at"], listed["present"]) == (None, False)
    assert "password" not in listed
    await misaki.get(DESK + "/queue")
    [listed] = [one for one in (await admin.get(DESK + "/staff"))["staff"] if one["user_id"] == added["user_id"]]
    assert listed["present"] is True


async def test_the_last_administrator_can_not_be_disabled(desk: Desk) -> None:
    admin = await desk.administrator()
    psql = desk.workers.postgres.psql
    others = psql(
        f"UPDATE staff SET role = 'auditor' WHERE role = 'administrator' AND user_id <> '{admin.user_id}' "
        "RETURNING user_id",
        "madoguchi",
    )
    try:
        await refused(admin.post(f"{DESK}/staff/{admin.user_id}/disable"), 403, "M_FORBIDDEN")
    finally:
        for user_id in re.findall(r"@\S+", others):
            psql(f"UPDATE staff SET role = 'administrator' WHERE user_id = '{user_id}'", "madoguchi")
    await refused(admin.post(f"{DESK}/staff/@nobody:madoguchi.test/disable"), 404, "M_NOT_FOUND")


async def test_whoever_is_invited_chooses_their_password_once(desk: Desk) -> None:
    admin, ken = await desk.administrator(), await desk.staff("健")
    body = {"localpart": f"staff-{secrets.token_hex(4)}", "name": "直", "role": "counsellor", "invite": True}
    added = await admin.post(DESK + "/staff", body)
    assert added["password"] is None and "/staff/#invite=" in added["link"]
    path, password = DESK + "/staff/redeem", secrets.token_urlsafe(12)

    def with_(link: str, chosen: str = password) -> Json:
        return {"token": link.partition("#invite=")[2], "password": chosen}

    await refused(ken.post(f"{DESK}/staff/{added['user_id']}/invitation"), 403, "M_FORBIDDEN")
    link = (await admin.post(f"{DESK}/staff/{added['user_id']}/invitation"))["link"]
    # The one before is good no more; a word that is too short leaves a good one as it is.
    await refused(desk.line.call("POST", path, with_(added["link"])), 403, "M_FORBIDDEN")
    await refused(desk.line.call("POST", path, with_(link, "short")), 400, "M_WEAK_PASSWORD")
    answers = await asyncio.gather(
        *(desk.some_line().call("POST", path, with_(link)) for _ in range(3)), return_exceptions=True
    )
    [joined] = [answer for answer in answers if isinstance(answer, dict)]
    assert (joined["user_id"], joined["name"], joined["role"]) == (added["user_id"], "直", "counsellor")
    nao = await desk.enters(added["user_id"], password, "直")
    await nao.get(DESK + "/queue")

    # Who is disabled does not come in by a link, and a new one signs out who was there.
    again = (await admin.post(f"{DESK}/staff/{added['user_id']}/invitation"))["link"]
    await admin.post(f"{DESK}/staff/{added['user_id']}/disable")
    await refused(desk.line.call("POST", path, with_(again)), 403, "M_FORBIDDEN")
    await refused(admin.post(f"{DESK}/staff/{added['user_id']}/invitation"), 404, "M_NOT_FOUND")
    expired = (await admin.post(f"{DESK}/staff/{ken.user_id}/invitation"))["link"]
    psql = desk.workers.postgres.psql
    psql(f"UPDATE staff_links SET expires_at = now() WHERE user_id = '{ken.user_id}'", "madoguchi")
    await refused(desk.line.call("POST", path, with_(expired)), 403, "M_FORBIDDEN")
    await ken.get(DESK + "/queue")


async def test_opening_hours_close_the_door_with_a_way_out(desk: Desk) -> None:
    admin, mio = await desk.administrator(), await desk.person("mio")
    running, opened = await desk.arrives()
    path = DESK + "/settings/hours"
    before = (await admin.get(DESK + "/settings"))["hours"]
    try:
        await admin.put(path, {"value": {"weekly": [], "exceptions": []}})
        told = await desk.line.call("GET", DESK + "/desk")
        assert (told["open"], told["reason"], told["next_opening"]) == (False, "hours", None)
        assert told["estimate_minutes"] is None
        no = await refused(mio.post(DESK + "/cases", {"channel": "web"}), 403, "JP_MADOGUCHI_CLOSED")
        assert "kodomo_sos" in [entry["id"] for entry in no.body["guidance"]]
        assert all(entry["open_now"] for entry in no.body["guidance"])
        # Whoever has a case keeps it.
        assert (await running.post(DESK + "/cases", {"channel": "web"}))["case_id"] == opened["case_id"]
        await admin.put(path, {"value": {"weekly": [{"days": ["mon"], "from": "10:00", "to": "10:01"}]}})
        told = await desk.line.call("GET", DESK + "/desk")
        assert told["open"] or told["next_opening"] is not None
        await refused(admin.put(path, {"value": {"weekly": [{"from": "25:00"}]}}), 400, "M_INVALID_PARAM")
        await refused(admin.put(DESK + "/settings/nonsense", {"value": 1}), 400, "M_INVALID_PARAM")
        await refused(admin.put(DESK + "/settings/capacity", {"value": -1}), 400, "M_INVALID_PARAM")
    finally:
        await admin.put(path, {"value": before})
    assert (await desk.line.call("GET", DESK + "/desk"))["open"] is True


async def test_when_as_many_wait_as_can_be_answered_the_desk_is_full(desk: Desk) -> None:
    admin, ken, mio = await desk.administrator(), await desk.staff("健"), await desk.person("mio")
    path = DESK + "/settings/most_waiting"
    await refused(admin.put(path, {"value": -1}), 400, "M_INVALID_PARAM")
    waits, opened = await desk.arrives()
    await admin.put(path, {"value": 1})
    try:
        told = await desk.line.call("GET", DESK + "/desk")
        assert (told["open"], told["reason"], told["next_opening"], told["waiting"]) == (False, "full", None, 1)
        no = await refused(mio.post(DESK + "/cases", {"channel": "web"}), 403, "JP_MADOGUCHI_CLOSED")
        assert no.body["reason"] == "full" and no.body["guidance"]
        # Who waits goes on waiting; once somebody has been taken, the next may come.
        assert (await waits.get(DESK + "/cases/mine"))["place"] == 1
        await accepts(ken, opened["case_id"])
        await mio.post(DESK + "/cases", {"channel": "web"})
    finally:
        await admin.put(path, {"value": 0})


async def test_whoever_has_talked_today_comes_again_another_day_if_the_desk_wants_it_so(desk: Desk) -> None:
    admin, ken, mio = await desk.administrator(), await desk.staff("健"), await desk.person("mio")
    path, cases = DESK + "/settings/cases_a_day", DESK + "/cases"
    await admin.put(path, {"value": 1})
    try:
        # Whom nobody came to has not talked.
        await mio.post(cases, {"channel": "web"})
        await mio.post(DESK + "/cases/mine/leave")
        opened = await mio.post(cases, {"channel": "web"})
        await accepts(ken, opened["case_id"])
        assert (await mio.post(cases, {"channel": "web"}))["case_id"] == opened["case_id"]
        await ken.post(f"{cases}/{opened['case_id']}/close")
        no = await refused(mio.post(cases, {"channel": "web"}), 403, "JP_MADOGUCHI_CLOSED")
        assert no.body["reason"] == "today" and no.body["guidance"]
        assert no.body["next_opening"] % 86_400_000 == 54_000_000  # midnight in Japan
        await desk.arrives()
        desk.workers.postgres.psql(
            f"UPDATE cases SET arrived_at = arrived_at - interval '1 day' WHERE id = '{opened['case_id']}'", "madoguchi"
        )
        await mio.post(cases, {"channel": "web"})
    finally:
        await admin.put(path, {"value": 0})


async def test_the_desk_tells_what_anybody_may_know(desk: Desk) -> None:
    told = await desk.line.call("GET", DESK + "/desk")
    assert told["keeper_user_id"] == "@keeper:madoguchi.test"
    assert told["quick_exit_url"].startswith("https://")
    always = {entry["id"]: entry for entry in told["guidance"]}["kodomo_sos"]
    assert (always["phone"], always["open_now"]) == ("0120-0-78310", True)
    assert {entry["phone"] for entry in told["guidance"]} >= {"0120-99-7777", "189", "0120-007-110", "110", "119"}
    unknown = {entry["id"]: entry for entry in told["guidance"]}["kokoro"]
    assert unknown["open_now"] is None
    assert {reader["kind"]: reader["reads"] for reader in told["readers"]} == {
        "counsellor": True,
        "keeper": True,
        "server": False,
        "push": False,
    }


async def test_whoever_holds_a_part_of_the_vault_key_is_named_once_there_is_a_vault(desk: Desk) -> None:
    psql = desk.workers.postgres.psql
    key = "decode(repeat('00', 32), 'hex')"
    psql(f"INSERT INTO vault (key_id, public_key, shares, threshold) VALUES ('k', {key}, 5, 3)", "madoguchi")
    try:
        readers = (await desk.line.call("GET", DESK + "/desk"))["readers"]
        assert [reader["reads"] for reader in readers if reader["kind"] == "vault"] == [True]
    finally:
        psql("DELETE FROM vault", "madoguchi")


async def test_guidance_is_confirmed_by_the_administrator(desk: Desk) -> None:
    admin = await desk.administrator()
    assert "childline" in (await admin.get(DESK + "/status"))["unchecked_guidance"]
    told = await admin.post(f"{DESK}/guidance/childline/confirm")
    seen = {e["id"]: e for e in (await desk.line.call("GET", DESK + "/desk"))["guidance"]}["childline"]
    assert seen["checked_on"] == told["checked_on"]
    assert "childline" not in (await admin.get(DESK + "/status"))["unchecked_guidance"]
    await refused(admin.post(f"{DESK}/guidance/nosuch/confirm"), 404, "M_NOT_FOUND")
    desk.workers.postgres.psql("UPDATE guidance SET checked_on = NULL", "madoguchi")


async def test_health(desk: Desk) -> None:
    admin = await desk.administrator()
    await (await desk.keeper()).get(DESK + "/keeper/invitations")
    told = await admin.get(DESK + "/status")
    alive = {process["name"]: process["alive"] for process in told["processes"]}
    assert alive == {"serve": True, "keeper": True, "bridges": False, "work": False}
    assert told["schema"].startswith("00")
    assert told["counts"]["failed_jobs"] == 0


async def test_staff_get_another_name_role_and_capacity_and_it_holds_at_once(desk: Desk) -> None:
    admin, ken = await desk.administrator(), await desk.staff("健")
    mio, opened = await desk.arrives()
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    path = f"{DESK}/staff/{ken.user_id}"
    changed = await admin.put(path, {"name": "健太", "capacity": 1})
    assert changed == {"user_id": ken.user_id, "name": "健太", "role": "counsellor", "capacity": 1}
    assert (await ken.get(DESK + "/me"))["capacity"] == 1
    assert (await ken.get(f"{V3}/profile/{ken.user_id}/displayname"))["displayname"] == "健太"
    assert (await mio.get(DESK + "/cases/mine"))["counsellor"]["name"] == "健太"
    _, other = await desk.arrives()
    await refused(ken.post(f"{DESK}/cases/{other['case_id']}/accept"), 409, "JP_MADOGUCHI_FULL")
    # An auditor looks after nobody: the case waits again.
    await admin.put(path, {"role": "auditor"})
    assert (await mio.get(DESK + "/cases/mine"))["state"] == "waiting"
    await refused(ken.get(DESK + "/queue"), 403)
    await admin.put(path, {"role": "supervisor"})
    await ken.get(DESK + "/reports")
    await refused(admin.put(path, {"capacity": 101}), 400)
    await refused(admin.put(path, {"name": "  "}), 400)
    await refused(admin.put(path, {"user_id": "x"}), 400)
    await refused(admin.put(f"{DESK}/staff/@nobody:madoguchi.test", {"capacity": 1}), 404)


async def test_the_last_administrator_stays_one(desk: Desk) -> None:
    admin, other = await desk.administrator(), await desk.staff("副", "administrator")
    psql = desk.workers.postgres.psql
    psql(
        "UPDATE staff SET role = 'supervisor' WHERE role = 'administrator' "
        f"AND user_id NOT IN ('{admin.user_id}', '{other.user_id}')",
        "madoguchi",
    )
    # Of two who take the role from each other at once, one keeps it.
    await asyncio.gather(
        admin.put(f"{DESK}/staff/{other.user_id}", {"role": "supervisor"}),
        other.put(f"{DESK}/staff/{admin.user_id}", {"role": "supervisor"}),
        return_exceptions=True,
    )
    left = psql("SELECT user_id FROM staff WHERE role = 'administrator' AND disabled_at IS NULL", "madoguchi").split()
    assert len(left) == 1
    psql(f"UPDATE staff SET role = 'administrator' WHERE user_id = '{admin.user_id}'", "madoguchi")
    psql(f"UPDATE staff SET role = 'supervisor' WHERE user_id = '{other.user_id}'", "madoguchi")
    no = await refused(admin.put(f"{DESK}/staff/{admin.user_id}", {"role": "counsellor"}), 403)
    assert "last administrator" in no.body["error"]


async def test_a_lost_password_is_replaced_and_the_old_sessions_end(desk: Desk) -> None:
    admin, ken = await desk.administrator(), await desk.staff("健")
    given = await admin.post(f"{DESK}/staff/{ken.user_id}/password")
    await refused(ken.get(DESK + "/me"), 401)
    await refused(desk.enters(ken.user_id, ken.password), 403)
    again = await desk.enters(ken.user_id, given["password"])
    assert (await again.get(DESK + "/me"))["name"] == "健"
    assert given["password"] not in desk.workers.postgres.psql("SELECT * FROM accounts", "madoguchi")
    await admin.post(f"{DESK}/staff/{ken.user_id}/disable")
    await refused(admin.post(f"{DESK}/staff/{ken.user_id}/password"), 404)


ENTRY = {"name": "市の電話相談", "name_easy": "しの でんわ", "name_en": "City line", "phone": "03-1234-5678",
         "hours_text": "平日9〜17時", "url": "https://city.example.jp/",
         "hours": {"weekly": [{"days": ["mon"], "from": "09:00", "to": "17:00"}], "holidays": []}}  # fmt: skip


async def test_guidance_is_written_ordered_and_taken_away(desk: Desk) -> None:
    admin = await desk.administrator()
    path = f"{DESK}/guidance/city_line"
    before = (await admin.get(DESK + "/guidance"))["guidance"]
    told = (await admin.put(path, ENTRY))["guidance"]
    assert told[-1]["id"] == "city_line" and told[-1]["due"] and told[-1]["checked_on"] is None
    assert told[-1]["wording"] == ENTRY | {"checked": False, "hours": ENTRY["hours"] | {"exceptions": []}}
    shown = (await desk.line.call("GET", DESK + "/desk"))["guidance"]
    assert shown[-1]["name_en"] == "City line" and shown[-1]["open_now"] in (True, False)

    # Confirmed; another name leaves that as it is, another number does not.
    told = (await admin.put(path, ENTRY | {"checked": True}))["guidance"]
    assert not told[-1]["due"]
    told = (await admin.put(path, ENTRY | {"name": "市の電話"}))["guidance"]
    assert (told[-1]["due"], told[-1]["wording"]["name"]) == (False, "市の電話")
    told = (await admin.put(path, ENTRY | {"phone": "03-1234-0000"}))["guidance"]
    assert told[-1]["due"] and told[-1]["checked_on"] is None

    order = ["city_line", *(entry["id"] for entry in before)]
    told = (await admin.put(DESK + "/guidance", {"order": order}))["guidance"]
    assert [entry["id"] for entry in told] == order
    await refused(admin.put(DESK + "/guidance", {"order": order[1:]}), 409, "M_CONFLICT")
    told = (await admin.delete(path))["guidance"]
    assert [(entry["id"], entry["wording"]) for entry in told] == [(one["id"], one["wording"]) for one in before]
    await refused(admin.delete(path), 404)


async def test_guidance_that_makes_no_sense_is_refused(desk: Desk) -> None:
    admin = await desk.administrator()
    path = f"{DESK}/guidance/city_line"
    for wrong in (
        {"phone": "call me"}, {"phone": ""}, {"name": ""}, {"url": "javascript:alert(1)"}, {"hours_text": "a\nb"},
        {"hours": {"weekly": [{"from": "18:00", "to": "09:00"}]}}, {"name": "x" * 101}, {"color": "red"},
    ):  # fmt: skip
        await refused(admin.put(path, ENTRY | wrong), 400)
    await refused(admin.put(f"{DESK}/guidance/City%20Line", ENTRY), 400)
    entries = (await admin.get(DESK + "/guidance"))["guidance"]
    assert "city_line" not in [entry["id"] for entry in entries]
    # The last entry stays.
    psql = desk.workers.postgres.psql
    psql("CREATE TABLE kept_guidance AS SELECT * FROM guidance", "madoguchi")
    try:
        psql("DELETE FROM guidance WHERE id <> 'police'", "madoguchi")
        await refused(admin.delete(f"{DESK}/guidance/police"), 403)
    finally:
        psql("DELETE FROM guidance", "madoguchi")
        psql("INSERT INTO guidance SELECT * FROM kept_guidance", "madoguchi")
        psql("DROP TABLE kept_guidance", "madoguchi")
