"""The desk's bot in the staff room: says what the desk wants said there, and passes on what staff tell it.

An account and a device of its own, beside the keeper in one process. It knows no rule: who acts and what may be done is
decided by the desk. Killed at any point it goes on: a sync counts as read once all that it brought was answered, an
event is obeyed once, and the same transaction id says nothing twice.
"""

import asyncio
import contextlib
import time
import unicodedata
from typing import Any

import structlog
from aiohttp import ClientError
from nio import MatrixRoom, MegolmEvent, RoomMessageText
from nio.exceptions import LocalProtocolError

from madoguchi.crypto.device import AgentDevice, Refused, described, room_path

log = structlog.get_logger()

STAFF_ROOM = "/_madoguchi/desk/v1/staff_room"
_POLL_MS = 25_000
# How long the key to a message may take on its own road.
_PATIENCE_S = 60.0
# What is passed on to the desk of each: no more words than it needs.
WORDS = {"help": 0, "queue": 0, "mine": 0, "accept": 1, "close": 1, "rest": 1, "join": 1, "risk": 2, "handover": 40}


def command_in(body: str) -> tuple[str, list[str]] | None:
    """The command that a message is, and its words; None for one that is none. A misspelt one is `unknown`: what else
    stands in it may be anything, and stays here."""
    text = unicodedata.normalize("NFKC", body).strip()
    if len(text) < 2 or text[0] != "!" or not text[1].isalpha():
        return None
    name, *words = text[1:].split()
    most = WORDS.get(name.casefold())
    if most is None:
        return "unknown", []
    return name.casefold(), [word[:200] for word in words[:most]]


class StaffBot:
    """A started device and what it does."""

    def __init__(self, device: AgentDevice) -> None:
        self._device = device
        self._heard: list[RoomMessageText] = []
        self._locked: dict[str, tuple[MegolmEvent, float]] = {}
        self.room_id: str | None = None
        device.add_event_callback(self._hear, (RoomMessageText, MegolmEvent))
        device.after_sync.append(self._answer)

    async def follow(self, stop: asyncio.Event) -> None:
        """Does in the room what the desk wants, until `stop`."""
        after: int | None = None
        pause = 0.2
        while not stop.is_set():
            try:
                after = await self._ask(after)
                pause = 0.2
            except (Refused, ClientError, TimeoutError, OSError, LocalProtocolError) as error:
                # The room comes with the next sync.
                log.info("the staff room waits", error=described(error))
                after = None
                await asyncio.sleep(pause)
                pause = min(pause * 2, 3.0)

    async def _ask(self, after: int | None) -> int:
        query = {} if after is None else {"after": str(after), "timeout": str(_POLL_MS)}
        wishes = await self._device.call("GET", STAFF_ROOM, query=query, timeout=_POLL_MS / 1000 + 15)
        room_id = self.room_id = wishes["room_id"]
        if room_id is not None:
            for user_id in wishes["removals"]:
                await self._device.call("POST", room_path(room_id, "/kick"), {"user_id": user_id})
            for user_id in wishes["invitations"]:
                await self._device.call("POST", room_path(room_id, "/invite"), {"user_id": user_id})
            for saying in wishes["sayings"]:
                await self._say(room_id, saying)
        return int(wishes["pos"])

    async def _say(self, room_id: str, saying: dict[str, Any]) -> None:
        edits, about = saying["edits"], saying["about"]
        content: dict[str, Any] = {"msgtype": "m.text", "body": _both(saying["said"])}
        if edits is not None:
            relation = {"rel_type": "m.replace", "event_id": edits}
            content = {"msgtype": "m.text", "body": f"* {content['body']}", "m.new_content": content}
            content["m.relates_to"] = relation
        elif about is not None:
            content["m.relates_to"] = {"m.in_reply_to": {"event_id": about}}
        event_id = await self._device.say(room_id, content, f"{saying['case_id']}.{saying['turn']}.{saying['told']}")
        # An edit leaves the notice where it is.
        body = {"case_id": saying["case_id"], "told": saying["told"], "event_id": edits or event_id}
        await self._device.call("PUT", f"{STAFF_ROOM}/told", body)

    async def _hear(self, room: MatrixRoom, event: RoomMessageText | MegolmEvent) -> None:
        if event.sender == self._device.user:
            return
        if isinstance(event, MegolmEvent):
            self._locked.setdefault(event.event_id, (event, time.monotonic()))
        elif event.decrypted:
            self._heard.append(event)

    async def _answer(self, _body: dict[str, Any]) -> None:
        for event_id, (locked, since) in list(self._locked.items()):
            with contextlib.suppress(Exception):
                opened = self._device.decrypt_event(locked)
                del self._locked[event_id]
                if isinstance(opened, RoomMessageText):
                    self._heard.append(opened)
            if time.monotonic() - since > _PATIENCE_S:
                self._locked.pop(event_id, None)
        heard, self._heard = self._heard, []
        for event in heard:
            content = event.source.get("content", {})
            told = command_in(event.body)
            if told is not None and content.get("m.relates_to", {}).get("rel_type") != "m.replace":
                await self._obey(event, *told)

    async def _obey(self, event: RoomMessageText, command: str, words: list[str]) -> None:
        room_id = str(event.source.get("room_id") or self.room_id or "")
        body = {"event_id": event.event_id, "command": command, "words": words}
        try:
            answer = (await self._device.call("POST", f"{STAFF_ROOM}/commands", body))["answer"]
        except Refused as refused:
            if refused.status >= 500:
                raise
            log.warning("a command was refused", status=refused.status, errcode=refused.errcode)
            return
        if answer is not None and room_id:
            reply = {"msgtype": "m.notice", "body": _both(answer)}
            reply["m.relates_to"] = {"m.in_reply_to": {"event_id": event.event_id}}  # type: ignore[assignment]
            await self._device.say(room_id, reply, f"answer.{event.event_id}")


def _both(said: dict[str, str]) -> str:
    return f"{said['ja']}\n{said['en']}"
