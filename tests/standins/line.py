"""LINE, played by a small server on this machine: the bridge's SDK calls it, and people on it write to the bridge.

    line = LineStandin()
    await line.start()                                 # line.base_url goes into MADOGUCHI_LINE_API_BASE
    line.connect(bridges_url, channel_id)              # where the webhooks go
    mio = line.person()
    await mio.says("眠れない")                          # signed and delivered, checked against LINE's webhook.yml
    await mio.hears("話を聞かせて")                      # what the bridge sent by reply or push
    await line.stop()

Every request to it and every answer of it is checked against LINE's own documents (../shared/line) where they lie.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.standins.openapi import Disagreement, line_document

Json = dict[str, Any]


@dataclass(frozen=True)
class Bubble:
    """One message that arrived on somebody's phone."""

    to: str
    text: str
    via: str  # "reply" or "push"
    url: str = ""  # of a picture, a film or a sound: the phone fetches it
    type: str = "text"
    id: str = ""
    quote_token: str = ""  # by which an answer quotes it
    quotes: str = ""  # the token of what it quotes
    opens: tuple[tuple[str, str], ...] = ()  # what a tap on a card or a quick reply opens: (its label, where)


@dataclass
class LineFile:
    """What somebody sent besides words, as LINE keeps it. `preparing`: how often it is not ready yet."""

    content: bytes
    type: str
    preparing: int = 0
    state: str = "succeeded"  # what LINE says of the preparing; "gone" = deleted, "unsent" = taken back
    breaks_after: int | None = None  # bytes after which the connection is cut, once


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int


