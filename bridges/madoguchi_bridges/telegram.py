"""Telegram Bot API: https://core.telegram.org/bots/api. By webhook where Telegram reaches us, else by long poll."""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .network import Fetched, Finding, Incoming, Limits, Media, News, Outgoing, Ref, Unverified
from .telegram_events import read_update

if TYPE_CHECKING:
    from .telegram_api import Api

# What a bot may set: https://core.telegram.org/bots/api#reactiontypeemoji
REACTIONS = """
    ❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥
    🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨
    🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂ 🤷 🤷‍♀ 😡
"""
TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]{20,}")


class Telegram:
    """One bot.

    `secrets` holds `bot_token` and, if Telegram is to call us, `webhook_secret`, which it then shows with each call.
    """

    name = "telegram"
    title = "Telegram"
    # Telegram knows no key by which it would recognise a repetition: what may have arrived is sent again.
    limits = Limits(
        text_units=4096, texts_per_request=1, reply_seconds=0, retry_key_hours=24.0, requests_per_second=25.0
    )
    upload_bytes = 50_000_000
    typing_seconds = 4.0
    reactions = frozenset(REACTIONS.split())

    def __init__(self, secrets: Mapping[str, str], api_base: str) -> None:
        self._token = secrets["bot_token"]
        if not TOKEN.fullmatch(self._token):
            raise ValueError("That is no token of a bot.")
        self._webhook_secret = secrets.get("webhook_secret", "")
        self.polls = not self._webhook_secret
        self._api_base = api_base
        self._opened: Api | None = None
        self._lock = asyncio.Lock()

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        given = next((v for name, v in headers.items() if name.lower() == "x-telegram-bot-api-secret-token"), "")
        expected = self._webhook_secret.encode()
        if not expected or not hmac.compare_digest(given.encode("utf-8", "replace"), expected):
            raise Unverified

    def parse(self, raw: bytes) -> list[Incoming]:
        """One update, as it comes to a webhook, or a list of them."""
        try:
            body = json.loads(raw)
            return [read_update(update) for update in (body if isinstance(body, list) else [body])]
        except (ValueError, RecursionError):
            return [Incoming(event_id="body:" + hashlib.sha256(raw).hexdigest(), kind="unknown")]

    async def send(self, outgoing: Outgoing) -> Sequence[Ref]:
        api = await self._api()
        if outgoing.file is not None:
            return [await api.send_file(outgoing.to, outgoing.file)]
        return [await api.send_text(outgoing.to, text, outgoing.quotes, outgoing.buttons) for text in outgoing.texts]

    async def edit(self, to: str, ref: Ref, text: str) -> None:
        await (await self._api()).edit(to, ref, text)

    async def delete(self, to: str, ref: Ref) -> None:
        await (await self._api()).delete(to, ref)

    async def react(self, to: str, ref: Ref, emoji: str) -> None:
        await (await self._api()).react(to, ref, emoji)

    async def show_typing(self, to: str) -> None:
        await (await self._api()).show_typing(to)

    async def leave_group(self, group: str) -> None:
        await (await self._api()).leave(group)

    @asynccontextmanager
    async def fetch(self, media: Media) -> AsyncIterator[Fetched]:
        async with (await self._api()).fetch(media) as fetched:
            yield fetched

    async def prepare(self, webhook_url: str) -> None:
        await (await self._api()).listen_at("" if self.polls else webhook_url, self._webhook_secret)

    async def check(self, webhook_url: str) -> Sequence[Finding]:
        """As Checked."""
        return await (await self._api()).check("" if self.polls else webhook_url)

    async def start_url(self) -> str:
        """As OpensByLink: https://core.telegram.org/bots/features#deep-linking"""
        return f"https://t.me/{await (await self._api()).name()}?start={{token}}"

    async def poll(self, mark: str) -> News:
        return await (await self._api()).poll(mark)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def _api(self) -> "Api":
        """The library takes seconds to load, and only who sends needs it: webhooks are never kept waiting."""
        async with self._lock:
            if self._opened is None:
                make = await asyncio.to_thread(_load)
                self._opened = make(self._token, self._api_base)
            return self._opened


def _load() -> "type[Api]":
    from .telegram_api import Api

    return Api
