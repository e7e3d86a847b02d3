"""Teams: a case is handed to a group, waits for whoever of it takes it, and never for people who are not there."""

import secrets
from collections.abc import AsyncIterator

import pytest

from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import KEEPER, Desk
from tests.desk.test_cases import accepts, invites, queue

REASON = "end of shift"


class Night:
    """Ken has a case; Sato is in the team for the night, Suzuki is not."""

    def __init__(self, desk: Desk, ken: Person, sato: Person, suzuki: Person) -> None:
        self.desk, self.team = desk, f"t{secrets.token_hex(3)}"
        self.ken, self.sato, self.suzuki = ken, sato, suzuki

    async def has(self, *members: Person) -> None:
        """Who is in the team."""
        team = {"id": self.team, "name": "夜間", "members": [member.user_id for member in members]}
        await (await self.desk.administrator()).put(f"{DESK}/settings/teams", {"value": [team]})

    async def case(self) -> tuple[Person, Json]:
        """A young person whose case Ken has, and is in the room of."""
        mio, opened = await self.desk.arrives()
        await accepts(self.ken, opened["case_id"])
        await invites(await self.desk.keeper())
        await self.ken.joins(opened["room_id"])
        return mio, opened

    async def hands_over(self, case_id: str) -> Json:
        answer: Json = await self.ken.post(f"{DESK}/cases/{case_id}/hand_over", {"team": self.team, "reason": REASON})
        return answer


@pytest.fixture
async def night(desk: Desk) -> AsyncIterator[Night]:
    night = Night(desk, *[await desk.staff(name) for name in ("健", "佐藤", "鈴木")])
    await night.has(night.sato)
    yield night
    await (await desk.administrator()).put(f"{DESK}/settings/teams", {"value": []})


async def waiting(person: Person) -> dict[str, str | None]:
    """Case id -> the team it waits for, as somebody's queue shows it."""
    return {each["case_id"]: each["team"] for each in (await queue(person))["waiting"]}


async def test_a_teams_case_is_shown_to_the_team_and_to_whoever_leads(desk: Desk, night: Night) -> None:
    ken, sato, suzuki = night.ken, night.sato, night.suzuki
    lead, keeper = await desk.staff("主任", "supervisor"), await desk.keeper()
    mio, opened = await night.case()
    case, room = opened["case_id"], opened["room_id"]
    await waiting(sato)
    shown = (await ken.get(DESK + "/colleagues"))["teams"]
    assert shown == [{"id": night.team, "name": "夜間", "size": 1, "present": 1}]
    assert (await night.hands_over(case))["state"] == "waiting"

    assert await waiting(sato) == await waiting(lead) == {case: "夜間"}
    assert await waiting(suzuki) == {}
    await refused(accepts(suzuki, case), 403, "M_FORBIDDEN")
    [on_the_board] = (await lead.get(DESK + "/board"))["cases"]
    assert (on_the_board["state"], on_the_board["team"], on_the_board["staff"]) == ("waiting", "夜間", [])
    # The young person keeps their place, and whoever handed over stays until somebody has come.
    assert (await mio.get(DESK + "/cases/mine"))["place"] == 1
    [own] = (await queue(ken))["mine"]
    assert (own["handing_over"], own["team"]) == (True, "夜間")
    await invites(keeper)
    assert (await mio.members(room))[ken.user_id] == "join"

    await accepts(sato, case)
    assert await waiting(lead) == {}
    await invites(keeper)
    await sato.joins(room)
    await invites(keeper)
    there = [who for who, how in (await mio.members(room)).items() if how == "join"]
    assert sorted(there) == sorted([mio.user_id, sato.user_id, KEEPER])
    assert [each["team"] for each in (await queue(sato))["mine"]] == [None]
    steps = desk.workers.postgres.psql(
        f"SELECT step, to_whom FROM case_steps WHERE case_id = '{case}' ORDER BY id", "madoguchi"
    )
    assert steps.split() == ["arrived|", "accepted|", f"handed_over|team:{night.team}", "accepted|"]