@dataclass
class LineStandin:
    channel_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    access_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    client_id: str = "1234567890"
    destination: str = field(default_factory=lambda: "U" + secrets.token_hex(16))
    reply_token_seconds: float = 60.0

    def __post_init__(self) -> None:
        self.requests: list[Request] = []
        self.phones: list[Bubble] = []
        self.groups_left: list[str] = []
        self.files: dict[str, LineFile] = {}
        self.disagreements: list[str] = []
        self.troubles: list[Callable[[web.Request], Awaitable[web.StreamResponse | None]]] = []
        self.after_work: list[float] = []
        self.out_of_quota = False
        self.quota: int | None = 1000
        self.endpoint: Json | None = None  # the webhook as it stands in LINE's console
        self.read: list[str] = []
        self.loading: list[str] = []
        self.stateless_tokens: list[str] = []
        self.base_url = ""
        self.webhook_url = ""
        self._accepted: dict[str, Json] = {}
        self._reply_tokens: dict[str, tuple[str, float]] = {}
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    async def start(self, port: int = 0) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._http = aiohttp.ClientSession()

    async def stop(self) -> None:
        """Goes, and says so if anything was not as LINE's documents say."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()
        assert not self.disagreements, "\n".join(self.disagreements)

    def connect(self, bridges_url: str, channel_id: str) -> None:
        self.webhook_url = f"{bridges_url}/_madoguchi/bridges/line/{channel_id}/webhook"

    def person(self, user_id: str = "") -> "LinePerson":
        return LinePerson(self, user_id or "U" + secrets.token_hex(16))

    # -- troubles ----------------------------------------------------------------------------------------------------
    def fails(self, times: int, status: int = 500, message: str = "trouble") -> None:
        """The next requests are answered with `status`, and nothing is done."""

        async def trouble(request: web.Request) -> web.StreamResponse:
            return web.json_response({"message": message}, status=status)

        self.troubles += [trouble] * times

    def loses_answers(self, times: int) -> None:
        """The next requests are carried out, but the connection is cut before the answer."""
        self.after_work += [0.0] * times

    # -- webhooks ----------------------------------------------------------------------------------------------------
    def event(self, user_id: str, type_: str, **more: Any) -> Json:
        """An event as LINE makes it. `source` and `timestamp` (ms) may be given."""
        event: Json = {
            "type": type_,
            "source": {"type": "user", "userId": user_id},
            "timestamp": time.time_ns() // 1_000_000,
            "mode": "active",
            "webhookEventId": "01" + secrets.token_hex(12).upper(),
            "deliveryContext": {"isRedelivery": False},
        }
        if type_ not in ("unsend", "unfollow", "leave", "memberLeft"):
            event["replyToken"] = secrets.token_hex(16)
        event |= more
        return {key: value for key, value in event.items() if value is not None}

    def text_message(self, text: str) -> Json:
        tokens = {"quoteToken": secrets.token_urlsafe(12), "markAsReadToken": secrets.token_urlsafe(12)}
        return {"id": self.message_id(), "type": "text", "text": text, **tokens}

    def message_id(self) -> str:
        """An id that no message had before, not even one of another stand-in."""
        return str(500_000_000_000_000_000 + secrets.randbelow(10**17))

    def body(self, events: list[Json], *, check: bool = True) -> bytes:
        """A webhook body; with `check` it must be as webhook.yml says."""
        body = {"destination": self.destination, "events": events}
        if check:
            line_document("webhook").check("CallbackRequest", body)
        return json.dumps(body, ensure_ascii=False).encode()

    def signature(self, raw: bytes) -> str:
        return base64.b64encode(hmac.new(self.channel_secret.encode(), raw, hashlib.sha256).digest()).decode()

    async def deliver(self, *events: Json, check: bool = True, redelivery: bool = False) -> int:
        """Signs and delivers one webhook; gives the bridge's status. Waits 2 s for it, as LINE does."""
        if redelivery:
            events = tuple({**event, "deliveryContext": {"isRedelivery": True}} for event in events)
        for event in events:
            if token := event.get("replyToken"):
                known = self._reply_tokens.get(token)
                self._reply_tokens[token] = known or (event.get("source", {}).get("userId", ""), time.monotonic())
        return await self.deliver_raw(self.body(list(events), check=check))

    async def deliver_raw(self, raw: bytes, signature: str | None = None) -> int:
        assert self._http is not None
        headers = {"x-line-signature": self.signature(raw) if signature is None else signature}
        headers["Content-Type"] = "application/json; charset=utf-8"
        timeout = aiohttp.ClientTimeout(total=2)
        async with self._http.post(self.webhook_url, data=raw, headers=headers, timeout=timeout) as answer:
            await answer.read()
            return answer.status

    async def delivers_until_taken(self, *events: Json, within_s: float = 30, check: bool = True) -> None:
        """As LINE with redelivery on: again and again until the bridge answers 200."""
        ends = time.monotonic() + within_s
        redelivery = False
        while True:
            try:
                if await self.deliver(*events, redelivery=redelivery, check=check) == 200:
                    return
            except (aiohttp.ClientError, TimeoutError):
                pass
            assert time.monotonic() < ends, "the bridge did not take the webhook"
            redelivery = True
            await asyncio.sleep(0.2)

    # -- the Messaging API ------------------------------------------------------------------------------------------
    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        form = request.content_type == "application/x-www-form-urlencoded"
        body: Any = dict(await request.post()) if form else json.loads(raw) if raw else None
        document = line_document("channel-access-token" if "/oauth2/" in request.path else "messaging-api")
        try:
            document.check_request(request.method, request.path, request.headers, body)
        except Disagreement as error:
            self.disagreements.append(str(error))
        answer: web.StreamResponse | None = None
        if not self.troubles and request.path.endswith("/content"):
            answer = await self._give_file(request)
        if self.troubles:
            answer = await self.troubles.pop(0)(request)
        if answer is None:
            tests = request.path == "/v2/bot/channel/webhook/test"
            status, content = (200, await self._test_webhook()) if tests else self._work(request, body)
            try:
                document.check_answer(request.method, request.path, status, content)
            except Disagreement as error:
                self.disagreements.append(str(error))
            answer = web.json_response(content, status=status, headers={"x-line-request-id": secrets.token_hex(16)})
        self.requests.append(Request(request.method, request.path, dict(request.headers), body, answer.status))
        if self.after_work and answer.status == 200:
            self.after_work.pop(0)
            assert request.transport is not None
            request.transport.abort()
        return answer

    async def _give_file(self, request: web.Request) -> web.StreamResponse:
        """The content of a message. What LINE says in words, but not in its document: 202, 404, 410."""
        file = self.files.get(request.path.split("/")[-2])
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            return web.json_response({"message": "Authentication failed."}, status=401)
        if file is None or file.state in ("gone", "unsent"):
            return web.json_response(
                {"message": "Not found"}, status=404 if file is None or file.state == "gone" else 410
            )
        if file.preparing > 0 or file.state == "failed":
            file.preparing -= 1
            return web.Response(status=202)
        if file.breaks_after is not None:
            answer = web.StreamResponse(headers={"Content-Type": file.type, "Content-Length": str(len(file.content))})
            await answer.prepare(request)
            await answer.write(file.content[: file.breaks_after])
            file.breaks_after = None
            assert request.transport is not None
            request.transport.abort()
            return answer
        return web.Response(body=file.content, headers={"Content-Type": file.type})

    async def _test_webhook(self) -> Json:
        """Calls the listener as LINE does: signed, with no event."""
        status = await self.deliver()
        reason = "OK" if status == 200 else "ERROR_STATUS_CODE"
        return {"success": status == 200, "timestamp": "2026-11-29T00:00:00Z", "statusCode": status,
                "reason": reason, "detail": str(status)}  # fmt: skip

    @property
    def _tokens(self) -> tuple[str, ...]:
        return (self.access_token, *self.stateless_tokens)

    def _work(self, request: web.Request, body: Any) -> tuple[int, Json]:
        path = request.path
        if path == "/oauth2/v3/token":
            if (body.get("client_id"), body.get("client_secret")) != (self.client_id, self.channel_secret):
                return 400, {"error": "invalid_client"}
            self.stateless_tokens.append(secrets.token_urlsafe(24))
            return 200, {"token_type": "Bearer", "access_token": self.stateless_tokens[-1], "expires_in": 900}
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self._tokens:
            return 401, {"message": "Authentication failed. Confirm that the access token is valid."}
        if path == "/v2/bot/message/reply":
            return self._reply(body)
        if path == "/v2/bot/message/push":
            return self._push(body, request.headers.get("X-Line-Retry-Key"))
        if path.endswith("/content/transcoding"):
            file = self.files[path.split("/")[-3]]
            return 200, {"status": "processing" if file.preparing > 0 else file.state}
        if path.endswith("/leave"):
            self.groups_left.append(path.split("/")[-2])
            return 200, {}
        if path == "/v2/bot/info":
            return 200, {"userId": self.destination, "basicId": "@123abcde", "displayName": "県の窓口",
                         "chatMode": "bot", "markAsReadMode": "manual"}  # fmt: skip
        if path == "/v2/bot/channel/webhook/endpoint":
            return (404, {"message": "Webhook endpoint not found"}) if self.endpoint is None else (200, self.endpoint)
        if path == "/v2/bot/chat/markAsRead":
            self.read.append(body["markAsReadToken"])
            return 200, {}
        if path == "/v2/bot/chat/loading/start":
            self.loading.append(body["chatId"])
            return 202, {}
        if path == "/v2/bot/message/quota":
            return 200, {"type": "limited", "value": self.quota} if self.quota is not None else {"type": "none"}
        if path == "/v2/bot/message/quota/consumption":
            return 200, {"totalUsage": sum(bubble.via == "push" for bubble in self.phones)}
        if path.startswith("/v2/bot/profile/"):
            return 200, {"displayName": "LINE太郎", "userId": path.split("/")[-1]}
        return 404, {"message": "Not found"}

    async def shows_loading(self, times: int) -> None:
        """Waits until the loading animation has been asked for so many times."""
        async with asyncio.timeout(20):
            while len(self.loading) < times:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def shows_read(self, token: str) -> None:
        """Waits until the message with this token is marked as read."""
        async with asyncio.timeout(20):
            while token not in self.read:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def _reply(self, body: Json) -> tuple[int, Json]:
        to, born = self._reply_tokens.get(body["replyToken"], ("", 0.0))
        if not to or time.monotonic() - born > self.reply_token_seconds:
            return 400, {"message": "Invalid reply token"}
        self._reply_tokens[body["replyToken"]] = ("", born)
        return self._carry(to, body["messages"], "reply")

    def _push(self, body: Json, retry_key: str | None) -> tuple[int, Json]:
        if retry_key is not None and retry_key in self._accepted:
            told = {"message": "The retry key is already accepted"}
            return 409, told | self._accepted[retry_key]
        if self.out_of_quota:
            return 429, {"message": "You have reached your monthly limit."}
        status, told = self._carry(body["to"], body["messages"], "push")
        if status == 200 and retry_key is not None:
            self._accepted[retry_key] = told
        return status, told

    def _carry(self, to: str, messages: list[Json], via: str) -> tuple[int, Json]:
        if len(messages) > 5 or any(len(m.get("text", "").encode("utf-16-le")) > 10_000 for m in messages):
            return 400, {"message": "The request body has 1 error(s)"}
        for message in messages:
            template = message.get("template", {})
            replies = [item["action"] for item in (message.get("quickReply") or {"items": []})["items"]]
            actions = template.get("actions", replies)
            # What LINE says in words, but not in its document.
            if any(len(action["label"]) > 20 for action in actions) or len(template.get("text", "")) > 160:
                return 400, {"message": "The request body has 1 error(s)"}
            self.phones.append(
                Bubble(
                    to,
                    message.get("text", template.get("text", "")),
                    via,
                    url=message.get("originalContentUrl", ""),
                    type=message["type"],
                    id=self.message_id(),
                    quote_token=secrets.token_urlsafe(12),
                    quotes=message.get("quoteToken") or "",
                    opens=tuple((action["label"], action["uri"]) for action in actions),
                )
            )
        sent = self.phones[-len(messages) :]
        return 200, {"sentMessages": [{"id": bubble.id, "quoteToken": bubble.quote_token} for bubble in sent]}


