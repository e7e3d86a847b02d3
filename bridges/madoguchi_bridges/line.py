"""LINE Messaging API: https://developers.line.biz/en/reference/messaging-api/"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
from linebot.v3.messaging import AsyncApiClient, AsyncMessagingApi, Configuration
from linebot.v3.messaging.exceptions import ApiException
from linebot.v3.messaging.models import (
    AudioMessage,
    ButtonsTemplate,
    ImageMessage,
    MarkMessagesAsReadByTokenRequest,
    PushMessageRequest,
    QuickReply,
    QuickReplyItem,
    ReplyMessageRequest,
    ShowLoadingAnimationRequest,
    TemplateMessage,
    TextMessage,
    URIAction,
)
from linebot.v3.oauth import AsyncApiClient as OauthClient
from linebot.v3.oauth import AsyncChannelAccessToken
from linebot.v3.oauth import Configuration as OauthConfiguration
from linebot.v3.oauth.exceptions import ApiException as OauthException

from . import egress
from .line_check import check
from .line_events import read_event
from .network import (
    Fetched,
    Finding,
    Incoming,
    Limits,
    Link,
    Media,
    NotReady,
    Outgoing,
    Quota,
    Ref,
    Rejected,
    ReplyTokenSpent,
    TryAgain,
    Unavailable,
    Unverified,
)

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)
FILE_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_read=30)
PIECE = 64 * 1024
LARGEST_PREVIEW = 1_000_000
RATE_REST_SECONDS = 5.0
LOADING_SECONDS = 20
RENEW_BEFORE_SECONDS = 120


class Line:
    """One LINE official account.

    `secrets` holds `channel_secret` (signs the webhooks) and either `access_token` (long-lived) or `channel_id`, with
    which stateless 15-minute tokens are taken out: those leave nothing behind that could be stolen from a backup.
    """

    name = "line"
    title = "LINE"
    limits = Limits(
        text_units=5000, texts_per_request=5, reply_seconds=50.0, retry_key_hours=24.0, requests_per_second=1000.0
    )
    typing_seconds = LOADING_SECONDS - 2.0

    def __init__(self, secrets: Mapping[str, str], api_base: str, data_base: str) -> None:
        self._channel_secret = secrets["channel_secret"].encode()
        self._client_id = secrets.get("channel_id", "")
        self._fixed_token = secrets.get("access_token", "")
        if not self._fixed_token and not self._client_id:
            raise ValueError("A LINE channel needs an access token or its channel id.")
        self._api_base = api_base.rstrip("/")
        self._data_base = data_base.rstrip("/")
        self._files: aiohttp.ClientSession | None = None
        self._api: AsyncMessagingApi | None = None
        self._token = ""
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

    async def send(self, outgoing: Outgoing) -> Sequence[Ref]:
        quotes = outgoing.quotes.quote if outgoing.quotes is not None else None
        messages: list[Any] = [
            TextMessage(text=text, quickReply=None, quoteToken=None if number else quotes, emojis=None, sender=None)
            for number, text in enumerate(outgoing.texts)
        ]
        if outgoing.buttons:
            messages[-1] = _with_buttons(outgoing)
        if outgoing.link is not None and (bubble := _bubble(outgoing.link)) is not None:
            messages[0] = bubble
        api = await self._messaging()
        try:
            if outgoing.reply_token:
                reply = ReplyMessageRequest(replyToken=outgoing.reply_token, messages=messages)
                sent = await api.reply_message(reply, _request_timeout=REQUEST_TIMEOUT)
            else:
                push = PushMessageRequest(to=outgoing.to, messages=messages)
                sent = await api.push_message(push, str(outgoing.retry_key), _request_timeout=REQUEST_TIMEOUT)
        except ApiException as error:
            self._judge(error, replied=bool(outgoing.reply_token))
            return ()
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise TryAgain from None
        return [Ref(id=str(each.id), quote=each.quote_token or "") for each in sent.sent_messages]

    def _judge(self, error: ApiException, replied: bool = False) -> None:
        """Turns LINE's refusal into ours. The SDK's error carries LINE's body and headers, so it goes no further."""
        status = int(error.status or 0)
        if status >= 500 or status == 0:
            raise TryAgain from None
        if status == 409 and not replied:
            return  # An earlier attempt with the same retry key was accepted.
        if status == 400 and replied:
            raise ReplyTokenSpent from None
        if status == 401:
            # The token may have been withdrawn: take a new one out for the next message.
            self._renew_at = 0.0
        if status == 429 and "monthly" not in str(error.body):
            # Too many at once, or too many to this person: not the month's quota.
            raise TryAgain(after=RATE_REST_SECONDS) from None
        reason = {400: "invalid", 401: "unauthorized", 403: "refused", 404: "unknown_person", 429: "quota"}
        raise Rejected(reason.get(status, "refused"), status) from None

    async def mark_read(self, to: str, ref: Ref) -> None:
        """As MarksRead."""
        await self._ask("mark_messages_as_read_by_token", MarkMessagesAsReadByTokenRequest(markAsReadToken=ref.read))

    async def show_typing(self, to: str) -> None:
        """As ShowsTyping: LINE's loading animation, until a message comes or the time is over."""
        seconds = LOADING_SECONDS
        await self._ask("show_loading_animation", ShowLoadingAnimationRequest(chatId=to, loadingSeconds=seconds))

    async def quota(self) -> Quota:
        """As CountsQuota."""
        most, used = await self._ask("get_message_quota"), await self._ask("get_message_quota_consumption")
        limited = str(getattr(most.type, "value", most.type)) == "limited"
        return Quota(int(most.value) if limited and most.value is not None else None, int(used.total_usage))

    async def check(self, webhook_url: str) -> Sequence[Finding]:
        """As Checked."""
        return await check(self._ask, self.quota, webhook_url)

    async def start_url(self) -> str:
        """As OpensByLink: https://developers.line.biz/en/docs/messaging-api/using-line-url-scheme/"""
        bot = await self._ask("get_bot_info")
        return f"https://line.me/R/oaMessage/{quote(bot.basic_id, safe='')}/?{{code}}"

    async def _ask(self, operation: str, *words: Any) -> Any:
        """One call of the API that carries no message. Raises TryAgain, Rejected."""
        api = await self._messaging()
        try:
            return await getattr(api, operation)(*words, _request_timeout=REQUEST_TIMEOUT)
        except ApiException as error:
            self._judge(error)
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise TryAgain from None

    async def leave_group(self, group: str) -> None:
        """Leaves a group ("C…") or a multi-person chat ("R…"). Having left already counts as left."""
        api = await self._messaging()
        leave = api.leave_room if group.startswith("R") else api.leave_group
        try:
            await leave(group, _request_timeout=REQUEST_TIMEOUT)
        except ApiException as error:
            if int(error.status or 0) not in (400, 404):
                self._judge(error)
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise TryAgain from None

    @asynccontextmanager
    async def fetch(self, media: Media) -> AsyncIterator[Fetched]:
        """As FetchesMedia. By hand, because the SDK holds a whole film in memory."""
        message = f"{self._data_base}/v2/bot/message/{quote(media.id, safe='')}/content"
        try:
            await self._messaging()
            if self._files is None:
                self._files = egress.watch(aiohttp.ClientSession(timeout=FILE_TIMEOUT))
            headers = {"Authorization": f"Bearer {self._token}"}
            async with self._files.get(message, headers=headers) as answer:
                if answer.status == 202:
                    if media.kind in ("video", "audio"):
                        await self._check_transcoding(f"{message}/transcoding", headers)
                    raise NotReady
                if answer.status in (404, 410):
                    raise Unavailable("gone" if answer.status == 404 else "withdrawn")
                if answer.status == 401:
                    self._renew_at = 0.0
                if answer.status in (401, 408, 429) or answer.status >= 500:
                    raise TryAgain
                if answer.status != 200:
                    raise Unavailable("failed")
                yield Fetched(answer.headers.get("Content-Type", ""), answer.content_length, _pieces(answer))
        except (aiohttp.ClientError, TimeoutError, OSError, Rejected):
            raise TryAgain from None

    async def _check_transcoding(self, url: str, headers: dict[str, str]) -> None:
        """Raises Unavailable where LINE says that it will not succeed in preparing the file."""
        assert self._files is not None
        async with self._files.get(url, headers=headers, timeout=REQUEST_TIMEOUT) as answer:
            body = await answer.json(content_type=None) if answer.status == 200 else {}
        if isinstance(body, dict) and body.get("status") == "failed":
            raise Unavailable("failed")

    async def close(self) -> None:
        if self._files is not None:
            await self._files.close()
            self._files = None
        await self._close_api()

    async def _close_api(self) -> None:
        if self._api is not None:
            await self._api.api_client.close()
            self._api = None

    async def _messaging(self) -> AsyncMessagingApi:
        async with self._lock:
            if self._api is None or (not self._fixed_token and time.monotonic() >= self._renew_at):
                self._token = self._fixed_token or await self._take_out_token()
                await self._close_api()
                client = AsyncApiClient(Configuration(host=self._api_base, access_token=self._token))
                egress.watch(client.rest_client.pool_manager)
                self._api = AsyncMessagingApi(client)
                self._api.line_base_path = self._api_base
            return self._api

    async def _take_out_token(self) -> str:
        client = OauthClient(OauthConfiguration(host=self._api_base, access_token=""))
        egress.watch(client.rest_client.pool_manager)
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


