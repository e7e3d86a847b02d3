"""Who may do what: every operation of the desk, called by everybody."""

import re
from collections.abc import Awaitable, Callable

import pytest

from madoguchi.desk.api import ROWS
from tests.cast import DESK, Person, Refusal, refused
from tests.desk.conftest import Desk
from tests.house import PUSH_SERVICE_PORT

PEOPLE = ("nobody", "young person", "counsellor", "supervisor", "administrator", "auditor", "disabled", "keeper")

ANYONE = set(PEOPLE) - {"disabled"}
USER = {"young person", "counsellor", "supervisor", "administrator", "auditor", "keeper"}
STAFF = {"counsellor", "supervisor", "administrator"}
MEMBER = STAFF | {"auditor"}
SUPERVISOR = {"supervisor", "administrator"}
ADMINISTRATOR = {"administrator"}
OVERSEER = {"administrator", "auditor"}
KEEPER = {"keeper"}

# (method, path) -> who is let in: as the contract with the pages, the bridges and the keeper says.
TABLE: dict[tuple[str, str], set[str]] = {
    ("GET", "/desk"): ANYONE | {"disabled"},
    ("GET", "/roster"): ANYONE | {"disabled"},
    ("GET", "/ledger"): ANYONE | {"disabled"},
    ("GET", "/challenge"): ANYONE | {"disabled"},
    ("GET", "/ledger/full"): OVERSEER,
    ("GET", "/ledger/diff"): OVERSEER,
    ("GET", "/ledger/export"): OVERSEER,
    ("GET", "/ledger/{day}"): OVERSEER,
    ("POST", "/ledger/acknowledge"): ADMINISTRATOR,
    ("POST", "/bridge/egress"): set(),
    ("GET", "/openapi.json"): ANYONE | {"disabled"},
    ("POST", "/cases"): {"nobody", "young person"},
    ("GET", "/cases/mine"): USER,
    ("POST", "/cases/mine/leave"): USER,
    ("PUT", "/cases/mine/answers"): {"young person"},
    ("PUT", "/cases/mine/previous"): {"young person"},
    ("POST", "/cases/mine/survey"): {"young person"},
    ("POST", "/cases/mine/rest"): USER,
    ("PUT", "/cases/mine/news"): USER,
    ("GET", "/cases/mine/deletion"): USER,
    ("POST", "/cases/mine/deletion"): USER,
    ("DELETE", "/cases/mine/deletion"): USER,
    ("GET", "/cases/{case_id}/deletion"): STAFF,
    ("PUT", "/cases/{case_id}/deletion"): STAFF,
    ("DELETE", "/cases/{case_id}/deletion"): STAFF,
    ("GET", "/deletions"): ADMINISTRATOR,
    ("POST", "/cases/{case_id}/move"): STAFF,
    ("GET", "/cases/{case_id}/move/apps"): STAFF,
    ("GET", "/cases/mine/apps"): USER,
    ("POST", "/cases/mine/app_ticket"): USER,
    ("POST", "/cases/{case_id}/move/bring"): STAFF,
    ("POST", "/cases/mine/move/matrix"): {"young person"},
    ("POST", "/move/look"): ANYONE | {"disabled"},
    ("POST", "/move"): ANYONE,
    ("POST", "/move/decline"): ANYONE | {"disabled"},
    ("PUT", "/cases/{case_id}/keeping"): SUPERVISOR,
    ("POST", "/cases/{case_id}/keeping/sign"): SUPERVISOR,
    ("DELETE", "/cases/{case_id}/keeping"): SUPERVISOR,
    ("POST", "/channels/{channel_id}/check"): ADMINISTRATOR,
    ("GET", "/channels/{channel_id}/suspension"): ADMINISTRATOR,
    ("DELETE", "/channels/{channel_id}/closing"): ADMINISTRATOR,
    ("PUT", "/channels/{channel_id}/plan"): ADMINISTRATOR,
    ("DELETE", "/channels/{channel_id}/plan"): ADMINISTRATOR,
    ("GET", "/bridge/errands"): set(),
    ("POST", "/bridge/ticket"): set(),
    ("POST", "/bridge/app_ticket"): set(),
    ("POST", "/bridge/redeem"): set(),
    ("POST", "/bridge/cases/{case_id}/told"): set(),
    ("GET", "/staff_room"): set(),
    ("PUT", "/staff_room/told"): set(),
    ("POST", "/staff_room/commands"): set(),
    ("GET", "/cases/mine/disclosure"): USER,
    ("POST", "/cases/mine/disclosure"): USER,
    ("GET", "/disclosures"): STAFF,
    ("POST", "/cases/{case_id}/court_request"): ADMINISTRATOR,
    ("POST", "/cases/{case_id}/identity_request"): STAFF,
    ("POST", "/disclosures/{disclosure_id}/approve"): SUPERVISOR,
    ("POST", "/disclosures/{disclosure_id}/refuse"): STAFF,
    ("POST", "/disclosures/{disclosure_id}/look"): STAFF,
    ("POST", "/disclosures/{disclosure_id}/done"): STAFF,
    ("GET", "/survey"): SUPERVISOR,
    ("POST", "/lock_reports"): USER,
    ("GET", "/lock_reports"): SUPERVISOR,
    ("PUT", "/return_key"): {"young person"},
    ("DELETE", "/return_key"): {"young person"},
    ("PUT", "/push_subscription"): {"young person"},
    ("DELETE", "/push_subscription"): {"young person"},
    ("POST", "/return"): ANYONE | {"disabled"},
    ("GET", "/me"): MEMBER,
    ("PUT", "/me/away"): STAFF,
    ("PUT", "/me/debrief"): STAFF,
    ("POST", "/staff/{user_id}/debriefed"): SUPERVISOR,
    ("GET", "/queue"): STAFF,
    ("GET", "/replies"): STAFF,
    ("GET", "/risk_words"): STAFF,
    ("GET", "/colleagues"): STAFF,
    ("POST", "/cases/{case_id}/accept"): STAFF,
    ("POST", "/cases/{case_id}/hand_over"): STAFF,
    ("POST", "/cases/{case_id}/call_in"): STAFF,
    ("POST", "/cases/{case_id}/give_back"): STAFF,
    ("POST", "/cases/{case_id}/rest"): STAFF,
    ("POST", "/cases/{case_id}/side_room"): STAFF,
    ("PUT", "/cases/{case_id}/risk"): STAFF,
    ("POST", "/cases/{case_id}/close"): STAFF,
    ("POST", "/cases/{case_id}/block"): STAFF,
    ("POST", "/cases/{case_id}/block/review"): SUPERVISOR,
    ("GET", "/blocks"): SUPERVISOR,
    ("GET", "/cases/{case_id}/previous"): STAFF,
    ("GET", "/records"): STAFF,
    ("GET", "/cases/{case_id}/record"): STAFF,
    ("PUT", "/cases/{case_id}/record"): STAFF,
    ("POST", "/cases/{case_id}/record/followed_up"): STAFF,
    ("POST", "/cases/{case_id}/record/review"): SUPERVISOR,
    ("GET", "/board"): SUPERVISOR,
    ("PUT", "/intake"): SUPERVISOR,
    ("POST", "/cases/{case_id}/join"): SUPERVISOR,
    ("GET", "/reports"): SUPERVISOR,
    ("POST", "/reports/{report_id}/seen"): SUPERVISOR,
    ("POST", "/cases/mine/report"): USER,
    ("GET", "/staff"): ADMINISTRATOR,
    ("POST", "/staff"): ADMINISTRATOR,
    ("PUT", "/staff/{user_id}"): ADMINISTRATOR,
    ("POST", "/staff/{user_id}/password"): ADMINISTRATOR,
    ("POST", "/staff/{user_id}/disable"): ADMINISTRATOR,
    ("POST", "/staff/{user_id}/invitation"): ADMINISTRATOR,
    ("POST", "/staff/redeem"): ANYONE | {"disabled"},
    ("GET", "/channels"): ADMINISTRATOR,
    ("POST", "/channels"): ADMINISTRATOR,
    ("PUT", "/channels/{channel_id}/account"): ADMINISTRATOR,
    ("PUT", "/channels/{channel_id}/mode"): ADMINISTRATOR,
    ("GET", "/drills"): ADMINISTRATOR,
    ("GET", "/drills/{drill_id}/export"): ADMINISTRATOR,
    ("GET", "/audit"): OVERSEER,
    ("GET", "/statistics"): ADMINISTRATOR,
    ("GET", "/statistics/export"): ADMINISTRATOR,
    ("GET", "/status"): ADMINISTRATOR,
    ("GET", "/settings"): ADMINISTRATOR,
    ("PUT", "/settings/{name}"): ADMINISTRATOR,
    ("GET", "/guidance"): ADMINISTRATOR,
    ("PUT", "/guidance"): ADMINISTRATOR,
    ("PUT", "/guidance/{guidance_id}"): ADMINISTRATOR,
    ("DELETE", "/guidance/{guidance_id}"): ADMINISTRATOR,
    ("POST", "/guidance/{guidance_id}/confirm"): ADMINISTRATOR,
    ("GET", "/texts"): ADMINISTRATOR,
    ("PUT", "/texts/{key}/{language}"): ADMINISTRATOR,
    ("DELETE", "/texts/{key}/{language}"): ADMINISTRATOR,
    ("PUT", "/replies"): ADMINISTRATOR,
    ("PUT", "/replies/{reply_id}"): ADMINISTRATOR,
    ("DELETE", "/replies/{reply_id}"): ADMINISTRATOR,
    ("PUT", "/risk_words"): ADMINISTRATOR,
    ("POST", "/admin/redeem"): ANYONE | {"disabled"},
    ("GET", "/keeper/invitations"): KEEPER,
    ("PUT", "/keeper/vault_keys"): KEEPER,
    ("POST", "/keeper/history_given"): KEEPER,
    ("GET", "/keeper/vault_key"): KEEPER,
}
BODIES: dict[str, object] = {
    "/cases": {"channel": "web"},
    "/cases/{case_id}/hand_over": {"to": "@nobody:madoguchi.test", "reason": "r"},
    "/cases/mine/survey": {"heard": 1},
    "/cases/mine/previous": {"shown": False},
    "/cases/{case_id}/block": {"reason": "abuse"},
    "/cases/{case_id}/block/review": {"days": 0},
    "/cases/mine/report": {"kind": "other"},
    "/lock_reports": {"room_id": "!nosuch:madoguchi.test", "kind": "stranger"},
    "/return_key": {"id": "i" * 22, "secret": "s" * 43},
    "/return": {"id": "i" * 22, "secret": "s" * 43},
    "/push_subscription": {"endpoint": f"http://127.0.0.1:{PUSH_SERVICE_PORT}/1", "p256dh": "p" * 87, "auth": "a" * 22},
    "/me/away": {"away": False},
    "/me/debrief": {"wanted": False},
    "/cases/{case_id}/call_in": {"to": "@nobody:madoguchi.test"},
    "/cases/{case_id}/risk": {"risk": "high"},
    "/cases/{case_id}/record": {"topics": ["friends"]},
    "/cases/{case_id}/record/review": {"verdict": "reviewed"},
    "/cases/{case_id}/court_request": {"reference": "1", "reason": "r"},
    "/cases/{case_id}/identity_request": {"reason": "r", "hours": 1},
    "/disclosures/{disclosure_id}/refuse": {"refusal": "no_grounds"},
    "/cases/{case_id}/deletion": {"reason": "r"},
    "/intake": {"intake": "open"},
    "/ledger/acknowledge": {"seq": 1},
    "/bridge/egress": {"requests": {}},
    "/staff": {"localpart": "UPPER", "name": "n", "role": "counsellor"},
    "/staff/redeem": {"token": "wrong", "password": "long enough for this"},
    "/settings/{name}": {"value": 1},
    "/staff_room/told": {"case_id": "c", "told": "ended", "event_id": "$e"},
    "/staff_room/commands": {"event_id": "$e", "command": "help"},
    "/channels": {"kind": "line", "sealed": "not sealed"},
    "/channels/{channel_id}/account": {"sealed": "not sealed"},
    "/channels/{channel_id}/mode": {"mode": "closed", "reason": "r"},
    "/guidance": {"order": []},
    "/guidance/{guidance_id}": {"name": "n", "phone": "110", "hours_text": "h"},
    "/cases/mine/news": {"wanted": True},
    "/cases/mine/app_ticket": {"channel_id": "line"},
    "/bridge/redeem": {"channel_id": "line", "event": "e", "code": "2222-222A"},
    "/move": {"token": "wrong"},
    "/move/look": {"token": "wrong"},
    "/move/decline": {"code": "wrong"},
    "/cases/{case_id}/keeping": {"reason": "r", "until": 1},
    "/channels/{channel_id}/plan": {"mode": "closed", "reason": "r", "at": 1},
    "/bridge/cases/{case_id}/told": {"what": "news"},
    "/replies": {"order": []},
    "/replies/{reply_id}": {"language": "ja", "title": "t", "text": "t"},
    "/texts/{key}/{language}": {"text": "t"},
    "/risk_words": {"revision": "none", "words": []},
    "/admin/redeem": {"token": "wrong", "localpart": "x", "name": "n", "password": "long enough"},
    "/keeper/vault_keys": {"keys": []},
    "/keeper/history_given": {"room_id": "!no:such", "user_id": "@no:such", "sessions": 1, "devices": 1},
}


