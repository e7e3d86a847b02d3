"""A Matrix device of ours: what the keeper, the bridges and their ghosts have in common.

matrix-nio's AsyncClient with everything around it that an unattended device needs: it logs in once and stays the same
device over restarts, is cross-signed, keeps its secrets encrypted at rest, never confirms a sync to the server before
all that came with it is stored, and goes on by itself after any failure of network or server. See README.md.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import structlog
from aiohttp import ClientError
from nio import (
    JoinedMembersResponse,
    KeysClaimResponse,
    RoomSendResponse,
    ShareGroupSessionResponse,
    SyncResponse,
)
from nio.crypto import OlmDevice
from nio.events import ToDeviceEvent

from madoguchi.crypto.cross_signing import JSON
from madoguchi.crypto.http import V3, Refused, described, room_path, status_of
from madoguchi.crypto.identity import IdentityLost, Login, OwnDevice

__all__ = ["V3", "AgentDevice", "IdentityLost", "Login", "Refused", "described", "room_path"]

log = structlog.get_logger()
# nio quotes pieces of events (decrypted ones too) in its warnings.
logging.getLogger("nio").setLevel(logging.CRITICAL)

_POLL_MS = 30_000


class AgentDevice(OwnDevice):
    """One device. `store_dir` is this device's own directory (made 0700), `store_key` 32 bytes that seal it.

    `follows_rooms=False` leaves out nio's model of rooms and opens no message: for a device that only keeps keys.
    `sync_filter`: a Matrix filter, sent with every sync.
    """

    def __init__(
        self,
        base_url: str,
        user_id: str,
        store_dir: Path,
        store_key: bytes,
        *,
        name: str,
        follows_rooms: bool = True,
        sync_filter: JSON | None = None,
        begins_anew: bool = True,
    ) -> None:
        super().__init__(base_url, user_id, store_dir, store_key, name=name, begins_anew=begins_anew)
        self.follows_rooms = follows_rooms
        self._filter = json.dumps(sync_filter) if sync_filter else None
        self._full_state = follows_rooms
        self._speaking: dict[str, asyncio.Lock] = {}
        self.after_sync: list[Callable[[JSON], Awaitable[None]]] = []

    # Speaking

    async def send_encrypted(self, devices: Iterable[OlmDevice], kind: str, content: JSON) -> list[OlmDevice]:
        """Send a to-device event, Olm-encrypted, to each device; gives those that could be reached."""
        wanted = list(devices)
        missing: dict[str, list[str]] = {}
        for device in wanted:
            if self.machine.session_store.get(device.curve25519) is None:
                missing.setdefault(device.user_id, []).append(device.id)
        if missing:
            await self.keys_claim(missing)
        messages: dict[str, JSON] = {}
        reached = []
        for device in wanted:
            session = self.machine.session_store.get(device.curve25519)
            if session is None:
                continue
            body = self.machine.olm_encrypt(session, device, kind, content)
            messages.setdefault(device.user_id, {})[device.id] = body
            reached.append(device)
        if messages:
            path = f"{V3}/sendToDevice/m.room.encrypted/{secrets.token_hex(8)}"
            await self.call("PUT", path, {"messages": messages})
        return reached

    async def say(self, room_id: str, content: JSON, txn_id: str, kind: str = "m.room.message") -> str:
        """Send an event into a room, encrypted where the room is; gives the event id.

        The same `txn_id` again (also after a restart) sends nothing twice. Raises Refused, aiohttp.ClientError,
        or nio's LocalProtocolError when the room has not come with a sync yet.
        """
        async with self._speaking.setdefault(room_id, asyncio.Lock()):
            room = self.rooms.get(room_id)
            if room is not None and not room.members_synced:
                members = await self.joined_members(room_id)
                if not isinstance(members, JoinedMembersResponse):
                    raise Refused(status_of(members), {"errcode": members.status_code}, "asking for the members")
            if self.should_query_keys:
                await self.query_devices(set(self.users_for_key_query))
            response = await self.room_send(room_id, kind, content, tx_id=txn_id, ignore_unverified_devices=True)
        if not isinstance(response, RoomSendResponse):
            raise Refused(status_of(response), {"errcode": response.status_code}, "sending an event")
        return str(response.event_id)

    async def share_group_session(
        self, room_id: str, ignore_unverified_devices: bool = False
    ) -> ShareGroupSessionResponse:
        """Give the room's Megolm session to every device in it (called by nio's room_send, before it encrypts).

        nio's own takes a session for shared although the server was away, and what is said with it can then never be
        read. This one raises Refused or aiohttp.ClientError, and the next attempt gives it to those still without.
        """
        users = list(self.rooms[room_id].users)
        if missing := self.get_missing_sessions(room_id):
            claimed = await self.keys_claim(missing)
            if not isinstance(claimed, KeysClaimResponse):
                raise Refused(status_of(claimed), {"errcode": claimed.status_code}, "claiming keys")
        shared_with: set[tuple[str, str]] = set()
        for devices, messages in self.machine.share_group_session_parallel(room_id, users, ignore_unverified_devices):
            path = f"{V3}/sendToDevice/m.room.encrypted/{secrets.token_hex(8)}"
            await self.call("PUT", path, messages)
            shared_with |= devices
            self.machine.outbound_group_sessions[room_id].users_shared_with.update(devices)
        self.machine.outbound_group_sessions[room_id].shared = True
        return ShareGroupSessionResponse(room_id, shared_with)

    # Syncing

    async def run(self, stop: asyncio.Event) -> None:
        """Sync until `stop` is set, whatever happens to network and server.

        Functions in `after_sync` get each sync's JSON; nio's event callbacks work as well. When one of them raises,
        the same sync is taken in again after a pause, so they see everything at least once.
        """
        pause = 0.5
        while not stop.is_set():
            try:
                await _unless(stop, self.sync_once())
                pause = 0.5
            except Refused as error:
                if error.errcode == "M_UNKNOWN_TOKEN":
                    await self._log_in_again()
                log.warning("sync refused", status=error.status, errcode=error.errcode)
                pause = await _rest(stop, pause)
            except (ClientError, TimeoutError, OSError) as error:
                log.warning("server not reachable", error=type(error).__name__)
                pause = await _rest(stop, pause)
            except Exception as error:
                log.warning("sync could not be taken in", exc_info=error)
                pause = await _rest(stop, pause)

    async def _log_in_again(self) -> None:
        try:
            await self._log_in()
            await self._publish_identity()
        except (Refused, ClientError, TimeoutError) as error:
            log.warning("login did not succeed", error=described(error))

    async def sync_once(self, timeout_ms: int = _POLL_MS) -> JSON:
        """One sync, taken in whole and only then confirmed; gives the server's JSON. Raises Refused, ClientError."""
        since = self.kept.load_token()
        query: dict[str, str] = {"timeout": str(timeout_ms)}
        if since:
            query["since"] = since
        if self._full_state:
            query |= {"full_state": "true", "timeout": "0"}
        if self._filter:
            query["filter"] = self._filter
        body = await self.call("GET", f"{V3}/sync", query=query, timeout=timeout_ms / 1000 + 30)
        if since:
            await self._fill_gaps(body, since)
        await self._take_in(body)
        for told in self.after_sync:
            await told(body)
        self.kept.save_token(body["next_batch"])
        self._full_state = False
        await self._look_after_keys(body)
        return body

    async def _fill_gaps(self, body: JSON, since: str) -> None:
        """Put in what a sync after a long absence left out of rooms' timelines: nothing is passed over."""
        for room_id, room in body.get("rooms", {}).get("join", {}).items():
            timeline = room.get("timeline", {})
            if timeline.get("limited") and timeline.get("prev_batch"):
                skipped = await self.events_between(room_id, since, timeline["prev_batch"])
                timeline["events"] = skipped + timeline.get("events", [])

    async def events_between(self, room_id: str, after: str | None, before: str) -> list[JSON]:
        """A room's events between two sync positions, oldest first; those that `sync_filter` lets through."""
        wanted = json.loads(self._filter or "{}").get("room", {}).get("timeline", {})
        query = {"dir": "b", "from": before, "limit": "100", "filter": json.dumps({**wanted, "limit": 100})}
        if after:
            query["to"] = after
        found: list[JSON] = []
        while True:
            page = await self.call("GET", room_path(room_id, "/messages"), query=query)
            found += page.get("chunk", [])
            if not page.get("end") or page["end"] == query["from"]:
                return found[::-1]
            query["from"] = page["end"]

    async def _take_in(self, body: JSON) -> None:
        raw = body.get("to_device", {}).get("events", [])
        parsed = [(event, ToDeviceEvent.parse_event(event)) for event in raw]
        try:
            opened = self.machine.open_batch([(event, known) for event, known in parsed if known is not None])
        except Exception:
            # What memory holds is ahead of what is stored; go back to what is stored.
            self._load_machine()
            raise
        for event in opened:
            await self._on_to_device(event)
        for room_id in body.get("rooms", {}).get("leave", {}):
            # Who has left a room has no use for its keys, and a purged case leaves none behind.
            self.machine.forget_room(room_id)
        if not self.follows_rooms:
            return
        response = SyncResponse.from_dict({**body, "to_device": {"events": []}})
        if not isinstance(response, SyncResponse):
            raise TypeError("The server's sync is not of the form that nio reads.")
        # nio passes over a sync whose position it has seen, also when taking it in failed half-way.
        self.next_batch = ""
        await self.receive_response(response)
        for room_id in body.get("rooms", {}).get("leave", {}):
            self.rooms.pop(room_id, None)

    async def _look_after_keys(self, body: JSON) -> None:
        counts = body.get("device_one_time_keys_count")
        if counts is not None:
            self.machine.uploaded_key_count = counts.get("signed_curve25519", 0)
        if self.machine.should_upload_keys:
            await self.upload_keys()
        unused = body.get("device_unused_fallback_key_types")
        if unused is not None and "signed_curve25519" not in unused:
            await self._upload_fallback_key()
        if self.follows_rooms and self.should_query_keys:
            await self.query_devices(set(self.users_for_key_query))
        if self.machine.broken_lines:
            broken = set(self.machine.broken_lines)
            await self.query_devices({user_id for user_id, _ in broken})
            self.machine.mend(broken)
        if self.machine.wedged_devices or self.machine.key_request_devices_no_session:
            await self.keys_claim(self.machine.get_users_for_key_claiming())
        if self.machine.outgoing_to_device_messages:
            await self.send_to_device_messages()


async def _rest(stop: asyncio.Event, pause: float) -> float:
    try:
        await asyncio.wait_for(stop.wait(), pause * (0.5 + secrets.randbelow(1000) / 1000))
    except TimeoutError:
        pass
    return min(pause * 2, 30.0)


async def _unless(stop: asyncio.Event, work: Awaitable[Any]) -> None:
    """Do the work, but leave it when `stop` is set."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
    finally:
        for task in (doing, stopping):
            if not task.done():
                task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)
