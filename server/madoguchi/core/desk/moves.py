"""Moving 引っ越し: a running case goes on in the sealed room of the web page, with its counsellor and its history.

The bridge brings the offer: a link and a code that open this one case, once. Looking at the page spends nothing, only
the person's own word does. The person gets an account of their own; the keeper lets it in with the history, and then
takes the ghost out. The app carries nothing but neutral notices from then on.

A link lies in an app whose company can read it: whoever opens it first is let in. So it runs out after three days, it
works once, and on a phone that others use person and counsellor can agree on a passphrase. If somebody else was faster,
the person's own link says so, and the counsellor sees the case's new badge.
"""

import asyncio
import hashlib
import secrets
import unicodedata
from datetime import datetime, timedelta

import msgspec
import structlog

from madoguchi import errors
from madoguchi.context import Context
from madoguchi.core.chat import accounts, sessions
from madoguchi.core.chat.sessions import Started
from madoguchi.core.desk import cases
from madoguchi.ids import CaseID, UserID
from madoguchi.storage import accounts as stored_accounts
from madoguchi.storage import audit, stream
from madoguchi.storage import cases as stored_cases
from madoguchi.storage import moves as stored
from madoguchi.storage import staff as stored_staff
from madoguchi.storage.cases import Case
from madoguchi.storage.db import Tx
from madoguchi.storage.moves import Link, Move
from madoguchi.storage.staff import Staff
from madoguchi.storage.stream import Note

log = structlog.get_logger()

LINK_FOR = timedelta(days=3)
MOST_WRONG_PASSPHRASES = 5
# No letters that are taken for others, in any case.
CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_LENGTH = 8
NEWS_AFTER = timedelta(minutes=1)
NEWS_EVERY = timedelta(hours=1)


class Ticket(msgspec.Struct, frozen=True):
    """A link and its code, for the bridge to bring. Both open the same, once; neither is stored. channel_id: where the
    case is now."""

    url: str
    code: str
    expires_at: int
    channel_id: str


class Moving(msgspec.Struct, frozen=True):
    """What somebody with a link may know before they use it. channel: by what kind of channel the case comes now."""

    channel: str
    passphrase: bool
    expires_at: int


class Moved(msgspec.Struct, frozen=True):
    """before: as whom the person came until now, the latest last; session, password: of the account that was made for
    them; None for somebody who has one."""

    case: Case
    before: list[UserID]
    session: Started | None
    password: str | None


async def offer(ctx: Context, tx: Tx, case_id: CaseID, by: Staff, passphrase: str | None) -> Case:
    """Lets the bridge offer a move to the person of a case. Again: another offer, with this passphrase or none.

    Raises NotAllowed for a case that is not theirs, Conflict for one that has ended or came by no app, NotFound.
    """
    case = await lock_on_an_app(tx, case_id, by)
    hashed = await hash_passphrase(passphrase)
    await stored.put_move(tx, case_id, case.channel_id, case.user_id, ctx.clock.now(), by.user_id, hashed)
    await stored_cases.insert_step(tx, case_id, ctx.clock.now(), "move_offered", by.user_id)
    await stream.publish(tx, Note("desk", "queue"))
    return case


async def lock_on_an_app(tx: Tx, case_id: CaseID, by: Staff) -> Case:
    """A running case whose person is on an app. Raises NotAllowed, Conflict, NotFound."""
    case, _ = await cases.lock_of(tx, case_id, by)
    if not case.running:
        raise errors.Conflict("This case has ended.")
    if not await is_on_an_app(tx, case.user_id):
        raise errors.Conflict("Nobody has to move: no app stands in between.")
    return case


async def offer_all(ctx: Context, tx: Tx, channel_id: str, by: str, *, again: bool = False) -> int:
    """Lets the bridge offer a move to everybody on a channel who has not been offered one, or `again` to all: an
    earlier link may have run out, and an earlier no was said to something else. Gives how many."""
    at = ctx.clock.now()
    offered = await stored.put_moves_of_channel(tx, channel_id, at, by, again)
    for case_id in offered:
        await stored_cases.insert_step(tx, case_id, at, "move_offered", by)
    return len(offered)


async def ticket(ctx: Context, tx: Tx, ghost: UserID) -> Ticket:
    """A link and a code to the running case of whom a ghost stands for, or stood for before they moved.

    Raises NotFound where there is none.
    """
    found = await stored_cases.get_running_case(tx, ghost)
    case_id = found.id if found is not None else await stored.get_moved_case(tx, ghost)
    case = await stored_cases.lock_case(tx, case_id) if case_id is not None else None
    if case is None or case_id is None or not case.running:
        raise errors.NotFound("There is no case to go on with.")
    if await stored.lock_move(tx, case_id) is None:
        await stored.put_move(tx, case_id, case.channel_id, ghost, ctx.clock.now(), ghost, None)
    return await make_ticket(ctx, tx, case)


