"""The keeper process: one Matrix device that keeps every room key it is given, and reads nothing.

What must hold: a key that came is on disk before the server forgets it (crypto/device.py); a key on disk reaches the
vault (sealing.py) and the keeper's own backup (copies.py); whoever the desk sends into a room gets its history
(history.py); a key that did not come, or not from its first message on, is asked for. Each of these starts again from
what is stored, so the process may be killed at any point.
"""

import asyncio
import contextlib
import hashlib
import signal
import time
from pathlib import Path
from typing import Any

import structlog
import vodozemac
from aiohttp import ClientError
from nio.crypto import InboundGroupSession
from nio.crypto.key_request import OutgoingKeyRequest
from nio.events import UnknownToDeviceEvent

from madoguchi.config import Settings
from madoguchi.crypto.device import V3, AgentDevice, IdentityLost, Login, Refused, described
from madoguchi.crypto.key_bundle import MEGOLM
from madoguchi.crypto.sealed_file import SealBroken, SealedFile
from madoguchi.keeper import published, recovery
from madoguchi.keeper.copies import STATE_FILE, Copies
from madoguchi.keeper.guest_list import GuestList
from madoguchi.keeper.history import Door
from madoguchi.keeper.ledger import Ledger, Missing
from madoguchi.keeper.recovery import Brought
from madoguchi.keeper.sealing import Seal, Sealer
from madoguchi.keeper.staff_bot import StaffBot
from madoguchi.keeper.waiting import first_of
from madoguchi.vault import pin

log = structlog.get_logger()

LOCALPART = "keeper"
NAME = "記録係"
BOT = "deskbot"
BOT_NAME = "窓口ボット"
_NONE = {"not_types": ["*"]}
_FILTER: dict[str, Any] = {
    "presence": _NONE,
    "account_data": _NONE,
    "room": {
        "account_data": _NONE,
        "ephemeral": _NONE,
        "state": _NONE,
        "timeline": {"types": ["m.room.encrypted", "m.room.member"], "limit": 100, "lazy_load_members": True},
    },
}
# Keys and the message they open come by two roads; a little patience saves needless questions.
_PATIENCE_S = 5.0
_LOOK_AGAIN_S = 2.0
_NO_MESSAGE = 1 << 32
# Why the maker of a session does not give it (Client-Server API, "Reporting that decryption keys are withheld").
_CODES = ("m.blacklisted", "m.unverified", "m.unauthorised", "m.unavailable", "m.no_olm")


async def run(settings: Settings) -> None:
    """Be the keeper until SIGTERM or SIGINT. Waits for `serve` and for what `up` makes (password, key file)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    password = (await _text_of(settings.keys / "keeper.password", stop)).strip()
    directory, key = settings.data / "keeper", store_key(settings.keys / "secret.key")
    device = AgentDevice(
        settings.local_url,
        f"@{LOCALPART}:{settings.server_name}",
        directory,
        key,
        name=NAME,
        follows_rooms=False,
        sync_filter=_FILTER,
        # Others rely on the one that it had: the roster names it.
        begins_anew=False,
    )
    bot = asyncio.create_task(_staff_bot(settings, stop))
    try:
        if await _start(device, Login.by_password(password), stop):
            published(settings.data).touch(mode=0o600)
            guest_list = GuestList(device, settings.keys / "roster.pub", directory / "roster.number")
            ledger = Ledger(device.kept)
            state = SealedFile(directory / STATE_FILE, key)
            copies = Copies(device, ledger, settings.keys / recovery.KEY_FILE, state)
            sealer = Sealer(device, ledger, Seal(settings.keys, pin.refused(settings.data), ledger))
            await Keeper(device, ledger, guest_list, sealer, copies, Brought(directory, key)).run(stop)
    finally:
        bot.cancel()
        await asyncio.gather(bot, return_exceptions=True)
        await device.close()


async def _staff_bot(settings: Settings, stop: asyncio.Event) -> None:
    """Be the desk's bot until `stop`. Whatever happens to it is no harm to the keeper."""
    password = (await _text_of(settings.keys / "deskbot.password", stop)).strip()
    while not stop.is_set():
        device = AgentDevice(
            settings.local_url,
            f"@{BOT}:{settings.server_name}",
            settings.data / "deskbot",
            store_key(settings.keys / "secret.key"),
            name=BOT_NAME,
        )
        bot = StaffBot(device)
        try:
            if await _start(device, Login.by_password(password), stop):
                log.info("staff bot ready", user_id=device.user, device_id=device.device_id)
                await asyncio.gather(device.run(stop), bot.follow(stop))
        except Exception as error:
            log.error("the staff bot starts again", error=described(error))
            await asyncio.sleep(5)
        finally:
            await device.close()


