"""What the page says to young people, in the operator's own words; whoever looks at the page is told them."""

import json
from pathlib import Path

import pytest

from madoguchi.core.desk.texts import LONGEST
from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk

TEXTS = DESK + "/texts"
CATALOGUES = Path(__file__).parents[2] / "client-web" / "src" / "i18n" / "youth"


async def own(admin: Person) -> Json:
    return {each["key"]: each["own"] for each in (await admin.get(TEXTS))["texts"] if each["own"]}


def test_every_text_that_can_be_changed_is_one_of_the_page_and_fits_itself() -> None:
    for language in ("ja", "ja-x-easy", "en"):
        catalogue = json.loads((CATALOGUES / f"{language}.json").read_text())
        assert {key for key, longest in LONGEST.items() if 0 < len(catalogue.get(key, "")) <= longest} == LONGEST.keys()


async def test_an_administrator_words_a_text_and_goes_back(desk: Desk) -> None:
    admin, anybody = await desk.administrator(), desk.some_line()

    async def said() -> Json:
        return dict((await anybody.call("GET", DESK + "/desk"))["texts"])

    path = TEXTS + "/start.lead/"
    assert await said() == {} == await own(admin)
    try:
        told = await admin.put(path + "ja", {"text": "  {desk}です。ここで話せます。 "})
        assert [each["key"] for each in told["texts"]] == list(LONGEST)
        await admin.put(path + "en", {"text": "Talk with us."})
        await admin.put(path + "en", {"text": "Talk with us here."})
        wanted = {"ja": {"start.lead": "{desk}です。ここで話せます。"}, "en": {"start.lead": "Talk with us here."}}
        assert await said() == wanted
        written = (await own(admin))["start.lead"]["ja"]
        assert written["changed_by"] == admin.user_id and written["changed_at"] > 1_700_000_000_000
        await admin.call("DELETE", path + "ja")
        assert await said() == {"en": wanted["en"]}
        await refused(admin.call("DELETE", path + "ja"), 404, "M_NOT_FOUND")
        # Which text in which language was changed is written down, and no word of it.
        entries = (await admin.get(DESK + "/audit?limit=4"))["entries"]
        assert {(each["act"], each["subject"]) for each in entries} == {("texts.changed", "start.lead")}
        assert [json.loads(each["detail"]) for each in entries] == [
            {"language": code} for code in ("ja", "en", "en", "ja")
        ]
    finally:
        await admin.call("DELETE", path + "en")
    assert await said() == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 to 200"),
        ("   ", "1 to 200"),
        ("あ" * 201, "1 to 200"),
        ("<b>ここ</b>", "plain"),
        ("二つの\n段落", "paragraph"),
        ("見えない\u200b字", "signs that nobody sees"),
        ("右から\u202e左へ", "signs that nobody sees"),
        ("{name}さん", "{desk}"),
        ("{desk", "{desk}"),
        ("{{desk}}", "{desk}"),
    ],
)
async def test_what_the_page_could_not_show_is_refused(desk: Desk, text: str, why: str) -> None:
    admin = await desk.administrator()
    told = await refused(admin.put(TEXTS + "/start.lead/ja", {"text": text}), 400, "M_INVALID_PARAM")
    assert why in told.body["error"]
    assert await own(admin) == {}


async def test_only_texts_of_the_list_in_languages_of_the_page(desk: Desk) -> None:
    admin = await desk.administrator()
    # What says who can read has to be true of the program, and a button has to say what it does.
    for where in (
        "lock.title/ja",
        "readers.lead/ja",
        "start.button/ja",
        "nothing/ja",
        "start.lead/fr",
        "start.lead/JA",
    ):
        await refused(admin.put(f"{TEXTS}/{where}", {"text": "t"}), 404, "M_NOT_FOUND")
        await refused(admin.call("DELETE", f"{TEXTS}/{where}"), 404, "M_NOT_FOUND")
    for body in ({}, {"text": 1}, {"text": "t", "key": "x"}, {"text": "x" * 4001}):
        await refused(admin.put(TEXTS + "/start.lead/ja", body), 400)
    assert await own(admin) == {}