async def test_nobody_waits_for_people_who_are_not_there(night: Night) -> None:
    _, opened = await night.case()
    case = opened["case_id"]
    await night.hands_over(case)
    # Sato has not opened the console today: everybody sees it, and may take it.
    assert await waiting(night.suzuki) == {case: "夜間"}
    await waiting(night.sato)
    assert await waiting(night.suzuki) == {}
    await night.sato.put(DESK + "/me/away", {"away": True})
    assert await waiting(night.suzuki) == {case: "夜間"}
    await accepts(night.suzuki, case)


async def test_whoever_handed_it_over_takes_it_back(desk: Desk, night: Night) -> None:
    _, opened = await night.case()
    case = opened["case_id"]
    await waiting(night.sato)
    await night.hands_over(case)
    await accepts(night.ken, case)
    [own] = (await queue(night.ken))["mine"]
    assert (own["handing_over"], own["helping"], own["team"]) == (False, False, None)
    await invites(await desk.keeper())
    assert (await night.ken.members(opened["room_id"]))[night.ken.user_id] == "join"


async def test_helpers_stay_until_the_team_has_come(desk: Desk, night: Night) -> None:
    ken, sato, suzuki = night.ken, night.sato, night.suzuki
    _, opened = await night.case()
    case = opened["case_id"]
    await ken.post(f"{DESK}/cases/{case}/call_in", {"to": suzuki.user_id})
    await waiting(sato)
    await night.hands_over(case)
    assert [each["helping"] for each in (await queue(suzuki))["mine"]] == [True]
    await accepts(sato, case)
    parts = desk.workers.postgres.psql(
        f"SELECT user_id, part FROM case_staff WHERE case_id = '{case}' AND until IS NULL ORDER BY part", "madoguchi"
    )
    assert parts.split() == [f"{sato.user_id}|counsellor", f"{suzuki.user_id}|helper"]


async def test_a_helper_who_is_of_the_team_takes_it_or_leaves_it_waiting(night: Night) -> None:
    ken, sato, suzuki = night.ken, night.sato, night.suzuki
    await night.has(sato, suzuki)
    _, opened = await night.case()
    case = opened["case_id"]
    for person in (sato, suzuki):
        await ken.post(f"{DESK}/cases/{case}/call_in", {"to": person.user_id})
    await night.hands_over(case)
    # Two helped; that one steps out does not make the other one look after it.
    await suzuki.post(f"{DESK}/cases/{case}/give_back")
    assert [each["helping"] for each in (await queue(sato))["mine"]] == [True]
    assert await waiting(suzuki) == {case: "夜間"}
    await accepts(sato, case)
    assert [each["helping"] for each in (await queue(sato))["mine"]] == [False]
    assert await waiting(suzuki) == {}


async def test_of_a_team_that_is_no_more_everybody_sees_the_cases(desk: Desk, night: Night) -> None:
    _, opened = await night.case()
    await waiting(night.sato)
    await night.hands_over(opened["case_id"])
    await (await desk.administrator()).put(f"{DESK}/settings/teams", {"value": []})
    assert await waiting(night.suzuki) == {opened["case_id"]: None}


async def test_what_is_no_handover_is_refused(desk: Desk, night: Night) -> None:
    ken, sato, suzuki, admin = night.ken, night.sato, night.suzuki, await desk.administrator()
    _, opened = await night.case()
    case = opened["case_id"]
    path = f"{DESK}/cases/{case}/hand_over"
    for body in (
        {"reason": REASON},
        {"reason": REASON, "team": night.team, "to": sato.user_id},
        {"reason": REASON, "team": "nosuch"},
        {"reason": " ", "team": night.team},
    ):
        await refused(ken.post(path, body), 400, "M_INVALID_PARAM")
    await refused(suzuki.post(path, {"team": night.team, "reason": REASON}), 403)
    await admin.post(f"{DESK}/staff/{sato.user_id}/disable")
    assert (await ken.get(DESK + "/colleagues"))["teams"] == []
    await refused(night.hands_over(case), 400)
    for value in (
        [{"id": "a", "name": "夜間", "members": ["@nobody:madoguchi.test"]}],
        [{"id": "a", "name": "夜間", "members": []}, {"id": "a", "name": "昼間", "members": []}],
        [{"id": "a", "name": "夜間", "members": []}, {"id": "b", "name": " 夜間", "members": []}],
        [{"id": "A!", "name": "夜間", "members": []}],
        "night",
    ):
        await refused(admin.put(f"{DESK}/settings/teams", {"value": value}), 400, "M_INVALID_PARAM")
