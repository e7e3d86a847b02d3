"""The roster of the staff, as the operator has signed it."""

import msgspec

from madoguchi.core.desk import roster as rules
from madoguchi.crypto.roster import Entry, Succession
from madoguchi.web.endpoint import Call


class SignedRoster(msgspec.Struct, frozen=True, omit_defaults=True):
    """desk: server name; issued_at: RFC 3339; key, signature: Ed25519, unpadded base64, over the rest as Matrix's
    canonical JSON; number: only grows; succession: how the operator's keys before have handed over to this one, the
    oldest first, left out where there were none."""

    desk: str
    number: int
    issued_at: str
    key: str
    staff: list[Entry]
    signature: str
    succession: tuple[Succession, ...] = ()


async def get_roster(call: Call) -> SignedRoster:
    """Who is of the staff and by which keys, signed by the operator. Raises NotFound while there is none."""
    return msgspec.convert(await rules.shown(call.tx), SignedRoster)