def store_key(secret_file: Path) -> bytes:
    """The key under which the keeper's store is encrypted, from the desk's secret key file (32 bytes)."""
    secret = secret_file.read_bytes()
    return hashlib.blake2b(secret, digest_size=32, person=b"madoguchi keeper").digest()


class Keeper:
    """A started device and what it does."""

    def __init__(
        self, device: AgentDevice, ledger: Ledger, guest_list: GuestList, sealer: Sealer, copies: Copies,
        brought: Brought,
    ) -> None:  # fmt: skip
        self.device, self.ledger, self.brought = device, ledger, brought
        self.sealer, self.copies = sealer, copies
        self.door = Door(device, self.ledger, guest_list)
        device.machine.on_session = self._learn
        device.after_sync.append(self._take_in)
        device.add_to_device_callback(self._hear_refusal, (UnknownToDeviceEvent,))

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        log.info("keeper ready", user_id=self.device.user, device_id=self.device.device_id)
        work = (
            self.device.run, self.sealer.run, self.copies.run, self.door.run, self.door.look_after_guests,
            self._ask_for_missing, self._take_up, self._look_back,
        )  # fmt: skip
        tasks = [asyncio.create_task(each(stop)) for each in work]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)

    def _learn(self, session: InboundGroupSession) -> None:
        self.ledger.found(session.room_id, session.id, session.first_known_index)
        self.sealer.add(session)
        self.copies.add(session)

    async def _take_in(self, body: dict[str, Any]) -> None:
        self.door.take_in(body)
        first = self.device.kept.load_token() is None
        for room_id in body.get("rooms", {}).get("leave", {}):
            self._forget(room_id)
        for room_id, room in body.get("rooms", {}).get("join", {}).items():
            for event in room.get("timeline", {}).get("events", []):
                self._note(room_id, event)
            if first and room.get("timeline", {}).get("limited"):
                # A device that is new has rooms only where an earlier one was lost.
                self.ledger.mark_behind(room_id, room["timeline"]["prev_batch"])

    def _forget(self, room_id: str) -> None:
        """The keeper leaves a room only when its case is purged (core/desk/purge.py)."""
        self.ledger.forget_room(room_id)
        self.sealer.forget_room(room_id)
        self.copies.forget_room(room_id)
        log.info("keys destroyed", room_id=room_id)

    def _note(self, room_id: str, event: dict[str, Any]) -> None:
        content = event.get("content", {})
        session_id = content.get("session_id")
        if event.get("type") != "m.room.encrypted" or content.get("algorithm") != MEGOLM or not session_id:
            return
        index = _index_of(content.get("ciphertext"))
        session = self.device.machine.find_session(room_id, session_id)
        if session is None or session.first_known_index > index:
            sender_key = content.get("sender_key") or ""
            self.ledger.add_missing(room_id, str(session_id), str(event.get("sender")), str(sender_key), index)

    async def _look_back(self, stop: asyncio.Event) -> None:
        """Note what was said before a device that is new came, room by room."""
        while not stop.is_set():
            for room_id, before in self.ledger.behind():
                try:
                    for event in await self.device.events_between(room_id, None, before):
                        self._note(room_id, event)
                except (Refused, ClientError, TimeoutError, OSError) as error:
                    if not isinstance(error, Refused) or error.status not in (403, 404):
                        continue
                self.ledger.caught_up(room_id)
            await first_of(stop.wait(), timeout=_LOOK_AGAIN_S)

    async def _take_up(self, stop: asyncio.Event) -> None:
        """Take up what `madoguchi keeper recover` has brought, whenever it comes."""
        while not stop.is_set():
            with contextlib.suppress(SealBroken):
                if sessions := self.brought.sessions():
                    with self.device.kept.database.atomic():
                        new = sum(self.device.machine.keep_session(session) for session in sessions)
                    log.info("room keys brought back", keys=len(sessions), new=new)
                self.brought.taken()
            await first_of(stop.wait(), timeout=_LOOK_AGAIN_S)

    async def _hear_refusal(self, event: UnknownToDeviceEvent) -> None:
        content = event.source.get("content", {})
        if event.type != "m.room_key.withheld" or content.get("code") not in _CODES:
            return
        room_id, session_id = content.get("room_id"), content.get("session_id")
        if isinstance(room_id, str) and isinstance(session_id, str):
            self.ledger.mark_withheld(room_id, session_id, event.sender, content["code"])

    async def _ask_for_missing(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for missing in self.ledger.missing():
                if missing.asked_at or time.time() - missing.seen_at < _PATIENCE_S:
                    continue
                with contextlib.suppress(Refused, ClientError, TimeoutError, OSError):
                    await self._ask_for(missing)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1)

    async def _ask_for(self, missing: Missing) -> None:
        """Ask all devices of the sender for a session (m.room_key_request); each session once."""
        body = {"algorithm": MEGOLM, "room_id": missing.room_id, "session_id": missing.session_id}
        if missing.sender_key:
            body["sender_key"] = missing.sender_key
        request = {
            "action": "request",
            "body": body,
            # nio finds an answer's question by the session id.
            "request_id": missing.session_id,
            "requesting_device_id": self.device.device_id,
        }
        path = f"{V3}/sendToDevice/m.room_key_request/{missing.session_id.replace('/', '_')}"
        noted = OutgoingKeyRequest(missing.session_id, missing.session_id, missing.room_id, MEGOLM)
        self.device.machine.outgoing_key_requests[missing.session_id] = noted
        self.device.kept.add_outgoing_key_request(noted)
        await self.device.call("PUT", path, {"messages": {missing.sender: {"*": request}}})
        self.ledger.mark_asked(missing)
        log.info("asked for a missing key", room_id=missing.room_id)


def _index_of(ciphertext: Any) -> int:
    """Which message of its session it is; after all of them for what is no Megolm message: no key opens it."""
    try:
        return int(vodozemac.MegolmMessage.from_base64(ciphertext).message_index())
    except (TypeError, ValueError):
        return _NO_MESSAGE


async def _start(device: AgentDevice, login: Login, stop: asyncio.Event) -> bool:
    """Start the device, waiting for a server that is not there yet, or for an identity that was lost. False when `stop`
    came first."""
    pause = 0.2
    while not stop.is_set():
        try:
            await device.start(login)
            # What is left of a lost store would be given every key for ever.
            await device.end_other_devices()
        except (Refused, ClientError, TimeoutError, OSError) as error:
            log.warning("the keeper cannot start yet", reason=described(error))
        except IdentityLost:
            log.error("the keeper has lost its identity and waits: `madoguchi keeper recover`")
        except SealBroken:
            log.error("what lies in the keeper's directory was sealed under another secret.key")
        else:
            return True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(pause * 1.5, 5.0)
    return False


async def _text_of(path: Path, stop: asyncio.Event) -> str:
    while not stop.is_set():
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="utf-8")
        log.warning("waiting for a file", path=str(path))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1)
    return ""