def _bubble(link: Link) -> Any | None:
    """A file as LINE shows it in the conversation, or None where only its address can be sent.

    A picture of more than a megabyte would need a smaller one beside it, a film always does.
    """
    if link.kind == "image" and link.type in ("image/jpeg", "image/png") and 0 < link.size <= LARGEST_PREVIEW:
        return ImageMessage(originalContentUrl=link.url, previewImageUrl=link.url, quickReply=None, sender=None)
    if link.kind == "audio" and link.type in ("audio/mp4", "audio/x-m4a", "audio/mpeg") and link.duration_ms:
        return AudioMessage(originalContentUrl=link.url, duration=link.duration_ms, quickReply=None, sender=None)
    return None


def _with_buttons(outgoing: Outgoing) -> Any:
    """The last text: as a card that holds the buttons; or with quick replies, which go when something else is said."""
    text = outgoing.texts[-1]
    actions = [URIAction(label=button.label, uri=button.url, altUri=None) for button in outgoing.buttons]
    if outgoing.card:
        template = ButtonsTemplate(
            text=text, actions=actions, title=None, thumbnailImageUrl=None, imageAspectRatio=None, imageSize=None,
            imageBackgroundColor=None, defaultAction=None,
        )  # fmt: skip
        return TemplateMessage(altText=text, template=template, quickReply=None, sender=None)
    quick = QuickReply(items=[QuickReplyItem(imageUrl=None, action=action) for action in actions])
    return TextMessage(text=text, quickReply=quick, quoteToken=None, emojis=None, sender=None)


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.content.iter_chunked(PIECE):
            yield piece
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise TryAgain from None