@dataclass
class LinePerson:
    """Somebody with LINE on their phone."""

    line: LineStandin
    user_id: str

    @property
    def phone(self) -> list[str]:
        """The texts that have arrived, oldest first."""
        return [bubble.text for bubble in self.line.phones if bubble.to == self.user_id]

    def event(self, type_: str, **more: Any) -> Json:
        return self.line.event(self.user_id, type_, **more)

    def said(self, text: str, quoting: str = "", **more: Any) -> Json:
        """The event of a text message, not yet delivered. `quoting`: the id of the message that it answers."""
        message = self.line.text_message(text)
        return self.event("message", message=message | ({"quotedMessageId": quoting} if quoting else {}), **more)

    async def says(self, text: str, quoting: str = "") -> Json:
        """Writes, and LINE delivers (again, should the bridge not answer). Gives the event."""
        event = self.said(text, quoting)
        await self.line.delivers_until_taken(event)
        return event

    async def sends(self, type_: str, **more: Any) -> Json:
        """A message of another type: sticker, image, location …"""
        event = self.event("message", message={"id": self.line.message_id(), "type": type_, **more})
        await self.line.delivers_until_taken(event)
        return event

    async def sends_file(self, type_: str, file: LineFile, **more: Any) -> Json:
        """A picture, film or sound that LINE keeps, or a file."""
        message_id = self.line.message_id()
        self.line.files[message_id] = file
        if type_ != "file":
            more = {"contentProvider": {"type": "line"}} | more
        if type_ in ("image", "video"):
            more["quoteToken"] = "q"
        event = self.event("message", message={"id": message_id, "type": type_, **more})
        await self.line.delivers_until_taken(event)
        return event

    async def does(self, type_: str, **more: Any) -> Json:
        """follow, unfollow, unsend, postback …"""
        event = self.event(type_, **more)
        await self.line.delivers_until_taken(event)
        return event

    async def sees_a(self, type_: str, *, within_s: float = 20) -> Bubble:
        """Waits until something of a type other than text is on the phone."""
        ends = time.monotonic() + within_s
        while True:
            for bubble in self.line.phones:
                if bubble.to == self.user_id and bubble.type == type_:
                    return bubble
            assert time.monotonic() < ends, f"no {type_} arrived; on the phone: {self.phone}"
            await asyncio.sleep(0.05)

    async def hears(self, text: str, *, within_s: float = 20) -> Bubble:
        """Waits until a bubble with `text` in it is on the phone."""
        ends = time.monotonic() + within_s
        while True:
            for bubble in self.line.phones:
                if bubble.to == self.user_id and text in bubble.text:
                    return bubble
            assert time.monotonic() < ends, f"{text!r} did not arrive; on the phone: {self.phone}"
            await asyncio.sleep(0.05)
