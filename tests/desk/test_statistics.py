"""Statistics over HTTP: counted by the database, small numbers left out, as files that a spreadsheet opens safely."""

import csv
import io
import json
import re
from datetime import date
from pathlib import Path
from typing import get_type_hints

import pytest

from madoguchi.core.desk import categories
from madoguchi.core.desk import statistics as rules
from madoguchi.storage.records import Codes
from tests.cast import DESK, Json, Person, refused
from tests.desk.conftest import Desk
from tests.desk.test_audit import newest
from tests.desk.test_records import words_of

MARCH = {"from_": "2021-03-01", "to": "2021-03-28"}
# 60 cases in four weeks before the desk's own time, 15 a week, by 50 people; three were never answered.
MADE = """
    DELETE FROM cases WHERE id LIKE 'past-%';
    INSERT INTO cases (id, room_id, user_id, channel_id, state, arrived_at, waiting_since, place_on_arrival,
                       accepted_at, closed_at, record_due)
    SELECT 'past-' || n, '!past-' || n, '@past-' || n % 50, CASE WHEN n % 3 = 0 THEN 'matrix' ELSE 'web' END, 'closed',
           at, at, 1, CASE WHEN n < 57 THEN at + interval '4 minutes' END, at + n * interval '1 minute', false
      FROM (SELECT n, '2021-03-01 20:30+09'::timestamptz + n % 28 * interval '1 day' AS at
              FROM generate_series(0, 59) AS n) made;
    INSERT INTO case_staff (case_id, user_id, since)
    SELECT id, '{staff}', accepted_at FROM cases WHERE id LIKE 'past-%' AND accepted_at IS NOT NULL;
    INSERT INTO records (case_id, state, written_by, written_at, changed_at, contact, visit, age, school, grade, gender,
                         prefecture, topics, risk, risk_reasons, attitude, actions, referrals, consent, outcome,
                         ended_by)
    SELECT id, 'written', '{staff}', now(), now(), CASE WHEN n < 44 THEN 'self' ELSE 'silent' END, 'first',
           CASE WHEN n < 2 THEN 'to_9' WHEN n < 30 THEN '13_15' ELSE 'unknown' END, 'junior_high', 1 + n % 3, 'female',
           27, CASE WHEN n < 44 THEN ARRAY['friends', CASE WHEN n < 3 THEN 'suicidal' ELSE 'family' END]
                    ELSE ARRAY[]::text[] END,
           'none', ARRAY[]::text[], 'calmer', ARRAY['listened'], ARRAY[]::text[], 'given', 'settled', 'agreed'
      FROM (SELECT id, split_part(id, '-', 2)::int AS n FROM cases WHERE id LIKE 'past-%') past WHERE n < 50;
"""


@pytest.fixture
async def admin(desk: Desk) -> Person:
    staff = await desk.staff("健")
    desk.workers.postgres.psql(MADE.format(staff=staff.user_id), "madoguchi")
    return await desk.administrator()


async def seen(person: Person, **span: str) -> Json:
    return await person.get(DESK + "/statistics", **(span or MARCH))


def table(figures: Json, name: str) -> dict[str, int | None]:
    (found,) = [each for each in figures["tables"] if each["name"] == name]
    return {cell["name"]: cell["count"] for cell in found["cells"]}


