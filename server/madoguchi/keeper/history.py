"""Who comes into a case's room, and who leaves it: as the desk says, with the history for those who come."""

import asyncio
import time
from typing import Any

import structlog
from aiohttp import ClientError

from madoguchi.core.desk.case_room import CASE_STATE
from madoguchi.crypto import key_bundle
from madoguchi.crypto.device import AgentDevice, Refused, described, room_path
from madoguchi.keeper.guest_list import GuestList, NotVouchedFor
from madoguchi.keeper.ledger import Guest, Ledger

log = structlog.get_logger()

DESK = "/_madoguchi/desk/v1"
_POLL_MS = 25_000
_AT_ONCE = 8
# A client takes a bundle for a day after it has joined (Matrix v1.19, "Receiving a key bundle event").
_GUEST_FOR_S = 24 * 3600
_STRAGGLERS_S = 2.0
# How many events of a room are looked at for messages that no sync has brought yet.
_NEWEST = 20
# A desk that names whom the roster does not vouch for is asked again at leisure.
_STRANGERS_S = 3.0


class Door:
    """Invites, gives history, removes; goes on where it stopped after any crash."""

    def __init__(self, device: AgentDevice, ledger: Ledger, guest_list: GuestList) -> None:
        self._device = device
        self._guest_list = guest_list
        self._turned_away: set[tuple[str, str, str]] = set()
        self._ledger = ledger
        self._giving: dict[tuple[str, str], asyncio.Lock] = {}
        self._tried: dict[tuple[str, str], float] = {}
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def run(self, stop: asyncio.Event) -> None:
        """Do what the desk asks, until `stop`."""
        after: int | None = None
        pause = 0.2
        while not stop.is_set():
            try:
                after = await self._ask(after)
                pause = 0.2
            except Exception as error:
                log.warning("the desk's wishes wait", error=described(error))
                if not isinstance(error, (Refused, ClientError, TimeoutError, OSError)):
                    log.warning("unexpected", exc_info=error)
                # Without a position the desk answers at once with all that is open.
                after = None
                await asyncio.sleep(pause)
                pause = min(pause * 2, 3.0)

    async def _ask(self, after: int | None) -> int:
        query = {} if after is None else {"after": str(after), "timeout": str(_POLL_MS)}
        wishes = await self._device.call("GET", f"{DESK}/keeper/invitations", query=query, timeout=_POLL_MS / 1000 + 15)
        invitations = wishes.get("invitations", [])
        for wish in invitations:
            if wish.get("person"):
                self._ledger.put_person(wish["room_id"], wish["user_id"])
        work = [
            self.bring_in(wish["room_id"], wish["user_id"], with_history=wish.get("history", True))
            for wish in invitations
        ]
        work += [self.take_out(wish["room_id"], wish["user_id"]) for wish in wishes.get("removals", [])]
        results = await asyncio.gather(*(self._bounded(piece) for piece in work), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return int(wishes["pos"])

    async def _bounded(self, piece: Any) -> None:
        async with self._few:
            await piece

    async def bring_in(self, room_id: str, user_id: str, *, with_history: bool = True) -> None:
        """Give the user the room's history, then invite; who of the staff is not on the roster gets neither. Raises
        Refused or aiohttp.ClientError."""
        if with_history and not await self._give_before(room_id, user_id):
            return
        await self._device.call("POST", room_path(room_id, "/invite"), {"user_id": user_id})

    async def _give_before(self, room_id: str, user_id: str) -> bool:
        """Whether they may come in."""
        await self._stragglers(room_id)
        try:
            await self._give(room_id, user_id, await self._vouched(room_id, user_id))
        except NotVouchedFor as why:
            await self._turn_away(room_id, user_id, why.kind)
            return False
        return True

    async def _vouched(self, room_id: str, user_id: str) -> str | None:
        # A young person stands on no roster. That it is they who have moved is the desk's word, here as on the pages.
        return None if self._ledger.is_person(room_id, user_id) else await self._guest_list.vouched(user_id)

    async def _turn_away(self, room_id: str, user_id: str, kind: str) -> None:
        self._ledger.end_guest(room_id, user_id)
        if (room_id, user_id, kind) not in self._turned_away:
            log.error("somebody is not let in: the roster does not vouch for them", user_id=user_id, kind=kind)
            body = {"room_id": room_id, "kind": kind, "about": user_id}
            await self._device.call("POST", f"{DESK}/lock_reports", body)
            self._turned_away.add((room_id, user_id, kind))
        await asyncio.sleep(_STRANGERS_S)

    async def take_out(self, room_id: str, user_id: str) -> None:
        """Remove the user from the room. Raises Refused or aiohttp.ClientError."""
        await self._device.call("POST", room_path(room_id, "/kick"), {"user_id": user_id})
        self._ledger.end_guest(room_id, user_id)

    async def _give(self, room_id: str, user_id: str, master: str | None) -> None:
        async with self._giving.setdefault((room_id, user_id), asyncio.Lock()):
            if not await self._open_to_newcomers(room_id):
                self._ledger.end_guest(room_id, user_id)
                return
            # Before the sending: what is in the ledger is tried again after a crash.
            self._ledger.put_guest(room_id, user_id, 0, frozenset())
            given = await key_bundle.give(self._device, room_id, user_id, master=master)
            if given.devices:
                # Before the ledger has it: what could not be told is given, and told, again.
                figures = {"sessions": given.sessions, "devices": len(given.devices)}
                body = {"room_id": room_id, "user_id": user_id, **figures}
                await self._device.call("POST", f"{DESK}/keeper/history_given", body)
            self._ledger.put_guest(room_id, user_id, given.sessions if given.devices else 0, given.devices)
            log.info("history given", room_id=room_id, sessions=given.sessions, devices=len(given.devices))

    async def _open_to_newcomers(self, room_id: str) -> bool:
        # A side room says nothing of its case: records are looked through there after the end.
        if (await self._state(room_id, CASE_STATE) or {}).get("state") in ("closed", "purged"):
            return False
        visibility = await self._state(room_id, "m.room.history_visibility")
        return visibility is None or visibility.get("history_visibility") in ("shared", "world_readable")

    async def _state(self, room_id: str, kind: str) -> dict[str, Any] | None:
        try:
            return await self._device.call("GET", room_path(room_id, f"/state/{kind}/"))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    async def _stragglers(self, room_id: str) -> None:
        """Wait a moment for the keys of what was said already, also where no sync has brought it to us yet.

        Of the bundles that follow the first, matrix-js-sdk takes none.
        """
        newest = await self._newest_sessions(room_id)
        for _ in range(int(_STRAGGLERS_S / 0.1)):
            missing = self._ledger.missing(room_id)
            given_up = {each.session_id for each in missing if each.asked_at}
            unseen = any(self._device.machine.find_session(room_id, each) is None for each in newest - given_up)
            if not unseen and all(each.asked_at for each in missing):
                return
            await asyncio.sleep(0.1)

    async def _newest_sessions(self, room_id: str) -> set[str]:
        query = {"dir": "b", "limit": str(_NEWEST)}
        page = await self._device.call("GET", room_path(room_id, "/messages"), query=query)
        contents = [each.get("content", {}) for each in page.get("chunk", []) if each.get("type") == "m.room.encrypted"]
        return {each["session_id"] for each in contents if isinstance(each.get("session_id"), str)}

    async def look_after_guests(self, stop: asyncio.Event) -> None:
        """Until `stop`: give again where sessions have come since, or where no device could be reached."""
        pause = 1.0
        while not stop.is_set():
            for guest in self._ledger.guests():
                try:
                    await self._look_after(guest)
                    pause = 1.0
                except (Refused, ClientError, TimeoutError, OSError) as error:
                    if isinstance(error, Refused) and error.status == 403:
                        # We are not in the room any more: its case was purged meanwhile.
                        self._ledger.end_guest(guest.room_id, guest.user_id)
                        continue
                    log.warning("a guest waits for the history", error=described(error))
                    pause = min(pause * 2, 30.0)
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue

    async def _look_after(self, guest: Guest) -> None:
        key = (guest.room_id, guest.user_id)
        known = len(self._device.machine.sessions_of(guest.room_id))
        age = time.time() - guest.since
        if known > (guest.sessions if guest.devices else 0):
            # Somebody without a signed device yet: often at first, then seldom.
            if guest.devices or time.monotonic() - self._tried.get(key, 0) > (1 if age < 30 else 15):
                self._tried[key] = time.monotonic()
                try:
                    await self._give(*key, await self._vouched(*key))
                except NotVouchedFor as why:
                    await self._turn_away(*key, why.kind)
        elif guest.joined and (guest.devices or age > 60):
            # From here on the others share their keys with them.
            self._ledger.end_guest(*key)
        if age > _GUEST_FOR_S:
            self._ledger.end_guest(*key)

    def take_in(self, body: dict[str, Any]) -> None:
        """Guests who have joined or gone, from a sync."""
        waiting = {(guest.room_id, guest.user_id) for guest in self._ledger.guests()}
        if not waiting:
            return
        for room_id, room in body.get("rooms", {}).get("join", {}).items():
            for event in room.get("timeline", {}).get("events", []):
                user_id = event.get("state_key")
                if event.get("type") != "m.room.member" or (room_id, user_id) not in waiting:
                    continue
                membership = event.get("content", {}).get("membership")
                if membership == "join":
                    self._ledger.guest_joined(room_id, user_id)
                elif membership in ("leave", "ban"):
                    self._ledger.end_guest(room_id, user_id)
