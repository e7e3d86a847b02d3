"""Accounts, their access and refresh tokens, login tokens, and the sessions of user-interactive authentication.

Tokens and passwords come in as hashes only. All times are milliseconds since 1970.
"""

import msgspec

from madoguchi.ids import DeviceID, UserID
from madoguchi.storage.db import Tx


class Account(msgspec.Struct, frozen=True):
    """One account. `kind` is youth, staff, ghost, keeper, user or appservice."""

    user_id: UserID
    kind: str
    password_hash: str | None
    appservice: str | None
    created_at: int
    locked_at: int | None
    suspended_at: int | None
    deactivated_at: int | None


class StoredSession(msgspec.Struct, frozen=True):
    """One access token's row with what the account says about its owner."""

    token_id: int
    user_id: UserID
    device_id: DeviceID
    expires_at: int | None
    succeeds: int | None
    kind: str
    appservice: str | None
    locked_at: int | None
    suspended_at: int | None


_ACCOUNT = "user_id, kind, password_hash, appservice, created_at, locked_at, suspended_at, deactivated_at"
_SESSION = """
    SELECT s.token_id, s.user_id, s.device_id, s.expires_at, s.succeeds, a.kind, a.appservice, a.locked_at,
           a.suspended_at
    FROM sessions s JOIN accounts a USING (user_id)
"""