async def test_what_the_database_counts(admin: Person) -> None:
    told = await seen(admin)
    now, before = told["current"], told["previous"]
    assert (told["fewest"], now["first"], now["last"]) == (5, "2021-03-01", "2021-03-28")
    assert (before["first"], before["last"]) == ("2021-02-01", "2021-02-28")
    # Three that nobody answered are not told, nor how many came with them; tables are of those answered.
    assert now["totals"] == {
        "accesses": None, "not_answered": None, "answered": 57, "recorded": 50, "unrecorded": 7,
        "not_formed": 6, "held": 44, "people": 50, "held_people": 44,
    }  # fmt: skip
    assert table(now, "channel") == {"matrix": 19, "web": 38}
    assert table(now, "hour")["20"] == 57 and table(now, "hour")["21"] == 0
    assert sum(count or 0 for count in table(now, "weekday").values()) == 57
    # Two or three a day: not told, and no day of a weekday follows from the others.
    assert set(table(now, "day").values()) == {None}
    # Two of under ten are not told, nor those whose age is not known, from which they would follow.
    assert table(now, "age") == {
        "to_9": None, "10_12": 0, "13_15": 28, "16_17": 0, "18_19": 0, "from_20": 0, "unknown": None,
    }  # fmt: skip
    assert table(now, "school")["junior_high"] == 50
    assert [table(now, "grade")[f"junior_high.{each}"] for each in (1, 2, 3)] == [17, 17, 16]
    topics = table(now, "topics")
    assert (topics["friends"], topics["suicidal"], topics["family"], topics["abuse"]) == (44, None, None, 0)
    assert table(now, "person") == {"self": 44, "about_child": 0, "unknown": 6}
    assert now["waiting"] == {"of": "answered", "mean": 240, "median": 240, "longest": 240}
    assert table(now, "waiting")["1"] == 57
    assert now["duration"]["of"] == "answered" and now["duration"]["longest"] == 52 * 60
    assert sum(count or 0 for count in table(now, "duration").values()) <= 57
    # An hour in which one talked is told of nobody; at 20:00 it was two a day, by one member of staff.
    assert now["hours"][20]["lines"] == pytest.approx(57 / 28, abs=0.01) and now["hours"][20]["staff"] == 1.0
    assert now["hours"][3] == {"hour": 3, "lines": 0.0, "staff": 0.0}
    assert before["totals"]["accesses"] == 0 and before["waiting"] is None


async def test_few_are_not_told_at_all(admin: Person) -> None:
    told = (await seen(admin, from_="2021-03-01", to="2021-03-01"))["current"]
    assert set(told["totals"].values()) == {None}
    assert {cell["count"] for each in told["tables"] for cell in each["cells"]} <= {None, 0}
    assert told["waiting"] is None and told["hours"][20] == {"hour": 20, "lines": None, "staff": None}


async def test_a_long_span_is_told_by_month(admin: Person) -> None:
    told = (await seen(admin, from_="2020-04-01", to="2021-03-31"))["current"]
    months = table(told, "month")
    assert len(months) == 12 and months["2021-03"] == 57 and months["2020-04"] == 0


async def test_who_moved_from_an_app_counts_where_they_came_from(desk: Desk, admin: Person) -> None:
    psql = desk.workers.postgres.psql
    psql(
        """
        INSERT INTO channels (id, kind, name, mode) VALUES ('past-line', 'line', 'LINE', 'closed');
        INSERT INTO past_persons (case_id, channel_id, user_id, until)
        SELECT id, 'past-line', '@line_a', now() FROM cases
         WHERE id IN ('past-1', 'past-2', 'past-4', 'past-5', 'past-7', 'past-8')
        """,
        "madoguchi",
    )
    told = (await seen(admin))["current"]
    assert table(told, "channel") == {"line": 6, "matrix": 19, "web": 32}
    # One person, whoever they became on the page each time; four of these have come besides.
    assert told["totals"]["people"] == 50 - 6 + 4 + 1
    psql("DELETE FROM cases WHERE id LIKE 'past-%'; DELETE FROM channels WHERE id = 'past-line'", "madoguchi")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2021-03-02", "2021-03-01"), ("2021-03-01", "2026-03-01"), ("1990-01-01", "1990-02-01"), ("x", "2021-03-01"),
        ("2021-02-30", "2021-03-01"), ("0001-01-01", "0001-01-02"), ("9999-12-30", "9999-12-31"), ("", ""),
    ],
)  # fmt: skip
async def test_spans_that_make_no_sense(admin: Person, first: str, last: str) -> None:
    await refused(seen(admin, from_=first, to=last), 400, "M_INVALID_PARAM")
    await refused(admin.get(DESK + "/statistics/export", from_=first, to=last), 400, "M_INVALID_PARAM")