async def make_ticket(ctx: Context, tx: Tx, case: Case, *, own: bool = False) -> Ticket:
    """One more link, with its code, to a running case of which it is known that its person may move.

    own: for the person's own page, which has the case open already: it asks for no passphrase.
    """
    at = ctx.clock.now()
    token, expires_at = secrets.token_urlsafe(32), at + LINK_FOR
    while True:
        code = new_code()
        if await stored.insert_link(tx, token_hash(token), await code_hash(code), case.id, at, expires_at, own):
            break
    url = f"{ctx.settings.base_url}/#move={token}"
    return Ticket(url, f"{code[:4]}-{code[4:]}", milliseconds(expires_at), case.channel_id)


async def told(ctx: Context, tx: Tx, case_id: CaseID, ghost: UserID, what: str) -> None:
    """What became of an offer on its way: `queued` by the bridge, `notified` by the app, or the person `unreachable`;
    and that the app was told of `news`. Raises NotFound."""
    move = await stored.lock_move(tx, case_id)
    if move is None or move.ghost != ghost:
        raise errors.NotFound("There is no such case.")
    update = {
        "queued": stored.update_queued,
        "notified": stored.update_notified,
        "unreachable": stored.update_unreachable,
        "news": stored.update_news,
    }[what]
    await update(tx, case_id, ctx.clock.now())
    await stream.publish(tx, Note("desk", "queue"))


async def look(ctx: Context, tx: Tx, token: str | None, code: str | None) -> Moving:
    """What a link leads to. Spends nothing; the desk sees that it was opened. Raises what `confirm` raises of links."""
    link, move, case = await _open(ctx, tx, token, code)
    await stored.update_opened(tx, move.case_id, ctx.clock.now())
    await stream.publish(tx, Note("desk", "queue"))
    return Moving(case.channel, move.passphrase_hash is not None and not link.own, milliseconds(link.expires_at))


async def decline(ctx: Context, tx: Tx, token: str | None, code: str | None) -> None:
    """The person would rather stay where they are. The link goes on working. Raises what `confirm` raises of links."""
    _, move, case = await _open(ctx, tx, token, code)
    if move.moved_at is None:
        at = ctx.clock.now()
        await stored.update_declined(tx, move.case_id, at)
        await stored_cases.insert_step(tx, move.case_id, at, "move_declined", case.user_id)
    await stream.publish(tx, Note("desk", "queue"))


async def check_passphrase(ctx: Context, tx: Tx, token: str | None, code: str | None, passphrase: str | None) -> int:
    """How many tries are left after a wrong passphrase, which is counted; -1 where it is right or none is asked for.

    Raises what `confirm` raises of links.
    """
    link, move, _ = await _open(ctx, tx, token, code)
    if (
        link.own
        or move.passphrase_hash is None
        or (passphrase is not None and await accounts.verify(move.passphrase_hash, _plain(passphrase)))
    ):
        return -1
    if passphrase is None:
        return MOST_WRONG_PASSPHRASES - move.wrong_passphrases
    log.info("move refused", reason="passphrase", case_id=move.case_id)
    return max(0, MOST_WRONG_PASSPHRASES - await stored.update_wrong_passphrase(tx, move.case_id))


async def confirm(
    ctx: Context,
    tx: Tx,
    token: str | None,
    code: str | None,
    into: UserID | None,
    *,
    with_password: bool,
    arrival_key: str | None = None,
) -> Moved:
    """Moves the case of a link, whose passphrase has been checked, to a new account, or to `into`.

    arrival_key: as in `cases.arrive`, remembered with a new account.

    Raises NotAllowed for a link that opens nothing and for staff, LinkSpent for one that has been used, has run out,
    had too many wrong passphrases, or whose case has ended; Conflict for somebody who has a case of their own already.
    """
    if into is not None:
        await stored_cases.lock_person(tx, into)
        if await stored_staff.get_staff(tx, into) is not None:
            raise errors.NotAllowed("Staff don't come to their own desk.")
        if await is_on_an_app(tx, into):
            raise errors.NotAllowed("Whom a bridge stands for stays on their app.")
        if await stored_cases.get_running_case(tx, into) is not None:
            raise errors.Conflict("You have a case of your own already.")
    _, _, case = await _open(ctx, tx, token, code)
    at = ctx.clock.now()
    password = secrets.token_urlsafe(24) if with_password and into is None else None
    started = None
    channel_id = "matrix"
    if into is None:
        into = await accounts.create(ctx, tx, None, password=password, kind="youth", password_is_random=True)
        started = await sessions.start(ctx, tx, into)
        if arrival_key is not None:
            await stored_cases.insert_arrival(tx, cases.arrival_digest(arrival_key), into, at)
        channel_id = "web"
    await stored.update_person(tx, case.id, into, channel_id, at)
    await stored.update_moved(tx, case.id, at)
    await stored_cases.insert_step(tx, case.id, at, "moved", case.user_id, into)
    await cases.tell(ctx, tx, case.id)
    await audit.append(tx, at, into, "case.moved", case.id, before=case.channel_id, after=channel_id)
    return Moved(await cases.existing(tx, case.id), await stored.list_past_persons(tx, case.id), started, password)


