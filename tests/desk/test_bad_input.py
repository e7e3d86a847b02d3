"""Whatever is sent: a Matrix error, never a 500, and nothing changes."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madoguchi.desk.api import ROWS
from tests.cast import DESK, Refusal, refused
from tests.desk.conftest import Desk

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
WORDS = ["channel", "channel_id", "language", "with_password", "to", "reason", "localpart", "name", "role", "capacity"]
WORDS += [
    "token",
    "password",
    "value",
    "keys",
    "risk",
    "intake",
    "away",
    "order",
    "hours",
    "room_id",
    "session_id",
    "sender_key",
    "sealed",
    "key_id",
    "web",
    "topics",
    "grade",
    "follow_up",
    "note_event",
    "verdict",
    "kind",
    "about",
    "team",
    "text",
    "reference",
    "refusal",
    "handover",
    "school",
    "shown",
]
nearly = st.dictionaries(st.sampled_from(WORDS), anything | st.sampled_from(["web", "line", "matrix", "counsellor"]))
BODIES = [row for row in ROWS if row.method in ("POST", "PUT")]


def filled(path: str, value: str = "x") -> str:
    return "/".join(value if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"channel": "web"',
        b'{"channel": 1}',
        b'{"channel": "we\\u0000b"}',
        b'{"channel": "\\ud800"}',
        b'{"channel": ""}',
        b'{"language": "' + b"x" * 100 + b'"}',
        b'{"with_password": "yes"}',
        b"[" * 100_000,
        b'{"channel": ' + b"9" * 5_000 + b"}",
    ],
)
async def test_a_bad_body_is_refused_and_opens_nothing(desk: Desk, raw: bytes) -> None:
    before = desk.workers.postgres.psql("SELECT count(*) FROM cases", "madoguchi")
    told = await refused(desk.line.call("POST", DESK + "/cases", raw=raw))
    assert told.status == 400 and told.errcode in ("M_NOT_JSON", "M_BAD_JSON", "M_INVALID_PARAM", "M_MISSING_PARAM")
    assert desk.workers.postgres.psql("SELECT count(*) FROM cases", "madoguchi") == before


async def test_a_giant_body_is_refused(desk: Desk) -> None:
    raw = json.dumps({"channel": "web", "language": "x" * 6_000_000}).encode()
    await refused(desk.line.call("POST", DESK + "/cases", raw=raw), 413, "M_TOO_LARGE")


@pytest.mark.parametrize("after", ["-1", "x", "1.5", str(2**63), str(2**200), "", "%00"])
async def test_a_bad_position_is_refused(desk: Desk, after: str) -> None:
    mio, _ = await desk.arrives()
    path = f"{DESK}/cases/mine?after={after}&timeout=0"
    await refused(mio.call("GET", path), 400, "M_INVALID_PARAM")


@pytest.mark.parametrize("case", ["..%2F..%2Fx", "%00", "%ff", ""])
async def test_path_tricks_lead_nowhere(desk: Desk, case: str) -> None:
    ken = await desk.staff("健")
    told = await refused(ken.post(f"{DESK}/cases/{case}/accept"))
    assert told.status in (400, 404)


async def test_unknown_paths_and_methods(desk: Desk) -> None:
    await refused(desk.line.call("GET", DESK + "/nothing"), 404, "M_UNRECOGNIZED")
    await refused(desk.line.call("DELETE", DESK + "/cases"), 405, "M_UNRECOGNIZED")
    await refused(desk.line.call("GET", DESK + "/queue"), 401, "M_MISSING_TOKEN")
    await refused(desk.line.call("GET", DESK + "/queue", token="guessed"), 401, "M_UNKNOWN_TOKEN")


async def test_no_body_of_any_shape_breaks_anything(desk: Desk) -> None:
    admin, keeper, ken = await desk.administrator(), await desk.keeper(), await desk.staff("健")
    young, _ = await desk.arrives()
    callers = {"ADMINISTRATOR": admin, "KEEPER": keeper, "STAFF": ken, "USER": young, "OPTIONAL": young}
    callers |= {"ANYONE": young, "SUPERVISOR": admin, "MEMBER": ken, "YOUNG_PERSON": young, "OVERSEER": admin}
    callers |= {"BRIDGE": young, "GHOST": young, "BOT": young}
    tried: list[tuple[str, str, Any]] = []

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(range(len(BODIES))), nearly | anything)
    def gather(index: int, body: Any) -> None:
        row = BODIES[index]
        # Leaving and closing are whole without a body; trying them would only end the case.
        tried.append((row.method, row.path, body))

    gather()
    by_path = {(row.method, row.path): row for row in BODIES}
    for method, path, body in tried:
        person = callers[by_path[method, path].who.__name__]
        try:
            await person.call(method, filled(path), body)
        except Refusal as refusal:
            if refusal.status not in (400, 401, 403, 404, 409, 410, 413) or not refusal.errcode:
                raise AssertionError(f"{method} {path} {body!r}") from refusal
