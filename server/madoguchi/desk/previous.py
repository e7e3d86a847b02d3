"""Earlier cases of the same person, where the desk and the person want them shown."""

import msgspec

from madoguchi.core.desk import previous as rules
from madoguchi.desk.permissions import caller
from madoguchi.storage.previous import Earlier
from madoguchi.web.endpoint import Call


class Consent(msgspec.Struct, forbid_unknown_fields=True):
    """shown: whether the counsellor may see on which days, how long and about what the person talked before."""

    shown: bool


class Previous(msgspec.Struct, frozen=True):
    """The newest first; days and codes, never what was said."""

    cases: list[Earlier]


async def put_consent(call: Call, body: Consent) -> Consent:
    """Lets the counsellor of the caller's running case see that they came before, or takes that back."""
    call.session.must_not_be_suspended()
    await rules.allow(call.tx, call.session.user_id, body.shown)
    return body


async def list_previous(call: Call, case_id: str) -> Previous:
    """The earlier cases of the person whose running case the caller looks after, if the desk and the person allow it.
    Each look stands in the audit log."""
    return Previous(await rules.read(call.ctx, call.tx, case_id, await caller(call, call.tx)))
