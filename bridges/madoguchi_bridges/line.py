"""LINE Messaging API: https://developers.line.biz/en/reference/messaging-api/"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from linebot.v3.messaging import AsyncApiClient, AsyncMessagingApi, Configuration
from linebot.v3.messaging.exceptions import ApiException
from linebot.v3.messaging.models import PushMessageRequest, ReplyMessageRequest, TextMessage
from linebot.v3.oauth import AsyncApiClient as OauthClient
from linebot.v3.oauth import AsyncChannelAccessToken
from linebot.v3.oauth import Configuration as OauthConfiguration
from linebot.v3.oauth.exceptions import ApiException as OauthException

from .line_events import read_event
from .network import Incoming, Limits, Outgoing, Rejected, ReplyTokenSpent, TryAgain, Unverified

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)
RENEW_BEFORE_SECONDS = 120


class Line:
    """One LINE official account.

    `secrets` holds `channel_secret` (signs the webhooks) and either `access_token` (long-lived) or `channel_id`, with
    which stateless 15-minute tokens are taken out: those leave nothing behind that could be stolen from a backup.
    """

    name = "line"
    title = "LINE"
    limits = Limits(text_units=5000, texts_per_request=5, reply_seconds=50.0, retry_key_hours=24.0)

    def __init__(self, secrets: Mapping[str, str], api_base: str) -> None:
        self._channel_secret = secrets["channel_secret"].encode()
        self._client_id = secrets.get("channel_id", "")
        self._fixed_token = secrets.get("access_token", "")
        if not self._fixed_token and not self._client_id:
            raise ValueError("A LINE channel needs an access token or its channel id.")
        self._api_base = api_base.rstrip("/")
        self._api: AsyncMessagingApi | None = None
        self._renew_at = 0.0
        self._lock = asyncio.Lock()

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        given = next((value for name, value in headers.items() if name.lower() == "x-line-signature"), "")
        expected = base64.b64encode(hmac.new(self._channel_secret, raw, hashlib.sha256).digest())
        if not hmac.compare_digest(given.encode("utf-8", "replace"), expected):
            raise Unverified

    def parse(self, raw: bytes) -> list[Incoming]:
        try:
            body = json.loads(raw)
            events = body["events"]
            if not isinstance(events, list):
                raise TypeError
        except (ValueError, TypeError, KeyError, RecursionError):
            return [Incoming(event_id="body:" + hashlib.sha256(raw).hexdigest(), kind="unknown")]
        try:
            return [read_event(event) for event in events]
        except RecursionError:
            return [Incoming(event_id="body:" + hashlib.sha256(raw).hexdigest(), kind="unknown")]

    async def send(self, outgoing: Outgoing) -> None:
        messages: list[Any] = [
            TextMessage(text=text, quickReply=None, quoteToken=None, emojis=None, sender=None)
            for text in outgoing.texts
        ]
        api = await self._messaging()
        try:
            if outgoing.reply_token:
                reply = ReplyMessageRequest(replyToken=outgoing.reply_token, messages=messages)
                await api.reply_message(reply, _request_timeout=REQUEST_TIMEOUT)
            else:
                push = PushMessageRequest(to=outgoing.to, messages=messages)
                await api.push_message(push, str(outgoing.retry_key), _request_timeout=REQUEST_TIMEOUT)
        except ApiException as error:
            self._judge(int(error.status or 0), replied=bool(outgoing.reply_token))
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise TryAgain from None

    def _judge(self, status: int, replied: bool) -> None:
        """Turns LINE's refusal into ours. The SDK's error carries LINE's body and headers, so it goes no further."""
        if status >= 500 or status == 0:
            raise TryAgain from None
        if status == 409 and not replied:
            return  # An earlier attempt with the same retry key was accepted.
        if status == 400 and replied:
            raise ReplyTokenSpent from None
        if status == 401:
            # The token may have been withdrawn: take a new one out for the next message.
            self._renew_at = 0.0
        reason = {400: "invalid", 401: "unauthorized", 403: "refused", 404: "unknown_person", 429: "quota"}
        raise Rejected(reason.get(status, "refused"), status) from None

    async def leave_group(self, group: str) -> None:
        """Leaves a group ("C…") or a multi-person chat ("R…"). Having left already counts as left."""
        api = await self._messaging()
        leave = api.leave_room if group.startswith("R") else api.leave_group
        try:
            await leave(group, _request_timeout=REQUEST_TIMEOUT)
        except ApiException as error:
            if int(error.status or 0) not in (400, 404):
                self._judge(int(error.status or 0), replied=False)
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise TryAgain from None

    async def close(self) -> None:
        if self._api is not None:
            await self._api.api_client.close()
            self._api = None

    async def _messaging(self) -> AsyncMessagingApi:
        async with self._lock:
            if self._api is None or (not self._fixed_token and time.monotonic() >= self._renew_at):
                token = self._fixed_token or await self._take_out_token()
                await self.close()
                client = AsyncApiClient(Configuration(host=self._api_base, access_token=token))
                self._api = AsyncMessagingApi(client)
                self._api.line_base_path = self._api_base
            return self._api

    async def _take_out_token(self) -> str:
        client = OauthClient(OauthConfiguration(host=self._api_base, access_token=""))
        try:
            oauth = AsyncChannelAccessToken(client)
            oauth.line_base_path = self._api_base
            answer = await oauth.issue_stateless_channel_token(
                grant_type="client_credentials",
                client_id=self._client_id,
                client_secret=self._channel_secret.decode(),
                _request_timeout=REQUEST_TIMEOUT,
            )
        except OauthException as error:
            if int(error.status or 0) >= 500:
                raise TryAgain from None
            raise Rejected("unauthorized", int(error.status or 0)) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise TryAgain from None
        finally:
            await client.close()
        self._renew_at = time.monotonic() + max(answer.expires_in - RENEW_BEFORE_SECONDS, 30)
        return str(answer.access_token)
