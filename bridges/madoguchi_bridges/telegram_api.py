"""Calls of Telegram's Bot API, by aiogram. Its errors quote what was sent, so none of them leaves this file."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputFile,
    LinkPreviewOptions,
    Message,
    ReactionTypeEmoji,
    ReactionTypeUnion,
    ReplyParameters,
)

from . import egress
from .network import Button, Fetched, File, Finding, Media, News, Ref, Rejected, TryAgain, Unavailable
from .telegram_events import ASKED_FOR

SECONDS = 15
FILE_SECONDS = 300
POLL_SECONDS = 25
FAILED_LATELY_SECONDS = 600
LARGEST_PHOTO = 10_000_000
LARGEST_FETCHED = 20_000_000
PIECE = 64 * 1024
REASONS: list[tuple[type[TelegramAPIError], str]] = [
    (TelegramForbiddenError, "blocked"),
    (TelegramUnauthorizedError, "unauthorized"),
    (TelegramNotFound, "unauthorized"),  # an unknown token is part of an unknown address
    (TelegramEntityTooLarge, "too_large"),
    (TelegramConflictError, "refused"),
]


class _Watched(AiohttpSession):
    async def create_session(self) -> aiohttp.ClientSession:
        return egress.watch(await super().create_session())


class Api:
    def __init__(self, token: str, api_base: str) -> None:
        server = TelegramAPIServer.from_base(api_base)
        self._session = _Watched(api=server)
        self._bot = Bot(token, session=self._session)

    async def send_text(self, to: str, text: str, quotes: Ref | None, buttons: Sequence[Button] = ()) -> Ref:
        with _judged():
            sent = await self._bot.send_message(
                chat_id=int(to),
                text=text,
                reply_parameters=_answer_to(quotes),
                reply_markup=_keyboard(buttons),
                # A preview is fetched by Telegram's servers; a link of ours is for the person alone.
                link_preview_options=LinkPreviewOptions(is_disabled=True),
                request_timeout=SECONDS,
            )
        return _ref(sent)

    async def send_file(self, to: str, file: File) -> Ref:
        """As the kind of thing it is, where Telegram would take it as one; else as a document."""
        upload, chat = _Upload(file), int(to)
        more: dict[str, Any] = {"request_timeout": FILE_SECONDS}
        seconds = file.duration_ms // 1000 if file.duration_ms else None
        with _judged():
            if file.kind == "image" and file.type in ("image/jpeg", "image/png") and file.size <= LARGEST_PHOTO:
                sent = await self._bot.send_photo(chat, upload, **more)
            elif file.kind == "video" and file.type == "video/mp4":
                width, height = file.width, file.height
                sent = await self._bot.send_video(chat, upload, duration=seconds, width=width, height=height, **more)
            elif file.kind == "audio" and file.type == "audio/ogg":
                sent = await self._bot.send_voice(chat, upload, duration=seconds, **more)
            elif file.kind == "audio" and file.type in ("audio/mpeg", "audio/mp4", "audio/x-m4a"):
                sent = await self._bot.send_audio(chat, upload, duration=seconds, **more)
            else:
                sent = await self._bot.send_document(chat, upload, **more)
        return _ref(sent)

    async def edit(self, to: str, ref: Ref, text: str) -> None:
        with _judged():
            await self._bot.edit_message_text(
                text=text,
                chat_id=int(to),
                message_id=_number(ref),
                link_preview_options=LinkPreviewOptions(is_disabled=True),
                request_timeout=SECONDS,
            )

    async def delete(self, to: str, ref: Ref) -> None:
        with _judged():
            await self._bot.delete_message(int(to), _number(ref), request_timeout=SECONDS)

    async def react(self, to: str, ref: Ref, emoji: str) -> None:
        """As Reacts: what is set already, Telegram sets again without a word."""
        reaction: list[ReactionTypeUnion] = [ReactionTypeEmoji(emoji=emoji)] if emoji else []
        with _judged():
            await self._bot.set_message_reaction(int(to), _number(ref), reaction, request_timeout=SECONDS)

    async def show_typing(self, to: str) -> None:
        with _judged():
            await self._bot.send_chat_action(int(to), "typing", request_timeout=SECONDS)

    async def leave(self, group: str) -> None:
        """Having left already counts as left."""
        try:
            with _judged():
                await self._bot.leave_chat(int(group), request_timeout=SECONDS)
        except Rejected as rejected:
            if rejected.reason == "unauthorized":
                raise

    async def listen_at(self, url: str, secret: str) -> None:
        """Tells Telegram where to call; "" = we ask."""
        with _judged():
            if url:
                await self._bot.set_webhook(
                    url, secret_token=secret, allowed_updates=ASKED_FOR, request_timeout=SECONDS
                )
            else:
                await self._bot.delete_webhook(request_timeout=SECONDS)

    async def name(self) -> str:
        with _judged():
            return (await self._bot.get_me(request_timeout=SECONDS)).username or ""

    async def check(self, url: str) -> list[Finding]:
        """How the bot is set up; `url` "" = it is to be asked for news."""
        try:
            with _judged():
                bot = await self._bot.get_me(request_timeout=SECONDS)
        except Rejected as rejected:
            if rejected.reason != "unauthorized":
                raise
            return [Finding("token", "wrong", "unauthorized")]
        with _judged():
            hook = await self._bot.get_webhook_info(request_timeout=SECONDS)
        found = [Finding("token", "good", value=f"@{bot.username}")]
        if hook.url != url:
            # We say ourselves where to call, within seconds: if it stays so, somebody else says something else.
            found.append(Finding("address", "wrong", "elsewhere", url))
        else:
            found.append(Finding("address", "good", "" if url else "polls", url))
            failed = hook.last_error_date.timestamp() if hook.last_error_date else 0.0
            if url and hook.pending_update_count and time.time() - failed < FAILED_LATELY_SECONDS:
                found.append(Finding("test", "wrong", "failed", str(hook.pending_update_count)))
            elif url:
                found.append(Finding("test", "good"))
        groups = Finding("groups", "look", "joins") if bot.can_join_groups else Finding("groups", "good")
        return [*found, groups]

    async def poll(self, mark: str) -> News:
        """By hand: the library refuses to read what it does not know, and would ask for it again for ever."""
        session = await self._session.create_session()
        asked: dict[str, Any] = {"timeout": POLL_SECONDS, "allowed_updates": ASKED_FOR}
        if mark:
            asked["offset"] = int(mark)
        url = self._session.api.api_url(self._bot.token, "getUpdates")
        try:
            timeout = aiohttp.ClientTimeout(total=POLL_SECONDS + SECONDS)
            async with session.post(url, json=asked, timeout=timeout) as answer:
                body = json.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise TryAgain from None
        updates = body.get("result") if isinstance(body, dict) else None
        if answer.status in (401, 404):
            raise Rejected("unauthorized", answer.status)
        if answer.status != 200 or not isinstance(updates, list):
            raise TryAgain
        numbers = [update["update_id"] for update in updates if isinstance(update, dict) and "update_id" in update]
        return News(json.dumps(updates).encode(), str(max(numbers) + 1) if numbers else mark)

    @asynccontextmanager
    async def fetch(self, media: Media) -> AsyncIterator[Fetched]:
        if media.size is not None and media.size > LARGEST_FETCHED:
            raise Unavailable("too_large")
        try:
            with _judged():
                found = await self._bot.get_file(media.id, request_timeout=SECONDS)
        except Rejected as rejected:
            # The account's trouble passes; a file that is not given out stays so.
            if rejected.reason == "unauthorized":
                raise TryAgain from None
            raise Unavailable("gone") from None
        if not found.file_path:
            raise Unavailable("gone")
        url = self._session.api.file_url(self._bot.token, found.file_path)
        session = await self._session.create_session()
        try:
            timeout = aiohttp.ClientTimeout(total=FILE_SECONDS, sock_read=30)
            async with session.get(url, timeout=timeout) as answer:
                if answer.status == 404:
                    raise Unavailable("gone")
                if answer.status != 200:
                    raise TryAgain
                # Telegram calls everything a stream of bytes; the message had said what it is.
                yield Fetched("", answer.content_length, answer.content.iter_chunked(PIECE))
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise TryAgain from None

    async def close(self) -> None:
        await self._session.close()


class _Upload(InputFile):
    def __init__(self, file: File) -> None:
        super().__init__(filename=file.name)
        self._file = file

    async def read(self, bot: Bot) -> AsyncGenerator[bytes, None]:
        async for piece in self._file.read():
            yield piece


@contextmanager
def _judged() -> Iterator[None]:
    """Turns Telegram's refusals into ours."""
    try:
        yield
    except TelegramRetryAfter as error:
        raise TryAgain(after=float(error.retry_after)) from None
    except (TelegramNetworkError, TelegramServerError, ClientDecodeError):
        raise TryAgain from None
    except TelegramBadRequest as error:
        raise Rejected("unknown_person" if "chat not found" in error.message else "invalid", 400) from None
    except TelegramAPIError as error:
        raise Rejected(next((reason for kind, reason in REASONS if isinstance(error, kind)), "refused")) from None


def _answer_to(ref: Ref | None) -> ReplyParameters | None:
    return ReplyParameters(message_id=_number(ref), allow_sending_without_reply=True) if ref is not None else None


def _keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    rows = [[InlineKeyboardButton(text=button.label, url=button.url)] for button in buttons]
    return InlineKeyboardMarkup(inline_keyboard=rows) if rows else None


def _ref(sent: Message) -> Ref:
    name = f"{sent.chat.id}/{sent.message_id}"
    return Ref(id=name, quote=name)


def _number(ref: Ref) -> int:
    return int(ref.id.rpartition("/")[2])