async def _cast(desk: Desk) -> dict[str, Person | None]:
    admin = await desk.administrator()
    disabled = await desk.staff("止")
    await admin.post(f"{DESK}/staff/{disabled.user_id}/disable")
    young, _ = await desk.arrives()
    return {
        "nobody": None,
        "young person": young,
        "counsellor": await desk.staff("健"),
        "supervisor": await desk.staff("主", "supervisor"),
        "administrator": admin,
        "auditor": await desk.staff("監", "auditor"),
        "disabled": disabled,
        "keeper": await desk.keeper(),
    }


def test_the_table_names_every_operation() -> None:
    assert {(row.method, row.path.removeprefix(DESK)) for row in ROWS} == set(TABLE)


async def test_every_operation_lets_in_whom_it_should_and_nobody_else(desk: Desk) -> None:
    people = await _cast(desk)
    wrong: list[str] = []
    for (method, path), allowed in TABLE.items():
        for who, person in people.items():
            let_in = await _is_let_in(_call(desk, person, method, path))
            if let_in != (who in allowed):
                wrong.append(f"{method} {path}: {who} was {'let in' if let_in else 'kept out'}")
    assert not wrong, "\n".join(wrong)


def _call(desk: Desk, person: Person | None, method: str, path: str) -> Callable[[], Awaitable[object]]:
    token = person.token if person else None
    filled = DESK + path.format(
        case_id="nosuchcase",
        user_id="@nobody:madoguchi.test",
        name="nosuch",
        guidance_id="No",
        reply_id="No",
        day="no",
        channel_id="no",
        disclosure_id="no",
        drill_id="no",
        report_id="no",
        key="no",
        language="no",
    )
    body = BODIES.get(path, {} if method in ("POST", "PUT") else None)
    return lambda: desk.some_line().call(method, filled, body, token=token)


