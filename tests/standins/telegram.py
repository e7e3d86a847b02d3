"""Telegram, played by a small server on this machine: the bridge's library calls it, and people on it write to the bot.

    telegram = TelegramStandin()
    await telegram.start()                             # telegram.base_url goes into MADOGUCHI_TELEGRAM_API_BASE
    mio = telegram.person()
    await mio.says("眠れない")                          # to the webhook that the bot has set, or for its next question
    await telegram.stop()

Each call of it, each answer and each update is checked against the published Bot API (telegram_spec.py).
"""

import asyncio
import contextlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.standins import telegram_spec
from tests.standins.telegram_spec import Disagreement

Json = dict[str, Any]
SENT = {"sendMessage": "text", "sendPhoto": "photo", "sendVideo": "video", "sendVoice": "voice", "sendAudio": "audio",
        "sendDocument": "document"}  # fmt: skip


@dataclass
class Bubble:
    """One message of the bot on somebody's phone."""

    to: int
    message_id: int
    kind: str
    text: str = ""
    content: bytes = b""
    file_name: str = ""
    answers: int | None = None
    given: Json = field(default_factory=dict)


@dataclass
class TelegramStandin:
    token: str = field(default_factory=lambda: f"{secrets.randbelow(10**9)}:{secrets.token_urlsafe(24)}")

    def __post_init__(self) -> None:
        self.phones: list[Bubble] = []
        self.calls: list[tuple[str, Json]] = []
        self.disagreements: list[str] = []
        self.troubles: list[tuple[int, Json]] = []
        self.after_work = 0
        self.files: dict[str, bytes] = {}
        self.blocked_by: set[int] = set()
        self.groups_left: list[int] = []
        self.reactions: dict[tuple[int, int], list[str]] = {}
        self.webhook: Json = {}
        self.webhook_trouble: Json = {}
        self.joins_groups = True
        self.base_url = ""
        self._waiting: list[Json] = []
        self._new = asyncio.Event()
        self._update_id = secrets.randbelow(10**8) + 1
        self._message_ids: dict[int, int] = {}
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=60 * 1024 * 1024)
        app.router.add_post("/bot{token}/{method}", self._answer)
        app.router.add_get("/file/bot{token}/{path:.+}", self._give_file)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._http = aiohttp.ClientSession()

    async def stop(self) -> None:
        """Goes, and says so if anything was not as the Bot API says."""
        self._new.set()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()
        assert not self.disagreements, "\n".join(self.disagreements)

    def person(self, user_id: int = 0) -> "TelegramPerson":
        return TelegramPerson(self, user_id or 10**9 + secrets.randbelow(10**9))

    # -- troubles ----------------------------------------------------------------------------------------------------
    def fails(self, status: int, description: str = "trouble", **parameters: int) -> None:
        """The next call but for news is answered with `status`, and nothing is done."""
        body: Json = {"ok": False, "error_code": status, "description": description}
        self.troubles.append((status, body | ({"parameters": parameters} if parameters else {})))

    # -- updates -----------------------------------------------------------------------------------------------------
    def update(self, *, check: bool = True, **what: Any) -> Json:
        self._update_id += 1
        update = {"update_id": self._update_id, **what}
        if check:
            telegram_spec.check("Update", update)
        return update

    async def deliver(self, update: Json, secret: str | None = None) -> int:
        """Calls the webhook that was set, once; gives the status."""
        assert self._http is not None
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.webhook["secret_token"] if secret is None else secret}
        async with self._http.post(self.webhook["url"], json=update, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def brings(self, update: Json, within_s: float = 30) -> Json:
        """As Telegram does: again until the webhook answers 200, or kept for the bot's next question."""
        if not self.webhook.get("url"):
            self._waiting.append(update)
            self._new.set()
            return update
        ends = time.monotonic() + within_s
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                if await self.deliver(update) == 200:
                    return update
            assert time.monotonic() < ends, "the bridge did not take the update"
            await asyncio.sleep(0.1)

    def message_id(self, chat: int) -> int:
        self._message_ids[chat] = self._message_ids.get(chat, 0) + 1
        return self._message_ids[chat]

    # -- the Bot API -------------------------------------------------------------------------------------------------
    async def _answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        given, files = await self._read(request, method)
        try:
            telegram_spec.check_call(method, given)
        except Disagreement as error:
            self.disagreements.append(str(error))
        if request.match_info["token"] != self.token:
            return _refusal(401, "Unauthorized")
        self.calls.append((method, given))
        if self.troubles and method != "getUpdates":
            status, body = self.troubles.pop(0)
            return web.json_response(body, status=status)
        result = await self._work(method, given, files)
        if isinstance(result, web.Response):
            return result
        try:
            telegram_spec.check_result(method, result)
        except Disagreement as error:
            self.disagreements.append(str(error))
        if self.after_work and method in SENT:
            self.after_work -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"ok": True, "result": result})

    async def _read(self, request: web.Request, method: str) -> tuple[Json, dict[str, tuple[str, bytes]]]:
        if request.content_type == "application/json":
            return json.loads(await request.read()), {}
        texts: dict[str, str] = {}
        files: dict[str, tuple[str, bytes]] = {}
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                files[name] = (value.filename, value.file.read())
            else:
                texts[name] = str(value)
        try:
            return telegram_spec.read_form(method, texts, set(files)), files
        except Disagreement as error:
            self.disagreements.append(str(error))
            return dict(texts), files

    async def _work(self, method: str, given: Json, files: dict[str, tuple[str, bytes]]) -> Any:
        chat = given.get("chat_id")
        if chat in self.blocked_by:
            return _refusal(403, "Forbidden: bot was blocked by the user")
        match method:
            case "setWebhook" | "deleteWebhook":
                self.webhook = given
                return True
            case "getMe":
                return {"id": 1, "is_bot": True, "first_name": "窓口", "username": "mado_bot",
                        "can_join_groups": self.joins_groups}  # fmt: skip
            case "getWebhookInfo":
                return {"url": (self.webhook or {}).get("url", ""), "has_custom_certificate": False,
                        "pending_update_count": 0} | self.webhook_trouble  # fmt: skip
            case "getUpdates":
                return await self._give_updates(given)
            case "getFile":
                if given["file_id"] not in self.files:
                    return _refusal(400, "Bad Request: invalid file_id")
                path = f"documents/{given['file_id']}"
                return {"file_id": given["file_id"], "file_unique_id": "u", "file_path": path}
            case "leaveChat":
                self.groups_left.append(int(given["chat_id"]))
                return True
            case "sendChatAction":
                return True
            case "editMessageText":
                bubble = self._bubble(given)
                if bubble is None or bubble.kind != "text":
                    return _refusal(400, "Bad Request: message to edit not found")
                bubble.text = given["text"]
                return self._message(bubble)
            case "deleteMessage":
                bubble = self._bubble(given)
                if bubble is None:
                    return _refusal(400, "Bad Request: message to delete not found")
                self.phones.remove(bubble)
                return True
            case "setMessageReaction":
                return self._react(given)
            case _:
                return self._carry(method, given, files)

    def _carry(self, method: str, given: Json, files: dict[str, tuple[str, bytes]]) -> Any:
        chat = int(given["chat_id"])
        if method == "sendMessage" and not 0 < len(given["text"].encode("utf-16-le")) <= 8192:
            return _refusal(400, "Bad Request: message is too long")
        name, content = next(iter(files.values()), ("", b""))
        answers = given.get("reply_parameters", {}).get("message_id")
        kind = SENT[method]
        bubble = Bubble(chat, self.message_id(chat), kind, given.get("text", ""), content, name, answers, given)
        self.phones.append(bubble)
        return self._message(bubble)

    def _react(self, given: Json) -> Any:
        chat, message = given["chat_id"], given["message_id"]
        emoji = [each.get("emoji", "") for each in given.get("reaction", [])]
        if not 0 < message <= self._message_ids.get(chat, 0):
            return _refusal(400, "Bad Request: message to react not found")
        if len(emoji) > 1:
            return _refusal(400, "Bad Request: REACTIONS_TOO_MANY")
        if not telegram_spec.REACTIONS.issuperset(emoji):
            return _refusal(400, "Bad Request: REACTION_INVALID")
        self.reactions[chat, message] = emoji
        return True

    def _message(self, bubble: Bubble) -> Json:
        chat = {"id": bubble.to, "type": "private"}
        message: Json = {"message_id": bubble.message_id, "date": int(time.time()), "chat": chat}
        return message | ({"text": bubble.text} if bubble.kind == "text" else {})

    def _bubble(self, given: Json) -> Bubble | None:
        wanted = (given["chat_id"], given["message_id"])
        return next((bubble for bubble in self.phones if (bubble.to, bubble.message_id) == wanted), None)

    async def _give_updates(self, given: Json) -> list[Json]:
        self._waiting = [update for update in self._waiting if update["update_id"] >= given.get("offset", 0)]
        if not self._waiting:
            self._new.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._new.wait(), min(given.get("timeout", 0), 2))
        return self._waiting[:100]

    async def _give_file(self, request: web.Request) -> web.StreamResponse:
        content = self.files.get(request.match_info["path"].rpartition("/")[2])
        if request.match_info["token"] != self.token or content is None:
            return web.Response(status=404)
        return web.Response(body=content, content_type="application/octet-stream")


