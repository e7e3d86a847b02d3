"""People whom a user does not want to hear of (client-server API, "Ignoring Users"): their messages and invitations are
not sent to the user's devices; what they change of a room's state is."""

import msgspec

from madoguchi.ids import UserID
from madoguchi.storage import account_data as stored_account_data
from madoguchi.storage.db import Tx
from madoguchi.storage.events import Event

IGNORED_USERS = "m.ignored_user_list"
NOBODY: frozenset[UserID] = frozenset()


async def ignored_by(tx: Tx, user_id: UserID) -> frozenset[UserID]:
    """Whom the user ignores."""
    content = await stored_account_data.get_account_data(tx, user_id, None, IGNORED_USERS)
    if content is None:
        return NOBODY
    users = msgspec.json.decode(content).get("ignored_users")
    return frozenset(users) - {user_id} if isinstance(users, dict) else NOBODY


def is_hidden(event: Event, ignored: frozenset[UserID]) -> bool:
    """Whether an event is not for the eyes of somebody who ignores these users."""
    return event.sender in ignored and event.state_key is None
