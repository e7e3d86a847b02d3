"""Everybody does everything at once, through both workers: afterwards the desk's books agree with themselves."""

import asyncio
import json
import random
from typing import Any

from tests.cast import DESK, Person, Refusal, segment
from tests.desk.conftest import KEEPER, Desk

SECONDS = 6.0


async def test_whatever_happens_together_the_books_agree(desk: Desk) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    staff = [await desk.staff(f"相談員{number}", capacity=2) for number in range(4)]
    lead = await desk.staff("主任", "supervisor", capacity=2)
    keeper = await desk.keeper()
    young = [(await desk.arrives())[0] for _ in range(8)]
    until = asyncio.get_running_loop().time() + SECONDS

    async def attempt(person: Person, method: str, path: str, body: Any = None) -> Any:
        try:
            return await person.through(desk.some_line()).call(method, path, body)
        except Refusal as told:
            # Refusals are the point; anything that the server could not explain is not.
            if told.status not in (400, 403, 404, 409):
                raise
            return None

    async def comes_and_goes(person: Person) -> None:
        while asyncio.get_running_loop().time() < until:
            await attempt(person, "POST", DESK + "/cases", {"channel": "web"})
            await asyncio.sleep(chance.random() * 0.5)
            if chance.random() < 0.4:
                await attempt(person, "POST", DESK + "/cases/mine/leave", {})

    async def counsels(person: Person) -> None:
        while asyncio.get_running_loop().time() < until:
            told = await attempt(person, "GET", DESK + "/queue")
            for ticket in told["waiting"][:2]:
                await attempt(person, "POST", f"{DESK}/cases/{ticket['case_id']}/accept", {})
            for own in told["mine"]:
                path = f"{DESK}/cases/{own['case_id']}"
                turn = chance.random()
                if turn < 0.3:
                    to = chance.choice([*staff, lead]).user_id
                    await attempt(person, "POST", path + "/hand_over", {"to": to, "reason": "storm"})
                elif turn < 0.5:
                    await attempt(person, "POST", path + "/close", {})
                elif turn < 0.8:
                    await attempt(person, "POST", f"/_matrix/client/v3/join/{segment(own['room_id'])}", {})
                else:
                    await attempt(person, "POST", f"/_matrix/client/v3/rooms/{segment(own['room_id'])}/leave", {})
            await asyncio.sleep(chance.random() * 0.1)

    async def keeps() -> None:
        while asyncio.get_running_loop().time() < until:
            await keep_once()
            await asyncio.sleep(0.05)

    async def keep_once() -> int:
        wanted = await attempt(keeper, "GET", DESK + "/keeper/invitations")
        for kind, verb in (("invitations", "invite"), ("removals", "kick")):
            for seat in wanted[kind]:
                path = f"/_matrix/client/v3/rooms/{segment(seat['room_id'])}/{verb}"
                await attempt(keeper, "POST", path, {"user_id": seat["user_id"]})
        return len(wanted["invitations"]) + len(wanted["removals"])

    await asyncio.gather(*map(comes_and_goes, young), *map(counsels, [*staff, lead]), keeps())
    for _ in range(5):
        if not await keep_once():
            break
    else:
        raise AssertionError(f"the keeper is never done (seed {seed})")
    check_the_books(desk, [person.user_id for person in young], seed)


def check_the_books(desk: Desk, young: list[str], seed: int) -> None:
    def select(sql: str) -> list[dict[str, Any]]:
        told = desk.workers.postgres.psql(f"SELECT coalesce(json_agg(t), '[]') FROM ({sql}) t", "madoguchi")
        rows: list[dict[str, Any]] = json.loads(told)
        return rows

    holders: dict[str, list[str]] = {}
    for row in select("SELECT case_id, user_id FROM case_staff WHERE until IS NULL ORDER BY user_id"):
        holders.setdefault(row["case_id"], []).append(row["user_id"])
    load: dict[str, int] = {}
    of_them = ", ".join(f"'{user_id}'" for user_id in young)
    cases = select(f"SELECT id, room_id, user_id, state FROM cases WHERE user_id IN ({of_them})")
    assert len(cases) > 8
    running = [case["user_id"] for case in cases if case["state"] != "closed"]
    assert len(running) == len(set(running)), f"somebody has two running cases (seed {seed})"
    for case in cases:
        held = holders.get(case["id"], [])
        where = f"seed {seed}, {case}, held by {held}"
        if case["state"] == "waiting":
            assert held == [], where
        if case["state"] == "talking":
            assert len(held) == 1, where
            load[held[0]] = load.get(held[0], 0) + 1
        state = select(
            "SELECT e.type, e.body::json -> 'content' AS content FROM current_state c JOIN events e USING (event_id) "
            f"WHERE c.room_id = '{case['room_id']}' AND c.type IN ('jp.madoguchi.case', 'm.room.power_levels')"
        )
        said = {event["type"]: event["content"] for event in state}
        assert said["jp.madoguchi.case"]["state"] == case["state"], where
        assert said["m.room.power_levels"]["events_default"] == (100 if case["state"] == "closed" else 0), where
        if case["state"] != "closed":
            members = select(
                "SELECT user_id FROM memberships "
                f"WHERE room_id = '{case['room_id']}' AND membership IN ('join', 'invite')"
            )
            inside = {member["user_id"] for member in members} - {KEEPER, case["user_id"]}
            # Whoever has handed over stays until a successor has come in; nobody else has business there.
            assert set(held) <= inside, where
    assert all(count <= 2 for count in load.values()), f"seed {seed}: {load}"
