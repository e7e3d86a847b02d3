"""Moving 引っ越し to and from a Matrix client, between accounts of this server: the same case, counsellor and history.

To it: the page makes a code, and the person says it in their client by joining the alias `#move-CODE:SERVER`, which a
`matrix.to` link says for them. The keeper then invites the account with the history (MSC4268), and takes the page's
account out once the new one is there. From it: whoever has the case asks for a link and a code to the page, and their
own client brings both into the case's room, encrypted.

Nobody joins by the alias itself: clients take the history only from whoever has invited them.
"""

import re
from urllib.parse import quote

import msgspec

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.desk import cases, channels, moves
from madoguchi.core.desk.moves import Ticket
from madoguchi.ids import CaseID, RoomID, UserID
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import moves as stored
from madoguchi.storage import stream
from madoguchi.storage.db import Tx
from madoguchi.storage.staff import Staff
from madoguchi.storage.stream import Note

_ADDRESS = re.compile(r"[#!]move-([A-Z0-9]{4}-?[A-Z0-9]{4}):(.+)", re.IGNORECASE)
_MATRIX_TO = "https://matrix.to/#/"
# What people read in their client, which shows a refusal as it is.
EXPECTED = (
    "招待を送りました。アプリに届いた招待を開いて、参加してください。 / "
    "You are invited: please open the invitation that your client shows now, and accept it."
)
_AGAIN = ("ページで、新しいコードを作ってください。", "Please make a new one on the page.")
_REFUSED = {
    "unknown": f"このコードは使えません。{_AGAIN[0]} / This code opens nothing here. {_AGAIN[1]}",
    "used": f"このコードは、もう使われました。{_AGAIN[0]} / This code has been used. {_AGAIN[1]}",
    "expired": f"このコードは、古くなりました。{_AGAIN[0]} / This code has run out. {_AGAIN[1]}",
    "ended": "この相談は終わっています。 / This conversation has ended.",
    "locked": f"このコードは、止められました。{_AGAIN[0]} / This code was stopped. {_AGAIN[1]}",
    "passphrase": "このコードには合い言葉がいります。ページで開いてください。 / "
    "This code asks for a passphrase: please open it on the page.",
    "closed": "いまは、アプリでは続けられません。 / The desk takes nobody by Matrix clients now.",
    "own": "このアカウントでは、別の相談が続いています。それを終えてから、参加してください。 / "
    "This account has a conversation of its own. Please end it before you join.",
}


class Invite(msgspec.Struct, frozen=True):
    """Opens the caller's case, once, to an account in a Matrix client. alias: joining it there says the code; link: the
    same, as matrix.to takes it; expires_at: milliseconds."""

    code: str
    alias: str
    link: str
    expires_at: int


def code_of(ctx: Context, room_id_or_alias: str) -> str | None:
    """The code in `#move-CODE:SERVER`, or in the room id that this alias is said to have; None in anything else."""
    found = _ADDRESS.fullmatch(room_id_or_alias)
    return found[1] if found is not None and found[2] == ctx.settings.server_name else None


def door(ctx: Context, code: str) -> RoomID:
    """The room id that an alias with a code is said to have, whatever the code: looking tells and spends nothing."""
    return f"!move-{code}:{ctx.settings.server_name}"


async def invite(ctx: Context, tx: Tx, user_id: UserID) -> Invite:
    """A code by which the caller's running case goes on in a Matrix client.

    Raises NotFound for somebody without one, Conflict while the desk's Matrix channel is closed.
    """
    found = await stored_cases.get_running_case(tx, user_id)
    case = await stored_cases.lock_case(tx, found.id) if found is not None else None
    if case is None or not case.running or case.user_id != user_id:
        raise errors.NotFound("You have no case that goes on.")
    await _must_be_open(tx)
    if await stored.lock_move(tx, case.id) is None:
        await stored.put_move(tx, case.id, case.channel_id, user_id, ctx.clock.now(), user_id, None)
    # Matrix clients can ask for no passphrase. One that was agreed on goes on guarding the links that lie in an app.
    ticket = await moves.make_ticket(ctx, tx, case, own=True)
    alias = f"#move-{ticket.code}:{ctx.settings.server_name}"
    return Invite(ticket.code, alias, _MATRIX_TO + quote(alias, safe=""), ticket.expires_at)


async def come(ctx: Context, tx: Tx, code: str, user_id: UserID) -> RoomID:
    """A code said in a Matrix client: its case goes on with this account, which the keeper then invites.

    Gives the case's room. Again by the same account: no more. Raises NotAllowed, LinkSpent, Conflict, as
    `moves.confirm` does.
    """
    await stored_cases.lock_person(tx, user_id)
    await _must_be_open(tx)
    try:
        if await moves.check_passphrase(ctx, tx, None, code, None) >= 0:
            raise errors.NotAllowed(_REFUSED["passphrase"])
        moved = await moves.confirm(ctx, tx, None, code, user_id, with_password=False)
    except errors.LinkSpent as spent:
        own = await stored_cases.get_running_case(tx, user_id)
        if own is not None and await moves.leads_to(tx, code, own.id):
            return own.room_id
        reason = str(spent.fields["reason"])
        raise errors.LinkSpent(_REFUSED[reason], reason=reason) from None
    except errors.UnknownLink:
        raise errors.UnknownLink(_REFUSED["unknown"]) from None
    except errors.Conflict:
        raise errors.Conflict(_REFUSED["own"]) from None
    return moved.case.room_id


async def bring(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, passphrase: str | None) -> Ticket:
    """A link and a code to the page for somebody in a Matrix client, for the client of `by` to bring.

    Raises NotAllowed for a case that is not theirs, NotFound, Conflict for one that has ended or is on no such client.
    """
    case, _ = await cases.lock_of(tx, case_id, by)
    if not case.running:
        raise errors.Conflict("This case has ended.")
    if case.channel != "matrix":
        raise errors.Conflict("Only to somebody in a Matrix client a link is brought like this.")
    at = ctx.clock.now()
    hashed = await moves.hash_passphrase(passphrase)
    await stored.put_move(tx, case_id, case.channel_id, case.user_id, at, by.user_id, hashed)
    await stored.update_queued(tx, case_id, at)
    await stored.update_notified(tx, case_id, at)
    await stored_cases.insert_step(tx, case_id, at, "move_offered", by.user_id)
    await stream.publish(tx, Note("desk", "queue"))
    return await moves.make_ticket(ctx, tx, case)


async def _must_be_open(tx: Tx) -> None:
    if not channels.takes_cases(await channels.of_arrival(tx, "matrix", None)):
        raise errors.Conflict(_REFUSED["closed"])