async def _is_let_in(attempt: Callable[[], Awaitable[object]]) -> bool:
    """Whether the door opened: an answer, or a refusal that is about the matter (no such case, a wrong value)."""
    try:
        await attempt()
    except Refusal as told:
        if told.status == 401:
            return False
        # A link or phrase that is wrong is refused behind the door, with the same code as at it.
        return told.status != 403 or re.search("link|words", told.body["error"]) is not None
    return True


@pytest.mark.parametrize("role", ["counsellor", "auditor"])
async def test_the_role_is_read_anew_at_every_call(desk: Desk, role: str) -> None:
    person = await desk.staff("変", "administrator")
    await person.get(DESK + "/staff")
    desk.workers.postgres.psql(f"UPDATE staff SET role = '{role}' WHERE user_id = '{person.user_id}'", "madoguchi")
    assert not await _is_let_in(lambda: person.get(DESK + "/staff"))


async def test_who_is_suspended_looks_and_does_nothing(desk: Desk) -> None:
    admin, ken, mio = await desk.administrator(), await desk.staff("健"), await desk.person("mio")
    _, opened = await desk.arrives()
    for person in (ken, mio):
        await admin.put(f"/_matrix/client/v1/admin/suspend/{person.user_id}", {"suspended": True})
    await ken.get(DESK + "/queue")
    await refused(ken.post(f"{DESK}/cases/{opened['case_id']}/accept"), 403, "M_USER_SUSPENDED")
    await refused(mio.post(DESK + "/cases", {"channel": "web"}), 403, "M_USER_SUSPENDED")