async def insert_account(
    tx: Tx, user_id: UserID, kind: str, password_hash: str | None, appservice: str | None, now: int
) -> bool:
    """Makes the account; gives False if the user id is taken (by a closed account too)."""
    made = await tx.fetchval(
        """
        INSERT INTO accounts (user_id, kind, password_hash, appservice, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        user_id, kind, password_hash, appservice, now,
    )  # fmt: skip
    return bool(made)


async def get_account(tx: Tx, user_id: UserID) -> Account | None:
    """The account, closed ones included."""
    row = await tx.fetchrow(f"SELECT {_ACCOUNT} FROM accounts WHERE user_id = $1", user_id)
    return Account(**row) if row else None


async def get_kind(tx: Tx, user_id: UserID) -> str | None:
    """Of which kind an account is, closed ones included; None where there is none."""
    kind: str | None = await tx.fetchval("SELECT kind FROM accounts WHERE user_id = $1", user_id)
    return kind


async def get_account_for_update(tx: Tx, user_id: UserID) -> Account | None:
    """The account; whoever else asks for it this way waits for this transaction."""
    row = await tx.fetchrow(f"SELECT {_ACCOUNT} FROM accounts WHERE user_id = $1 FOR NO KEY UPDATE", user_id)
    return Account(**row) if row else None


async def update_password(tx: Tx, user_id: UserID, password_hash: str | None) -> None:
    """Sets or (None) takes away the password."""
    await tx.execute("UPDATE accounts SET password_hash = $2 WHERE user_id = $1", user_id, password_hash)


async def update_locked(tx: Tx, user_id: UserID, locked_at: int | None) -> None:
    """Locks the account, or (None) unlocks it."""
    await tx.execute("UPDATE accounts SET locked_at = $2 WHERE user_id = $1", user_id, locked_at)


async def update_suspended(tx: Tx, user_id: UserID, suspended_at: int | None) -> None:
    """Suspends the account, or (None) ends that."""
    await tx.execute("UPDATE accounts SET suspended_at = $2 WHERE user_id = $1", user_id, suspended_at)


async def update_deactivated(tx: Tx, user_id: UserID, now: int) -> None:
    """Closes the account for good: the row stays, so that nobody else gets the user id."""
    await tx.execute("UPDATE accounts SET deactivated_at = $2, password_hash = NULL WHERE user_id = $1", user_id, now)


async def insert_session(
    tx: Tx,
    user_id: UserID,
    device_id: DeviceID,
    token_hash: bytes,
    refresh_hash: bytes | None,
    now: int,
    expires_at: int | None,
    succeeds: int | None = None,
) -> int:
    """Stores a new access token (and refresh token) of an existing device; gives the token's number."""
    token_id: int = await tx.fetchval(
        """
        INSERT INTO sessions (user_id, device_id, token_hash, refresh_hash, created_at, expires_at, succeeds)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING token_id
        """,
        user_id, device_id, token_hash, refresh_hash, now, expires_at, succeeds,
    )  # fmt: skip
    return token_id


async def get_session(tx: Tx, token_hash: bytes) -> StoredSession | None:
    """The session of an access token, expired ones and those of locked accounts included."""
    row = await tx.fetchrow(_SESSION + "WHERE s.token_hash = $1 AND a.deactivated_at IS NULL", token_hash)
    return StoredSession(**row) if row else None


async def get_session_by_refresh_token(tx: Tx, refresh_hash: bytes) -> StoredSession | None:
    """The session of a refresh token, locked against a second refresh at the same time."""
    row = await tx.fetchrow(
        _SESSION + "WHERE s.refresh_hash = $1 AND a.deactivated_at IS NULL FOR UPDATE OF s", refresh_hash
    )
    return StoredSession(**row) if row else None


async def delete_successors(tx: Tx, token_id: int) -> None:
    """Withdraws the tokens that an earlier refresh of this session gave and that were never used."""
    await tx.execute("DELETE FROM sessions WHERE succeeds = $1", token_id)


async def delete_predecessor(tx: Tx, token_id: int) -> None:
    """Withdraws the tokens that this session replaced: it has been used."""
    await tx.execute(
        "DELETE FROM sessions WHERE token_id = (SELECT succeeds FROM sessions WHERE token_id = $1)", token_id
    )


async def delete_other_sessions_of_device(tx: Tx, user_id: UserID, device_id: DeviceID, keep: int) -> None:
    """Withdraws all tokens of a device but one."""
    await tx.execute(
        "DELETE FROM sessions WHERE user_id = $1 AND device_id = $2 AND token_id <> $3", user_id, device_id, keep
    )


async def insert_login_token(tx: Tx, token_hash: bytes, user_id: UserID, expires_at: int) -> None:
    """Stores a single-use login token."""
    await tx.execute(
        "INSERT INTO login_tokens (token_hash, user_id, expires_at) VALUES ($1, $2, $3)",
        token_hash, user_id, expires_at,
    )  # fmt: skip


async def delete_login_token(tx: Tx, token_hash: bytes, now: int) -> UserID | None:
    """Uses a login token up; gives its owner, or None if it is unknown or too old."""
    await tx.execute(
        """
        DELETE FROM login_tokens WHERE token_hash IN (
            SELECT token_hash FROM login_tokens WHERE expires_at <= $1 LIMIT 100 FOR UPDATE SKIP LOCKED
        )
        """,
        now,
    )
    owner: UserID | None = await tx.fetchval(
        "DELETE FROM login_tokens WHERE token_hash = $1 RETURNING user_id", token_hash
    )
    return owner


class InteractiveAuth(msgspec.Struct, frozen=True):
    """A session of user-interactive authentication: for which operation, whose, and the stages done so far."""

    session_id: str
    operation: str
    user_id: UserID | None
    completed: list[str]


async def insert_interactive_auth(
    tx: Tx, session_id: str, operation: str, user_id: UserID | None, now: int, forget_before: int
) -> None:
    """Begins a session and forgets those begun before `forget_before`."""
    await tx.execute(
        """
        DELETE FROM interactive_auth WHERE session_id IN (
            SELECT session_id FROM interactive_auth WHERE created_at < $1 LIMIT 100 FOR UPDATE SKIP LOCKED
        )
        """,
        forget_before,
    )
    await tx.execute(
        "INSERT INTO interactive_auth (session_id, operation, user_id, created_at) VALUES ($1, $2, $3, $4)",
        session_id, operation, user_id, now,
    )  # fmt: skip


async def get_interactive_auth(tx: Tx, session_id: str, not_before: int) -> InteractiveAuth | None:
    """The session, locked: of two completions at once the second sees what the first did."""
    row = await tx.fetchrow(
        """
        SELECT session_id, operation, user_id, completed FROM interactive_auth
        WHERE session_id = $1 AND created_at >= $2 FOR UPDATE
        """,
        session_id, not_before,
    )  # fmt: skip
    return InteractiveAuth(**row) if row else None


async def update_interactive_auth(tx: Tx, session_id: str, completed: list[str]) -> None:
    """Records the stages done."""
    await tx.execute("UPDATE interactive_auth SET completed = $2 WHERE session_id = $1", session_id, completed)


async def delete_interactive_auth(tx: Tx, session_id: str) -> None:
    """Ends the session: all stages are done and the operation goes ahead."""
    await tx.execute("DELETE FROM interactive_auth WHERE session_id = $1", session_id)
