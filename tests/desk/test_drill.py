"""The drill 停止訓練: what it plays is the real desk; what it reports is what happened."""

import asyncio
import contextlib
import re
import secrets
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
import yaml

from madoguchi import commands, config
from madoguchi.core.desk import drills
from madoguchi.drill.people import Assumptions, Behaviour, behaviours
from madoguchi.drill.play import Failed, Left, Play, Result, Sample
from madoguchi.drill.report import page
from tests.cast import DESK, refused
from tests.desk.conftest import Desk
from tests.desk.test_moves import a_channel, keeper_does


def test_the_people_of_a_drill_are_the_same_for_the_same_seed_and_as_many_as_assumed() -> None:
    assumptions = Assumptions(people=4_000)
    people = behaviours(assumptions, 7)
    assert people == behaviours(assumptions, 7) != behaviours(assumptions, 8)
    reached = [person for person in people if person.reached]
    opens = sorted(person.opens_after for person in people if person.opens_after is not None)
    assert abs(len(reached) / 4_000 - 0.97) < 0.02
    assert abs(len(opens) / len(reached) - 0.85) < 0.03
    assert abs(opens[len(opens) // 2] - 8) < 1
    assert not any(person.opens_after is not None and not person.reached for person in people)


def person(number: int, **more: object) -> Behaviour:
    usual = {"risk": "none", "reached": True, "opens_after": 1.0, "declines": False, "decides_after": 0.1}
    return Behaviour(number=number, **(usual | more))  # type: ignore[arg-type]


async def test_a_drill_is_played_against_the_real_desk(desk: Desk) -> None:
    registration = yaml.safe_load((desk.workers.directory / "data/keys/registration-bridges.yaml").read_text())
    people = [
        person(0), person(1, risk="high"), person(2, declines=True), person(3, opens_after=None),
        person(4, reached=False, opens_after=None), person(5),
    ]  # fmt: skip
    play = Play(
        desk.workers.base_urls[0], registration["as_token"], people, 300, 60,
        channel=a_channel(desk), kind="line", prefix=f"line_{secrets.token_hex(4)}_",
    )  # fmt: skip
    first, second = await desk.administrator(), await desk.staff("二", "administrator")

    async def keeps() -> None:
        while True:
            await keeper_does(desk)
            await asyncio.sleep(0.1)

    keeper = asyncio.create_task(keeps())
    try:
        result = await play.run(first.token, second.token)
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
    assert result.samples[0].counts["moved"] == 0
    last = {name: count for name, count in result.samples[-1].counts.items() if count}
    assert last == {"moved": 3, "declined": 1, "notified": 1, "unreachable": 1}
    assert sorted(left.standing for left in result.left) == ["declined", "notified", "unreachable"]
    assert (result.refused, result.closed_by_two, result.high_risk_first, result.moved_95) == (True, True, True, None)
    assert 0 < result.entered_s[0] <= result.entered_s[1]


async def test_what_was_practised_can_be_shown(desk: Desk) -> None:
    admin = await desk.administrator()
    # As the operator's command enters the database.
    environ = {name: value for name, value in desk.workers.env.items() if name.startswith("MADOGUCHI_")}
    async with commands.context(config.load({}, environ=environ)) as ctx, ctx.db.transaction() as tx:
        at = ctx.clock.now()
        for moved, within in ((190, 42.5), (120, None)):
            await drills.keep(ctx, tx, at, 200, moved, within, f"<p>{moved}</p>", by="operator:test")
    newest, older = (await admin.get(DESK + "/drills"))["drills"][:2]
    assert (newest["moved"], newest["moved_95"]) == (120, None)
    assert (older["people"], older["moved"], older["moved_95"], older["by"]) == (200, 190, 42.5, "operator:test")
    file = await admin.get(f"{DESK}/drills/{older['id']}/export")
    assert (file["media_type"], file["text"]) == ("text/html", "<p>190</p>") and file["file_name"].endswith(".html")
    for nothing in ("0", "-1", "x", "9" * 30):
        await refused(admin.get(f"{DESK}/drills/{nothing}/export"), 404, "M_NOT_FOUND")


async def test_a_drill_that_the_desk_does_not_play_along_with_breaks_off(desk: Desk) -> None:
    play = Play(desk.workers.base_urls[0], "no token", [person(0)], 600, 60)
    with pytest.raises(Failed, match="register: 403"):
        await play.run("a", "b")


class Shape(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "line", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass


@pytest.mark.parametrize("moved", [None, 12.0])
def test_the_report_stands_alone_and_says_what_was_assumed(moved: float | None) -> None:
    result = Result(
        people=20, speed=60, samples=[Sample(0, {"moved": 0}), Sample(30, {"moved": 17, "unreachable": 3})],
        moved_95=moved, left=[Left("<b>case</b>", "high", "unreachable")] * 3, refused=True, closed_by_two=True,
        offered_s=1.5, high_risk_first=True, entered_s=(0.2, 0.9),
    )  # fmt: skip
    html = page(result, Assumptions(people=20), 1, datetime(2026, 11, 29, tzinfo=UTC))
    shape = Shape()
    shape.feed(html)
    assert {"h1", "table", "svg", "polyline"} <= shape.seen
    assert not re.search(r"<script|<link|<img|src=|url\(|<b>", html), "it fetches nothing, and shows names as names"
    assert html.index("default-src 'none'; style-src 'unsafe-inline'") < html.index("<style>"), "and runs nothing"
    assert ("12分後" if moved else "最後まで届かず") in html
    assert "二人の管理者の署名で閉じました" in html and "97%" in html and "乱数の種 1" in html
