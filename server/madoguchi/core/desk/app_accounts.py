"""What opens an account of a messaging app: sealed by whoever gives it in, opened by the bridges alone."""

import base64
import re
import secrets
from pathlib import Path

import msgspec
from nacl.bindings import crypto_box_SEALBYTES
from nacl.public import PublicKey, SealedBox

from madoguchi import errors

TITLES = {"line": "LINE", "telegram": "Telegram"}
_BOT_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]{20,}")


def must_poll(public_url: str) -> bool:
    """Whether a Telegram bot of this desk has to ask for news: Telegram calls nothing but https."""
    return not public_url.startswith("https://")


def of_telegram(token: str, *, polls: bool) -> dict[str, str]:
    """What the bridges need to open a bot's account. polls: it asks for news. Raises Invalid."""
    if not _BOT_TOKEN.fullmatch(token):
        raise errors.Invalid("That is no token of a bot: @BotFather gives them as 123456:ABC…")
    return {"bot_token": token} | ({} if polls else {"webhook_secret": secrets.token_hex(32)})


def of_line(secret: str, token: str | None, channel_id: str | None) -> dict[str, str]:
    """What the bridges need to open an account of LINE's. secret, token: the channel secret and channel access token;
    channel_id: with it instead of a token, short-lived tokens are taken out as needed."""
    found = {"channel_secret": secret, "channel_id": channel_id, "access_token": token}
    return {name: value for name, value in found.items() if value}


def bridges_key(keys: Path) -> bytes:
    """The key that it is sealed to (X25519, 32 bytes). keys: DATA/keys. Raises OSError, and ValueError where the file
    holds none."""
    return bytes(PublicKey(base64.b64decode((keys / "bridges.pub").read_bytes())))


def sealed(key: bytes, opens: dict[str, str]) -> str:
    """That, as JSON in a SealedBox, base64."""
    return base64.b64encode(SealedBox(PublicKey(key)).encrypt(msgspec.json.encode(opens))).decode()


def check_sealed(text: str) -> None:
    """Whether it can be something sealed; nobody here can see what. Raises Invalid."""
    try:
        long_enough = len(base64.b64decode(text, validate=True)) > crypto_box_SEALBYTES
    except ValueError:
        long_enough = False
    if not long_enough:
        raise errors.Invalid("What opens an account comes sealed, as base64.")