async def want_news(tx: Tx, user_id: UserID, wanted: bool) -> None:
    """Whether the app that somebody came from may say that there is news. Raises NotFound for who came by none."""
    case = await stored_cases.get_latest_case(tx, user_id)
    if case is None or not await stored.update_news_wanted(tx, case.id, wanted):
        raise errors.NotFound("You have not come from an app.")


async def check_not_moved(tx: Tx, user_id: UserID) -> None:
    """Raises HasMoved where whoever was this user goes on elsewhere."""
    case_id = await stored.get_moved_case(tx, user_id)
    if case_id is not None:
        raise errors.HasMoved("This conversation goes on elsewhere.", case_id=case_id)


async def leads_to(tx: Tx, code: str, case_id: CaseID) -> bool:
    """Whether a code, used or not, is one of a case's."""
    link = await stored.get_link(tx, code_hash=await code_hash(code))
    return link is not None and link.case_id == case_id


async def hash_passphrase(passphrase: str | None) -> str | None:
    """As it is kept; None where none is asked for."""
    return await accounts.hash_password(_plain(passphrase)) if passphrase else None


async def _open(ctx: Context, tx: Tx, token: str | None, code: str | None) -> tuple[Link, Move, Case]:
    """The link, its move and its case, both held until the end of the transaction."""
    if (token is None) == (code is None):
        raise errors.Invalid("Either a token or a code.")
    link = await stored.get_link(
        tx,
        token_hash=token_hash(token) if token is not None else None,
        code_hash=await code_hash(code) if code is not None else None,
    )
    if link is None:
        log.info("move refused", reason="unknown")
        raise errors.UnknownLink("This link opens nothing here.")
    case = await stored_cases.lock_case(tx, link.case_id)
    move = await stored.lock_move(tx, link.case_id)
    # Read again, for somebody may have used it while this waited.
    link = await stored.get_link(tx, token_hash=link.token_hash)
    if case is None or move is None or link is None or not case.running:
        raise _spent("ended", "This conversation has ended.", case)
    if link.used_at is not None:
        raise _spent("used", "This link has been used.", case)
    if link.expires_at <= ctx.clock.now():
        raise _spent("expired", "This link has run out.", case)
    if move.wrong_passphrases >= MOST_WRONG_PASSPHRASES and not link.own:
        raise _spent("locked", "Too many wrong passphrases.", case)
    return link, move, case


def _spent(reason: str, message: str, case: Case | None) -> errors.LinkSpent:
    log.info("move refused", reason=reason, case_id=case.id if case is not None else None)
    return errors.LinkSpent(message, reason=reason)


def new_code() -> str:
    """A code that nobody takes for a word or a number."""
    while True:
        code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
        if not (code.isalpha() or code.isdigit()):
            return code


async def is_on_an_app(tx: Tx, user_id: UserID) -> bool:
    """Whether a bridge stands for somebody."""
    account = await stored_accounts.get_account(tx, user_id)
    return account is not None and account.kind in ("ghost", "appservice")


def token_hash(token: str) -> bytes:
    """Under what a token is kept."""
    return hashlib.sha256(token.encode()).digest()


async def code_hash(code: str) -> bytes:
    """Under what a code is kept. It has only 40 bits: each guess at a stolen table costs as much as this."""
    plain = "".join(letter for letter in code.upper() if letter in CODE_LETTERS)
    return await asyncio.to_thread(hashlib.pbkdf2_hmac, "sha256", plain.encode(), b"madoguchi move code", 100_000)


def _plain(passphrase: str) -> str:
    """However it is typed: width, case and spaces say nothing."""
    return "".join(unicodedata.normalize("NFKC", passphrase).casefold().split())


def milliseconds(at: datetime) -> int:
    """Since 1970."""
    return round(at.timestamp() * 1000)
