"""Registration files of application services (Application Service API v1.19, "Registration"), as bridges write them.

What bridges add for other servers' sake is passed over. Both spellings of what came into the specification late are
understood: `receive_ephemeral` and `de.sorunome.msc2409.push_ephemeral`; `org.matrix.msc3202` asks for what a bridge
with encrypted ghosts needs.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import yaml

from madoguchi.config import SettingsError
from madoguchi.ids import RoomID, UserID
from madoguchi.storage.accounts import Account

_Text = Annotated[str, msgspec.Meta(min_length=1)]
# Whose presence in a plain room makes it one that an application service follows, if their names are in its namespaces:
# never the desk's people, nor those whom the desk gave a nameless account.
KINDS = ("ghost", "appservice", "user")
# The id of the desk's own bridges' registration.
OURS = "madoguchi-bridges"


class RegistrationError(SettingsError):
    """A registration file that can't be used; the text says which, where in it and why, without its secrets."""


class _Namespace(msgspec.Struct):
    regex: str
    exclusive: bool = False


class _Namespaces(msgspec.Struct):
    users: list[_Namespace] | None = None
    aliases: list[_Namespace] | None = None
    rooms: list[_Namespace] | None = None


class _Registration(msgspec.Struct):
    id: _Text
    as_token: _Text
    hs_token: _Text
    sender_localpart: _Text
    namespaces: _Namespaces | None = None
    url: str | None = None
    protocols: list[str] | None = None
    rate_limited: bool | None = None
    receive_ephemeral: bool | None = None
    push_ephemeral: bool | None = msgspec.field(default=None, name="de.sorunome.msc2409.push_ephemeral")
    msc3202: bool | None = msgspec.field(default=None, name="org.matrix.msc3202")


class Namespace(msgspec.Struct, frozen=True):
    """A family of names; nobody else may make one of an exclusive family."""

    pattern: re.Pattern[str]
    exclusive: bool

    def has(self, name: str) -> bool:
        """Whether the name belongs to the family (from its start, as the specification's regexes are meant)."""
        return self.pattern.match(name) is not None


class AppService(msgspec.Struct, frozen=True):
    """One application service.

    url: where transactions and questions go; None: nothing is sent to it
    receive_ephemeral: whether it is told of typing and receipts
    msc3202: whether it looks after its ghosts' encryption by transactions alone: it is told of device lists and key
    counts, and what reached a ghost's device in a confirmed transaction is not kept for a /sync
    """

    id: str
    as_token_digest: bytes
    hs_token: str
    url: str | None
    sender: UserID
    users: tuple[Namespace, ...]
    aliases: tuple[Namespace, ...]
    rooms: tuple[Namespace, ...]
    rate_limited: bool
    receive_ephemeral: bool
    msc3202: bool
    protocols: tuple[str, ...]

    @property
    def hears_devices(self) -> bool:
        """Whether it is told of messages to its ghosts' devices."""
        return self.receive_ephemeral or self.msc3202

    def speaks_for(self, user_id: UserID) -> bool:
        """Whether it may act as this user."""
        return user_id == self.sender or any(space.has(user_id) for space in self.users)

    def may_be(self, account: Account) -> bool:
        """Whether it may act as the owner of this account: one that an application service has made. Nobody who came by
        themselves is a bridge's, however wide its namespaces are written: as them it would be in their cases."""
        return self.speaks_for(account.user_id) and account.kind in ("ghost", "appservice")

    def keeps_for_itself(self, user_id: UserID) -> bool:
        """Whether nobody else may make an account of this name."""
        return user_id == self.sender or any(space.exclusive and space.has(user_id) for space in self.users)

    def names(self, alias: str) -> bool:
        """Whether a room alias is in its namespaces."""
        return any(space.has(alias) for space in self.aliases)

    def keeps_alias(self, alias: str) -> bool:
        """Whether nobody else may make a room alias of this name."""
        return any(space.exclusive and space.has(alias) for space in self.aliases)

    def follows(self, room_id: RoomID, aliases: Iterable[str]) -> bool:
        """Whether a room is in its namespaces, by its id or an alias."""
        return any(space.has(room_id) for space in self.rooms) or any(self.names(alias) for alias in aliases)


def of_others(services: Iterable[AppService]) -> list[AppService]:
    """Those that are not the desk's own."""
    return [service for service in services if service.id != OURS]


def load(paths: Iterable[Path], server_name: str) -> list[AppService]:
    """Reads registration files. Raises RegistrationError for one that is missing, wrong, or clashes with another."""
    found: list[AppService] = []
    for path in paths:
        service = _read(path, server_name)
        for other in found:
            for key, clashes in (
                ("id", other.id == service.id),
                ("as_token", other.as_token_digest == service.as_token_digest),
                ("sender_localpart", other.sender == service.sender),
            ):
                if clashes:
                    raise RegistrationError(f"{path}: its {key} is that of another registration.")
        found.append(service)
    return found


def _read(path: Path, server_name: str) -> AppService:
    try:
        raw: Any = yaml.safe_load(path.read_bytes())
        given = msgspec.convert(raw, _Registration)
    except OSError as error:
        raise RegistrationError(f"{path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise RegistrationError(f"{path}: this is not YAML.") from None
    except msgspec.ValidationError as error:
        raise RegistrationError(f"{path}: {error}.") from None
    sender = f"@{given.sender_localpart}:{server_name}"
    if not re.fullmatch(r"[\x21-\x39\x3b-\x7e]+", given.sender_localpart) or len(sender) > 255:
        raise RegistrationError(f"{path}: sender_localpart is not a local part of a user id - at `$.sender_localpart`.")
    spaces = given.namespaces or _Namespaces()
    return AppService(
        id=given.id,
        as_token_digest=hashlib.sha256(given.as_token.encode()).digest(),
        hs_token=_header(path, given.hs_token),
        url=_address(path, given.url),
        sender=sender,
        users=_compiled(path, "users", spaces.users),
        aliases=_compiled(path, "aliases", spaces.aliases),
        rooms=_compiled(path, "rooms", spaces.rooms),
        rate_limited=given.rate_limited is not False,
        receive_ephemeral=bool(given.receive_ephemeral or given.push_ephemeral),
        msc3202=bool(given.msc3202),
        protocols=tuple(given.protocols or ()),
    )


def _header(path: Path, token: str) -> str:
    # It is sent in a header: what can't stand there would fail at every delivery.
    if not token.isascii() or not token.isprintable():
        raise RegistrationError(f"{path}: a token has printable ASCII characters only - at `$.hs_token`.")
    return token


def _address(path: Path, url: str | None) -> str | None:
    if not url:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise RegistrationError(f"{path}: the address must be http://… or https://…, or null - at `$.url`.")
    return url.rstrip("/")


def _compiled(path: Path, kind: str, spaces: list[_Namespace] | None) -> tuple[Namespace, ...]:
    made: list[Namespace] = []
    for number, space in enumerate(spaces or ()):
        try:
            made.append(Namespace(re.compile(space.regex), space.exclusive))
        except re.error as error:
            where = f"$.namespaces.{kind}[{number}].regex"
            raise RegistrationError(f"{path}: this is not a regular expression: {error} - at `{where}`.") from None
    return tuple(made)
