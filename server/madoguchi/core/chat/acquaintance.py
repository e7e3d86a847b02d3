"""Whom somebody may find: an account that one tap makes must not be a way to look around in the house.

Young people without a name and ghosts deal with those who are in a room with them, or invited to it. All others may
look for anybody whose user id they know, as the Matrix specification has it.
"""

from collections.abc import Mapping
from typing import TypeVar

from madoguchi.core.chat.sessions import Session
from madoguchi.ids import UserID
from madoguchi.storage import rooms
from madoguchi.storage.db import Tx

_T = TypeVar("_T")
_AMONG_THEMSELVES = frozenset({"youth", "ghost"})


async def known(tx: Tx, session: Session, by_user: Mapping[UserID, _T]) -> dict[UserID, _T]:
    """Of a mapping by user id what concerns people whom the caller may find; others are as if they did not exist."""
    if session.kind not in _AMONG_THEMSELVES or by_user.keys() <= {session.user_id}:
        return dict(by_user)
    found = {session.user_id, *await rooms.list_acquaintances(tx, session.user_id)}
    return {user_id: value for user_id, value in by_user.items() if user_id in found}
