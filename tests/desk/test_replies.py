"""Saved replies: some to begin with, which administrators make the desk's own; staff alone read them."""

import re

from madoguchi.core.desk.replies import BLANKS
from tests.cast import DESK, Json, refused
from tests.desk.conftest import Desk

REPLIES = DESK + "/replies"


async def test_the_replies_to_begin_with_say_the_same_in_every_language(desk: Desk) -> None:
    replies: list[Json] = (await (await desk.staff("健")).get(REPLIES))["replies"]
    by_language: dict[str, dict[str, list[str]]] = {}
    for reply in replies:
        said = by_language.setdefault(reply["language"], {})
        said[reply["id"].split("_")[0]] = sorted(re.findall(r"\{(\w+)\}", reply["text"]))
        assert "\\n" not in reply["text"] and set(re.findall(r"\{(\w+)\}", reply["text"])) <= set(BLANKS)
    assert by_language.keys() == {"ja", "ja-x-easy", "en"}
    assert by_language["ja"] == by_language["ja-x-easy"] == by_language["en"]


async def test_an_administrator_writes_orders_and_removes_replies(desk: Desk) -> None:
    admin, ken = await desk.administrator(), await desk.staff("健")
    before = (await admin.get(REPLIES))["replies"]
    wording = {"language": "ja", "title": "市の案内", "text": "{desk}です。\n{name}より"}
    path = REPLIES + "/city"
    try:
        assert (await admin.put(path, wording))["replies"][-1] == {"id": "city", **wording}
        changed = (await admin.put(path, wording | {"title": "県の案内"}))["replies"]
        assert [reply["id"] for reply in changed] == [reply["id"] for reply in before] + ["city"]
        order = [changed[-1]["id"], *[reply["id"] for reply in changed[:-1]]]
        await admin.put(REPLIES, {"order": order})
        assert [reply["id"] for reply in (await ken.get(REPLIES))["replies"]] == order
        await refused(admin.put(REPLIES, {"order": order[1:]}), 409, "M_CONFLICT")
        acts = [entry["act"] for entry in (await admin.get(DESK + "/audit?limit=3"))["entries"]]
        assert acts == ["replies.ordered", "reply.written", "reply.written"]
    finally:
        await admin.call("DELETE", path)
    assert (await ken.get(REPLIES))["replies"] == before
    await refused(admin.call("DELETE", path), 404, "M_NOT_FOUND")


async def test_what_makes_no_sense_is_refused_and_changes_nothing(desk: Desk) -> None:
    admin = await desk.administrator()
    before = await admin.get(REPLIES)
    good = {"language": "ja", "title": "t", "text": "t"}
    for wrong in (
        {"text": "こんにちは {neme}"},
        {"text": ""},
        {"text": "x" * 4001},
        {"text": "a\x00b"},
        {"title": "two\nlines"},
        {"title": "x" * 61},
        {"language": "fr"},
        {"sent": True},
    ):
        told = await refused(admin.put(REPLIES + "/x", good | wrong), 400)
        assert told.errcode in ("M_INVALID_PARAM", "M_BAD_JSON")
    await refused(admin.put(REPLIES + "/Not%20one", good), 400, "M_INVALID_PARAM")
    assert await admin.get(REPLIES) == before


async def test_the_console_learns_the_hours_and_the_language_of_a_page(desk: Desk) -> None:
    ken = await desk.staff("健")
    _, opened = await desk.arrives(language="ja-x-easy")
    await ken.post(f"{DESK}/cases/{opened['case_id']}/accept")
    assert (await ken.get(DESK + "/queue"))["mine"][0]["language"] == "ja-x-easy"
    assert (await ken.get(DESK + "/desk"))["hours"] == (await (await desk.administrator()).get(DESK + "/settings"))[
        "hours"
    ]
