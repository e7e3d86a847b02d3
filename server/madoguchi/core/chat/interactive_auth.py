"""User-interactive authentication: somebody who is about to do something grave shows once more who they are.

Client-server API, "User-Interactive Authentication API". Sessions live in the database, so a stage may be done with one
worker and the next with another, before and after a restart. They are bound to one operation of one user; what was
asked for is not kept, the client sends it again with its last stage.
"""

import hmac
import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from madoguchi import errors
from madoguchi.core.chat import accounts
from madoguchi.ids import UserID
from madoguchi.storage import accounts as store

if TYPE_CHECKING:
    from madoguchi.context import Context
    from madoguchi.core.chat.sessions import Session

PASSWORD = "m.login.password"
DUMMY = "m.login.dummy"
REGISTRATION_TOKEN = "m.login.registration_token"
SESSION_LIFE_MS = 24 * 60 * 60 * 1000


class Auth(msgspec.Struct):
    """The `auth` part of a request: one stage, or (without `type`) the question whether all stages are done."""

    type: str | None = None
    session: str | None = None
    identifier: dict[str, Any] | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None


Flows = list[list[str]]


async def require(call: Any, auth: Auth | None, operation: str, *, flows: Flows | None = None) -> None:
    """Returns once the caller has gone through one of the flows for this operation; raises InteractiveAuthNeeded.

    operation: names what is to be done, so that a session for one thing can't be used for another
    flows: lists of stages, any of which will do; without it, the caller's password (a caller whose account has none
    confirms with m.login.dummy: their token is all they have)
    An application service is never asked.

    What is recorded here must outlast the refusal, so it has its own transaction: call it from a row with tx=False.
    """
    ctx: Context = call.ctx
    session: Session | None = call.caller
    if session is not None and session.appservice is not None:
        return
    user_id = session.user_id if session is not None else None
    password_hash: str | None = None
    async with ctx.db.transaction() as tx:
        if flows is None:
            assert user_id is not None
            account = await store.get_account(tx, user_id)
            password_hash = account.password_hash if account else None
            flows = [[PASSWORD]] if password_hash else [[DUMMY]]
    stage = auth.type if auth is not None else None
    problem: dict[str, str] = {}
    if auth is not None and stage is not None:
        problem = await _check(call, auth, stage, flows, user_id, password_hash)
    now = ctx.clock.ms()
    async with ctx.db.transaction() as tx:
        found = None
        if auth is not None and auth.session is not None:
            found = await store.get_interactive_auth(tx, auth.session, now - SESSION_LIFE_MS)
            if found is not None and (found.operation != operation or found.user_id != user_id):
                found = None
        completed = list(found.completed) if found is not None else []
        if stage is not None and not problem and stage not in completed:
            completed.append(stage)
        if not problem and any(all(needed in completed for needed in flow) for flow in flows):
            if found is not None:
                await store.delete_interactive_auth(tx, found.session_id)
            return
        if found is not None:
            session_id = found.session_id
        else:
            session_id = secrets.token_urlsafe(18)
            await store.insert_interactive_auth(tx, session_id, operation, user_id, now, now - SESSION_LIFE_MS)
        await store.update_interactive_auth(tx, session_id, completed)
    raise errors.InteractiveAuthNeeded(
        problem.get("error", ""),
        flows=[{"stages": flow} for flow in flows],
        params={},
        session=session_id,
        **({"completed": completed} if completed or problem else {}),
        **problem,
    )


async def _check(
    call: Any, auth: Auth, stage: str, flows: Flows, user_id: UserID | None, password_hash: str | None
) -> dict[str, str]:
    """Looks at one stage: an empty dictionary if it is passed, else what to tell (errcode, error)."""
    ctx: Context = call.ctx
    if not any(stage in flow for flow in flows):
        return {"errcode": "M_UNRECOGNIZED", "error": "This is not one of the stages asked for."}
    if stage == DUMMY:
        return {}
    if stage == REGISTRATION_TOKEN:
        ctx.limits.guess("registration", call)
        given, wanted = auth.token or "", ctx.settings.registration_token
        if wanted and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode()):
            return {}
        return {"errcode": "M_FORBIDDEN", "error": "This registration token is not valid."}
    if stage == PASSWORD and user_id is not None:
        ctx.limits.guess(user_id, call)
        named = identified(ctx, auth.identifier, auth.user)
        if (named is None or named == user_id) and await accounts.verify(password_hash, auth.password or ""):
            return {}
        return {"errcode": "M_FORBIDDEN", "error": "The password is wrong."}
    return {"errcode": "M_UNRECOGNIZED", "error": "This stage can't be done here."}


def identified(ctx: "Context", identifier: dict[str, Any] | None, user: str | None = None) -> UserID | None:
    """The user id that a login means, as given: local part or full id, in `identifier` or the older `user`.

    None where nobody is named. Raises BadJson for a shape that is none, NotAllowed for an e-mail address or telephone
    number (none is known here) and for a user of another server.
    """
    if identifier is not None:
        kind = identifier.get("type")
        if kind in ("m.id.thirdparty", "m.id.phone"):
            raise errors.NotAllowed("No e-mail addresses or telephone numbers are known here.")
        if not isinstance(kind, str):
            raise errors.BadJson("The identifier needs a type.")
        if kind != "m.id.user":
            raise errors.Unknown("This type of identifier is not known here.")
        user = identifier.get("user")
        if not isinstance(user, str):
            raise errors.BadJson("The identifier needs a user.")
    if user is None:
        return None
    if user.startswith("@"):
        if user.partition(":")[2] != ctx.settings.server_name:
            raise errors.NotAllowed("This user id belongs to another server.")
        return user
    return f"@{user}:{ctx.settings.server_name}"