async def test_the_files(admin: Person) -> None:
    # The last four weeks, where no span is asked for.
    usual = (await admin.get(DESK + "/statistics"))["current"]
    assert (date.fromisoformat(usual["last"]) - date.fromisoformat(usual["first"])).days == 27
    await refused(admin.get(DESK + "/statistics/export", format="pdf", **MARCH), 400, "M_INVALID_PARAM")
    settings = await admin.get(DESK + "/settings")
    await admin.put(DESK + "/settings/name", {"value": '=HYPERLINK("http://x")'})
    try:
        file = await admin.get(DESK + "/statistics/export", **MARCH)
        english = await admin.get(DESK + "/statistics/export", language="en", **MARCH)
        of_program = await admin.get(DESK + "/statistics/export", format="json", **MARCH)
    finally:
        await admin.put(DESK + "/settings/name", {"value": settings["name"]})
    assert file["file_name"] == "madoguchi-2021-03-01-2021-03-28.csv" and file["media_type"] == "text/csv"
    assert file["text"].startswith("\ufeff区分,符号,項目") and "\r\n" in file["text"]
    rows = list(csv.reader(io.StringIO(file["text"].removeprefix("\ufeff"))))
    assert {len(row) for row in rows} == {5}
    assert next(row for row in rows if row[1] == "desk")[3] == '\'=HYPERLINK("http://x")'
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    cells = {(row[0], row[2]): row[3:] for row in rows}
    assert cells["相談内容(複数)", "友人関係"] == ["44", "0"]
    assert cells["年齢", "9歳以下"] == ["x", "0"]
    assert cells["学年", "中学校 1年"] == ["17", "0"]
    assert cells["件数と人数", "相談成立"] == ["44", "0"] and cells["待ち時間", "中央値(分)"] == ["4.0", "x"]
    # Every code has its words in both languages.
    assert not any(cell.isascii() and "_" in cell for row in rows for cell in (row[0], row[2]))
    assert all(row[0].isascii() for row in csv.reader(io.StringIO(english["text"].removeprefix("\ufeff"))))
    read = json.loads(of_program["text"])
    assert read["current"]["totals"]["held"] == 44 and read["words"]["fields"]["topics"]["friends"][0] == "友人関係"
    taken = [json.loads(entry["detail"]) for entry in await newest(admin, 6) if entry["act"] == "statistics.exported"]
    assert {"first": "2021-03-01", "last": "2021-03-28", "format": "json"} in taken and len(taken) == 3


def test_every_code_has_its_words() -> None:
    hints = {name: words_of(hint) for name, hint in get_type_hints(Codes).items()}
    hints_with_words = {name: words for name, words in hints.items() if words}
    assert hints_with_words == {name: set(words) for name, words in categories.FIELDS.items()}
    assert set(categories.TABLES["waiting"]) == set(rules.WAITING)
    assert set(categories.TABLES["duration"]) == set(rules.DURATION)
    assert set(categories.TABLES["weekday"]) == set(rules.WEEKDAYS)
    assert set(categories.TABLES["prefecture"]) == set(rules.PREFECTURES)
    assert set(categories.TOTALS) == set(rules.Totals.__struct_fields__)
    assert len(set(categories.TABLES["prefecture"].values())) == 48
    client = Path(__file__).resolve().parents[2] / "client-web" / "src"
    for number, language in enumerate(("ja", "en")):
        said = json.loads((client / "i18n" / "staff" / f"{language}.json").read_text())
        for name, words in categories.FIELDS.items():
            for code, names in words.items():
                assert said[f"record.{name}.{code}"] == names[number]
        for code, names in categories.TABLES["prefecture"].items():
            assert said[f"prefecture.{code}"] == names[number]
    # The page offers what the desk takes.
    offered = re.findall(
        r"^  (\w+): \[(.*?)\],$", (client / "screens" / "codes.ts").read_text(), re.DOTALL | re.MULTILINE
    )
    assert {name: set(re.findall(r'"(\w+)"', codes)) for name, codes in offered} == hints_with_words
