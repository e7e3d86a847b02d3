"""Who may do what at the desk: one table, role by operation. The rows of `api.py` name one of these words."""

from collections.abc import Awaitable, Callable

from madoguchi import errors
from madoguchi.core.desk import case_room, staff, staff_room
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Role, Staff
from madoguchi.web.endpoint import Call

# Each word, and the roles it lets in. Disabled staff have no role.
ROLES: dict[str, frozenset[Role]] = {
    "MEMBER": frozenset({"counsellor", "supervisor", "administrator", "auditor"}),
    "STAFF": frozenset({"counsellor", "supervisor", "administrator"}),
    "SUPERVISOR": frozenset({"supervisor", "administrator"}),
    "ADMINISTRATOR": frozenset({"administrator"}),
    "OVERSEER": frozenset({"administrator", "auditor"}),
}
_REFUSALS = {
    "MEMBER": "Only the desk's staff may do this.",
    "STAFF": "Only the desk's counsellors may do this.",
    "SUPERVISOR": "Only supervisors may do this.",
    "ADMINISTRATOR": "Only administrators may do this.",
    "OVERSEER": "Only administrators and auditors may do this.",
}


def _only(word: str) -> Callable[[Call], Awaitable[None]]:
    async def who(call: Call) -> None:
        if call.row.tx:
            await _admit(call, call.tx, word)
        else:
            async with call.ctx.db.transaction() as tx:
                await _admit(call, tx, word)

    who.__name__ = who.__qualname__ = word
    return who


async def _admit(call: Call, tx: Tx, word: str) -> None:
    member = await staff.member(tx, call.session.user_id)
    if call.row.method != "GET":
        call.session.must_not_be_suspended()
    if member.role not in ROLES[word]:
        raise errors.NotAllowed(_REFUSALS[word])


MEMBER = _only("MEMBER")
STAFF = _only("STAFF")
SUPERVISOR = _only("SUPERVISOR")
ADMINISTRATOR = _only("ADMINISTRATOR")
OVERSEER = _only("OVERSEER")


async def YOUNG_PERSON(call: Call) -> None:
    """A young person who came by the web page: an account without a name."""
    if call.session.kind != "youth":
        raise errors.NotAllowed("Only young people who came by the desk's page may do this.")


async def KEEPER(call: Call) -> None:
    """The keeper process, by its own account."""
    if call.session.user_id != case_room.keeper_id(call.ctx):
        raise errors.NotAllowed("Only the keeper may do this.")


async def BOT(call: Call) -> None:
    """The desk's bot in the staff room, by its own account."""
    if call.session.user_id != staff_room.bot_id(call.ctx) or call.session.kind != "keeper":
        raise errors.NotAllowed("Only the desk's bot may do this.")


async def BRIDGE(call: Call) -> None:
    """An application service, by its token."""
    if call.session.appservice is None:
        raise errors.NotAllowed("Only the desk's bridges may do this.")


async def GHOST(call: Call) -> None:
    """An application service that names the ghost for whom it speaks, by `user_id`."""
    await BRIDGE(call)
    if "user_id" not in call.query:
        raise errors.MissingParam("A bridge says for whom, by user_id.")


async def caller(call: Call, tx: Tx) -> Staff:
    """The member of staff who calls."""
    return await staff.member(tx, call.session.user_id)
