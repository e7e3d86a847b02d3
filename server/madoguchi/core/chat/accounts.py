"""Accounts: how one comes to be, its password, and its end."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, TypeGuard

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from madoguchi import errors, ids
from madoguchi.core.chat import appservices, sessions
from madoguchi.ids import DeviceID, UserID
from madoguchi.storage import accounts as store
from madoguchi.storage import profiles, staff
from madoguchi.storage.accounts import Account
from madoguchi.storage.db import Tx

if TYPE_CHECKING:
    from madoguchi.context import Context

Kind = Literal["youth", "staff", "ghost", "keeper", "user", "appservice"]

LONGEST_PASSWORD = 512
SHORTEST_STAFF_PASSWORD = 8
_LOCALPART = re.compile(r"[a-z0-9._=/+-]+")
# 32 MiB and about 40 ms a try. Two at a time: a classroom that signs in together must not take all memory.
_hasher = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
# 192 random bits can't be guessed however quick a try is, and young people arrive by the hundred within minutes.
_quick_hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
# Compared with where there is nothing to compare with, so that the time of the answer tells nothing.
_NOBODY = "$argon2id$v=19$m=32768,t=3,p=1$XrFNIEXkjKxC+T1DwSbLSA$MSWQ3bDVzkCrwXcss0421DYZogmbYO/RtrUDvWXsqo8"


async def create(
    ctx: "Context",
    tx: Tx,
    localpart: str | None,
    *,
    password: str | None,
    kind: Kind,
    display_name: str | None = None,
    appservice: str | None = None,
    password_is_random: bool = False,
    password_hash: str | None = None,
) -> UserID:
    """Makes an account and gives its user id.

    `localpart` None takes a random one that says nothing. `password_is_random`: the server has just made it, of 128
    random bits or more, so a quick hash will do. `password_hash`: from `hash_password`, for a caller who would not hold
    a connection for as long as that takes. `appservice` is the id of the application service that makes it. Raises
    InvalidUsername, UserInUse, Exclusive (a name that an application service keeps for itself, or one outside of its
    own), WeakPassword.
    """
    if password is not None:
        password_hash = _quick_hasher.hash(password) if password_is_random else await hash_password(password, kind)
    if localpart is None:
        user_id = f"@{ids.lowercase(20)}:{ctx.settings.server_name}"
    else:
        user_id = check_name(ctx, localpart, appservice)
    if not await store.insert_account(tx, user_id, kind, password_hash, appservice, ctx.clock.ms()):
        raise errors.UserInUse("This user id is taken.")
    if display_name:
        await profiles.update_profile(tx, profiles.Profile(user_id, displayname=display_name))
    return user_id


def check_name(ctx: "Context", localpart: str, appservice: str | None = None) -> UserID:
    """The user id that a local part would give. Raises InvalidUsername or Exclusive."""
    user_id = f"@{localpart}:{ctx.settings.server_name}"
    if not _LOCALPART.fullmatch(localpart) or len(user_id.encode()) > 255:
        raise errors.InvalidUsername("A user name has lower-case letters, digits and . _ = - / + only.")
    if appservice is not None:
        if not appservices.by_id(ctx, appservice).speaks_for(user_id):
            raise errors.Exclusive("This user id is outside of the application service's namespaces.")
    elif appservices.owner_of(ctx, user_id) is not None:
        raise errors.Exclusive("An application service keeps this user id for itself.")
    return user_id


async def check_available(ctx: "Context", tx: Tx, localpart: str, appservice: str | None = None) -> UserID:
    """The user id that could be made now. Raises InvalidUsername, Exclusive, UserInUse."""
    user_id = check_name(ctx, localpart, appservice)
    if await store.get_account(tx, user_id) is not None:
        raise errors.UserInUse("This user id is taken.")
    return user_id


async def hash_password(password: str, kind: Kind = "user") -> str:
    """The argon2id hash to store. Raises WeakPassword, TooLarge."""
    if not password or (kind == "staff" and len(password) < SHORTEST_STAFF_PASSWORD):
        raise errors.WeakPassword(f"The password must have at least {SHORTEST_STAFF_PASSWORD} characters.")
    if len(password) > LONGEST_PASSWORD:
        raise errors.TooLarge(f"The password may have at most {LONGEST_PASSWORD} characters.")
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password.encode())


async def verify(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed. Takes as long where there is no hash."""
    if len(password) > LONGEST_PASSWORD:
        return False
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, password_hash, password.encode())


def _verify(password_hash: str | None, password: bytes) -> bool:
    try:
        return _hasher.verify(password_hash or _NOBODY, password) and password_hash is not None
    except (Argon2Error, InvalidHashError):
        return False


async def check_password(ctx: "Context", tx: Tx, user_id: UserID, password: str) -> bool:
    """Whether this is the password of an account that is open and has one."""
    account = await store.get_account(tx, user_id)
    return await verify(account.password_hash if is_open(account) else None, password)


def is_open(account: Account | None) -> TypeGuard[Account]:
    """Whether there is an account and it has not been closed."""
    return account is not None and account.deactivated_at is None


async def set_password(
    ctx: "Context",
    tx: Tx,
    user_id: UserID,
    password: str,
    *,
    end_sessions: bool = False,
    keep: DeviceID | None = None,
    password_is_random: bool = False,
) -> None:
    """Sets the password; with `end_sessions` takes all devices but `keep` away. `password_is_random`: as in `create`.

    Raises NotFound, WeakPassword.
    """
    account = await get_open(tx, user_id)
    if password_is_random:
        password_hash = _quick_hasher.hash(password)
    else:
        password_hash = await hash_password(password, account.kind)  # type: ignore[arg-type]
    await store.update_password(tx, user_id, password_hash)
    if end_sessions:
        await sessions.end_all(ctx, tx, user_id, keep=keep)


async def get_open(tx: Tx, user_id: UserID) -> Account:
    """The account, held until the end of the transaction. Raises NotFound if there is none or it has been closed."""
    account = await store.get_account_for_update(tx, user_id)
    if account is None or account.deactivated_at is not None:
        raise errors.NotFound("There is no such account.")
    return account


async def end(ctx: "Context", tx: Tx, user_id: UserID) -> None:
    """Closes an account for good: no password, no devices, no profile; the user id is never given again."""
    await store.update_deactivated(tx, user_id, ctx.clock.ms())
    await profiles.delete_profile(tx, user_id)
    await sessions.end_all(ctx, tx, user_id)


async def is_administrator(tx: Tx, user_id: UserID) -> bool:
    """Whether this is a member of staff with the role of administrator."""
    member = await staff.get_staff(tx, user_id)
    return member is not None and member.role == "administrator" and member.disabled_at is None


async def lock(ctx: "Context", tx: Tx, user_id: UserID, locked: bool) -> None:
    """Locks the account (every call but logging out is refused) or unlocks it."""
    await store.update_locked(tx, user_id, ctx.clock.ms() if locked else None)
    await sessions.announce_change(ctx, tx, user_id)


async def suspend(ctx: "Context", tx: Tx, user_id: UserID, suspended: bool) -> None:
    """Suspends the account (it reads and leaves, and writes nothing) or ends that."""
    await store.update_suspended(tx, user_id, ctx.clock.ms() if suspended else None)
    await sessions.announce_change(ctx, tx, user_id)
