"""The desk API's own document: valid, complete, and what its page in the docs says."""

import json

from openapi_spec_validator import OpenAPIV31SpecValidator

from madoguchi.desk.api import ROWS
from tests import desk_page
from tests.cast import DESK
from tests.conformance import Judge
from tests.desk.conftest import Desk


async def test_the_document_is_valid_and_names_every_operation(desk: Desk) -> None:
    given = await desk.line.call("GET", DESK + "/openapi.json")
    OpenAPIV31SpecValidator(given).validate()
    named = {(method.upper(), path) for path, methods in given["paths"].items() for method in methods}
    assert named == {(row.method, row.path) for row in ROWS}
    operations = [each for methods in given["paths"].values() for each in methods.values()]
    assert all(each["summary"].endswith(".") and each["x-roles"] for each in operations)
    assert len({each["operationId"] for each in operations}) == len(operations)
    # Nothing is given whose shape is not told.
    for each in operations:
        schema = each["responses"]["200"]["content"]["application/json"]["schema"]
        assert "$ref" in schema or each["operationId"] == "get_document", each["operationId"]


def test_the_page_is_made_from_the_table() -> None:
    assert desk_page.PAGE.read_text(encoding="utf-8") == desk_page.page()


def test_an_answer_of_another_shape_is_noticed() -> None:
    judge = Judge()
    told = {"method": "GET", "path": DESK + "/me", "query": "", "agent": "x", "asked": None, "status": 200}
    good = {"user_id": "@ken:x", "name": "健", "role": "counsellor", "capacity": 5, "away": False, "debrief": False}
    judge.take({**told, "type": "application/json", "answer": json.dumps(good)})
    assert judge.violations == []
    judge.take({**told, "type": "application/json", "answer": json.dumps(good | {"capacity": "five"})})
    assert "capacity" in judge.violations[0]
    taken = {"method": "PUT", "path": DESK + "/settings/capacity", "agent": "x", "asked": "[]", "status": 403}
    refusal = {"errcode": "M_NEVER_HEARD_OF", "error": "no"}
    judge.take({**told, **taken, "type": "application/json", "answer": json.dumps(refusal)})
    assert "M_NEVER_HEARD_OF" in judge.violations[1]