@dataclass
class TelegramPerson:
    """Somebody with Telegram on their phone."""

    telegram: TelegramStandin
    user_id: int

    @property
    def user(self) -> Json:
        return {"id": self.user_id, "is_bot": False, "first_name": "澪", "language_code": "ja"}

    @property
    def chat(self) -> Json:
        return {"id": self.user_id, "type": "private", "first_name": "澪"}

    @property
    def phone(self) -> list[str]:
        return [bubble.text or bubble.kind for bubble in self.telegram.phones if bubble.to == self.user_id]

    def reactions(self, message: Json) -> list[str]:
        """What the bot has set on a message."""
        return self.telegram.reactions.get((self.user_id, message["message_id"]), [])

    async def sees(self, message: Json, *emoji: str, within_s: float = 20) -> None:
        """Waits until these, and no others, are on a message."""
        ends = time.monotonic() + within_s
        while self.reactions(message) != list(emoji):
            assert time.monotonic() < ends, f"on the message: {self.reactions(message)}"
            await asyncio.sleep(0.05)

    def message(self, **content: Any) -> Json:
        message_id = self.telegram.message_id(self.user_id)
        return {"message_id": message_id, "from": self.user, "chat": self.chat, "date": int(time.time()), **content}

    async def sends(self, **content: Any) -> Json:
        """A message of any kind; gives it."""
        message = self.message(**content)
        await self.telegram.brings(self.telegram.update(message=message))
        return message

    async def says(self, text: str, **more: Any) -> Json:
        return await self.sends(text=text, **more)

    async def sends_file(self, kind: str, content: bytes, **more: Any) -> Json:
        file_id = secrets.token_urlsafe(16)
        self.telegram.files[file_id] = content
        file = {"file_id": file_id, "file_unique_id": "u", "file_size": len(content), **more.pop("file", {})}
        return await self.sends(**{kind: [file] if kind == "photo" else file}, **more)

    async def edits(self, message: Json, **content: Any) -> None:
        edited = message | content | {"edit_date": int(time.time()) + 1}
        await self.telegram.brings(self.telegram.update(edited_message=edited))

    async def reacts(self, message_id: int, *emoji: str) -> None:
        new = [{"type": "emoji", "emoji": each} for each in emoji]
        reaction = {"chat": self.chat, "message_id": message_id, "user": self.user, "date": int(time.time()),
                    "old_reaction": [], "new_reaction": new}  # fmt: skip
        await self.telegram.brings(self.telegram.update(message_reaction=reaction))

    async def blocks(self, yes: bool = True) -> None:
        bot = {"id": 1, "is_bot": True, "first_name": "bot"}
        states = [{"status": "member", "user": bot}, {"status": "kicked", "user": bot, "until_date": 0}]
        old, new = states if yes else states[::-1]
        (self.telegram.blocked_by.add if yes else self.telegram.blocked_by.discard)(self.user_id)
        change = {"chat": self.chat, "from": self.user, "date": int(time.time()), "old_chat_member": old,
                  "new_chat_member": new}  # fmt: skip
        await self.telegram.brings(self.telegram.update(my_chat_member=change))

    async def hears(self, text: str, *, within_s: float = 20) -> Bubble:
        """Waits until a bubble with `text` in it, or of that kind, is on the phone."""
        ends = time.monotonic() + within_s
        while True:
            for bubble in self.telegram.phones:
                if bubble.to == self.user_id and (text in bubble.text or bubble.kind == text):
                    return bubble
            assert time.monotonic() < ends, f"{text!r} did not arrive; on the phone: {self.phone}"
            await asyncio.sleep(0.05)


def _refusal(status: int, description: str) -> web.Response:
    body = {"ok": False, "error_code": status, "description": description}
    return web.json_response(body, status=status)
