"""From app to app: whoever brings a token or a code goes on here with the case that it is good for.

What they bring is no word of a conversation. It is handed in before anything is shown, under the event's own name, so
that a repetition after a crash gets the same answer. From then on what a counsellor says goes to this app, whichever of
the two ghosts hears it; the one before leaves when the new one has come in.
"""

import re
import unicodedata
from typing import Protocol

import asyncpg
import msgspec
import structlog

from . import notices, store
from .channels import Channel
from .config import Config
from .desk import Desk
from .ghosts import Ghost
from .moves import Moves
from .network import Incoming
from .outbox import Outbox

log = structlog.stdlib.get_logger(__name__)

LONGEST_TYPED = 40
TOKEN = re.compile(r"m_[A-Za-z0-9_-]{43}")
CODE_LETTERS = "[2-9A-HJKMNP-Z]"
# With its hyphen as it was given; or without one, and then no word: there is always a letter and a digit in it.
CODE = re.compile(rf"({CODE_LETTERS}{{4}})(?:\s*-\s*|\s+)({CODE_LETTERS}{{4}})|({CODE_LETTERS}{{8}})")
HYPHENS = str.maketrans(dict.fromkeys("‐‑‒–—―−ー－ｰ_", "-"))


class Brought(msgspec.Struct, frozen=True):
    """What somebody brings from where they were: one of the two."""

    token: str | None = None
    code: str | None = None


def brought(event: Incoming) -> Brought | None:
    """The token behind the link that opened the account, or a code that is the whole of a message."""
    if event.kind == "arrived":
        return Brought(token=event.start) if TOKEN.fullmatch(event.start) else None
    if event.kind != "message" or event.placeholder or event.media is not None:
        return None
    typed = unicodedata.normalize("NFKC", event.text).strip() if len(event.text) < LONGEST_TYPED else ""
    found = CODE.fullmatch(typed.removeprefix("コード").lstrip(": ").translate(HYPHENS).upper())
    if found is None:
        return None
    code = (found[1] or "") + (found[2] or "") + (found[3] or "")
    is_word = code.isdigit() or code.isalpha()
    return Brought(code=code) if not is_word else None


class Entrance(Protocol):
    async def account(self, person: store.Person) -> str: ...

    async def present(self, person: store.Person) -> Ghost: ...


class Crossing:
    def __init__(
        self, pool: asyncpg.Pool, config: Config, desk: Desk, ghosts: Entrance, outbox: Outbox, moves: Moves
    ) -> None:
        self._pool = pool
        self._config = config
        self._desk = desk
        self._ghosts = ghosts
        self._outbox = outbox
        self._moves = moves

    async def take(self, channel: Channel, person: store.Person, item: store.Intake, event: Incoming) -> str | None:
        """What became of it; None where the event has to be treated like any other.

        Raises Unreachable, also while the keeper has not let the ghost in yet: then it is to be asked again.
        """
        bring = brought(event)
        if bring is None or channel.mode not in ("relay", "contact_point"):
            return None
        if event.kind == "arrived":
            await store.update_person(self._pool, person.person, left_at=None)
        user_id = await self._ghosts.account(person)
        answer = await self._desk.redeem(user_id, channel.id, item.event_key, bring.token, bring.code)
        if answer.outcome == "moved" and answer.case_id and answer.room_id:
            person = msgspec.structs.replace(person, user_id=user_id)
            await self._go_on_here(channel, person, item, answer.case_id, answer.room_id, answer.at or 0)
            return "moved"
        # Nothing that the desk knows: somebody in a conversation has said something that only looks like a code.
        if answer.outcome == "closed" or (answer.outcome in ("unknown", "often") and person.case_id and bring.code):
            return None
        text = notices.not_gone_on(answer.outcome, self._config.public_url)
        await self._outbox.put_notice(self._pool, channel.id, person.person, item.event_key, text)
        self._outbox.wake()
        return "noticed"

    async def _go_on_here(
        self, channel: Channel, person: store.Person, item: store.Intake, case_id: str, room_id: str, since: int
    ) -> None:
        farewell = notices.goes_on(channel.network.title)
        async with self._pool.acquire() as db, db.transaction():
            for before in await store.list_people_in(db, room_id):
                if before.person != person.person:
                    # The room stays noted until their ghost is out of it: what it hears goes to the new app.
                    await store.update_person(db, before.person, case_id=None)
                    cause = f"{item.event_key}.gone"
                    await self._outbox.put_notice(db, before.channel_id, before.person, cause, farewell)
            await store.update_person(db, person.person, case_id=case_id, room_id=room_id, since=since)
        self._outbox.wake()
        ghost = await self._ghosts.present(msgspec.structs.replace(person, case_id=case_id, room_id=room_id))
        await ghost.enter(room_id)
        text = notices.came_here(channel.network.title)
        if channel.hands_over:
            ticket = await self._moves.link_for(person)
            if ticket is not None:
                text = notices.came_to_a_contact_point(channel.network.title, ticket.url, ticket.code)
        await self._outbox.put_notice(self._pool, channel.id, person.person, item.event_key, text)
        self._outbox.wake()
