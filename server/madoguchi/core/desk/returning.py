"""Coming back 合言葉: a young person without an account name opens their case on another phone, by their return phrase.

From the phrase their device makes three things by a slow function (client-web, `screens/youth/phrase.ts`): an id, a
secret for this server, and a key that opens their messages and never comes here.
"""

import hashlib
import hmac

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat import sessions
from madoguchi.core.chat.sessions import Started
from madoguchi.core.desk import moves, resting
from madoguchi.ids import UserID
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import return_keys as stored
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx
from madoguchi.storage.return_keys import ReturnKey


async def set_key(ctx: Context, tx: Tx, user_id: UserID, key_id: str, secret: str) -> None:
    """From now on whoever has the phrase comes back as this person; an earlier phrase opens nothing any more.

    Raises Conflict for an id that is another person's: six random words are never the same twice.
    """
    await stored_cases.lock_person(tx, user_id)
    if not await stored.put(tx, ReturnKey(key_id, user_id, _digest(secret)), ctx.clock.now()):
        raise errors.Conflict("Please make another phrase.")


async def forget_key(tx: Tx, user_id: UserID) -> None:
    """Nobody comes back as this person by a phrase any more."""
    await stored.delete_of(tx, user_id)


async def come_back(ctx: Context, tx: Tx, key_id: str, secret: str) -> tuple[Case, Started]:
    """The newest case of whoever has the phrase, and a session on a new device.

    Raises NotAllowed for a phrase that opens nothing, HasMoved for somebody who goes on as another account,
    NotFound for somebody whose cases have been destroyed.
    """
    key = await stored.get(tx, key_id)
    if not hmac.compare_digest(key.secret_hash if key else bytes(32), _digest(secret)) or key is None:
        raise errors.NotAllowed("These words open nothing here.")
    case = await stored_cases.get_latest_case(tx, key.user_id)
    if case is None:
        await moves.check_not_moved(tx, key.user_id)
        raise errors.NotFound("What was said has been destroyed, as its time was over.")
    await stored.update_used(tx, key.id, ctx.clock.now())
    await resting.has_come_back(ctx, tx, key.user_id)
    return case, await sessions.start(ctx, tx, key.user_id)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
