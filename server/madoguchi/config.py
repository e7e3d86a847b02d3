"""Settings of every process: madoguchi.toml, then MADOGUCHI_… in the environment, then flags; the later one wins.

An unknown name or a wrong value is refused with a message that says where it stands (file and line, variable or flag)
and what would be right. `docs/settings.md` is the page for people; a test keeps the two together.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta

OnOff = Literal["on", "off"]
PREFIX = "MADOGUCHI_"
FILE_VARIABLE = "MADOGUCHI_CONFIG"
# Wishes to the test suite (tests/README.md), no settings.
TEST_PREFIX = "MADOGUCHI_TEST_"
DEFAULT_FILE = Path("madoguchi.toml")


class SettingsError(Exception):
    """A setting is unknown or wrong; the text says where and how to mend it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process knows. Paths are absolute once loaded by `load`."""

    data: Annotated[Path, Meta(description="Directory of keys, logs, media and the embedded database.")] = Path(
        "madoguchi-data"
    )
    listen: Annotated[str, Meta(description="HOST:PORT of the web server; port 0 takes a free one.")] = "127.0.0.1:8008"
    server_name: Annotated[
        str, Meta(description="The part of Matrix ids after the colon; fixed by the first start.")
    ] = "madoguchi.localhost"
    public_url: Annotated[str, Meta(description="Address people use, without path; empty = http://LISTEN.")] = ""
    database_url: Annotated[
        str,
        Meta(description="postgresql://…; empty = an embedded PostgreSQL in DATA/postgres.", extra={"secret": True}),
    ] = ""
    database_connections: Annotated[int, Meta(ge=2, le=500, description="Connections each `serve` may hold.")] = 10
    registration: Annotated[
        Literal["closed", "token", "open"], Meta(description="Who may make a Matrix account; open is for tests.")
    ] = "closed"
    registration_token: Annotated[
        str, Meta(description='The token asked for when registration is "token".', extra={"secret": True})
    ] = ""
    limits: Annotated[OnOff, Meta(description="Request limits; off is for tests.")] = "on"
    appservices: Annotated[tuple[Path, ...], Meta(description="Registration files (YAML) of further bridges.")] = ()
    appservice_timeout: Annotated[
        int, Meta(ge=1, le=600, description="Seconds an application service may take to answer a transaction.")
    ] = 30
    presence: Annotated[
        Literal["off", "minimal"], Meta(description="Whether people who share a room see who is there.")
    ] = "off"
    room_directory: Annotated[
        Literal["closed", "open"], Meta(description="Whether people may publish rooms of their own in a directory.")
    ] = "closed"
    push_gateways: Annotated[
        tuple[str, ...], Meta(description="Push gateways that may be told of new messages: https://HOST[:PORT].")
    ] = ()
    web_push_services: Annotated[
        tuple[str, ...],
        Meta(description="Push services of browsers that may be told that something is new: https://[*.]HOST[:PORT]."),
    ] = ()
    web_push_after: Annotated[
        int, Meta(ge=0, le=3600, description="Seconds that a message stays unread before a push service is told.")
    ] = 20
    country_database: Annotated[
        str, Meta(description="File (mmdb) by which the viewing ledger tells the country of an address.")
    ] = ""
    backup_places: Annotated[
        tuple[str, ...], Meta(description="Where backups lie, for the viewing ledger: a host or a name of the place.")
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="Networks (CIDR) whose X-Forwarded-For is believed.")
    ] = ()
    media_max_bytes: Annotated[int, Meta(ge=1024, description="Largest upload, in bytes.")] = 50 * 1024 * 1024
    media_types: Annotated[
        tuple[str, ...], Meta(description="Types of files that are taken, such as image/*; none named: all.")
    ] = ()
    media_store: Annotated[
        Literal["folder", "s3"], Meta(description="Where files lie: in DATA/media, or a bucket.")
    ] = "folder"
    media_s3_endpoint: Annotated[str, Meta(description="Address of the S3-compatible store.")] = ""
    media_s3_bucket: Annotated[str, Meta(description="Its bucket for this desk.")] = ""
    media_s3_region: Annotated[str, Meta(description="Its region.")] = "us-east-1"
    media_s3_key: Annotated[str, Meta(description="The access key's id.")] = ""
    media_s3_secret: Annotated[str, Meta(description="The access key's secret.", extra={"secret": True})] = ""
    media_unauthenticated: Annotated[
        OnOff, Meta(description="Also answer the old media downloads that carry no token.")
    ] = "off"
    bridges_listen: Annotated[
        str, Meta(description="HOST:PORT for the apps' webhooks; empty = LISTEN with the next port.")
    ] = ""
    line_api_base: Annotated[str, Meta(description="LINE's Messaging API.")] = "https://api.line.me"
    line_data_base: Annotated[str, Meta(description="LINE's content API.")] = "https://api-data.line.me"
    telegram_api_base: Annotated[str, Meta(description="Telegram's Bot API.")] = "https://api.telegram.org"
    app_link_days: Annotated[
        int, Meta(ge=1, le=90, description="How many days a file sent to an app can be opened by its link.")
    ] = 7
    quick_exit_url: Annotated[str, Meta(description="Harmless page that the quick exit goes to.")] = (
        "https://www.jma.go.jp/bosai/forecast/"
    )
    app_name: Annotated[
        str, Meta(max_length=30, description="What the page is called in titles and on a phone's home screen.")
    ] = ""
    app_icon: Annotated[str, Meta(description="Its icon there: a square PNG of 512 pixels or more.")] = ""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="How much is logged.")] = "info"
    bus: Annotated[Literal["postgres"], Meta(description="What carries wake-ups between `serve` processes.")] = (
        "postgres"
    )

    @property
    def listen_address(self) -> tuple[str, int]:
        """(host, port) of the web server; port 0 = any free one."""
        return split_address(self.listen)

    @property
    def bridges_address(self) -> tuple[str, int]:
        """(host, port) of the webhook listener: its own setting, or the port after the web server's."""
        if self.bridges_listen:
            return split_address(self.bridges_listen)
        host, port = self.listen_address
        return host, port + 1 if port else 0

    @property
    def base_url(self) -> str:
        """Address of the web server as people reach it, without a trailing slash."""
        return self.public_url or self.local_url

    @property
    def local_url(self) -> str:
        """Address at which this machine's other processes reach `serve`, without a trailing slash."""
        return "http://" + join_address(*reachable_address(*self.listen_address))

    @property
    def bridges_url(self) -> str:
        """Address at which this machine reaches the webhook listener, without a trailing slash."""
        return "http://" + join_address(*reachable_address(*self.bridges_address))

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def media(self) -> Path:
        return self.data / "media"

    @property
    def registrations(self) -> tuple[Path, ...]:
        """Registration files that the server knows: our own bridges' where it has been made, then `appservices`."""
        own = self.keys / "registration-bridges.yaml"
        return (*((own,) if own.is_file() else ()), *self.appservices)

    @property
    def run_file(self) -> Path:
        """Written by `madoguchi up` when everything is ready, gone when it has stopped."""
        return self.data / "run.json"


NAMES: tuple[str, ...] = tuple(Settings.__struct_fields__)
_TYPES: dict[str, Any] = get_type_hints(Settings, include_extras=True)


def describe(name: str) -> str:
    """The one-line description of a setting, as flags and documentation show it."""
    return next(meta.description or "" for meta in get_args(_TYPES[name])[1:] if isinstance(meta, Meta))


def choices(name: str) -> tuple[str, ...]:
    """The words a setting may have, or () when it is free text or a number."""
    kind = get_args(_TYPES[name])[0]
    return get_args(kind) if getattr(kind, "__origin__", None) is Literal else ()


def is_list(name: str) -> bool:
    """Whether a setting holds several values (a TOML array, commas in the environment, a repeated flag)."""
    return getattr(get_args(_TYPES[name])[0], "__origin__", None) is tuple


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Read the three sources and check every value.

    `flags`: setting name -> value; None means "not given". `file`: the TOML file; without it MADOGUCHI_CONFIG or
    ./madoguchi.toml where it exists. Raises SettingsError.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    places: dict[str, str] = {}

    def take(name: str, raw: Any, place: str, spelled: str) -> None:
        if name not in NAMES:
            raise SettingsError(f"{place}: unknown setting {spelled!r}.{_suggestion(name, spelled)}")
        values[name] = _convert(name, raw, place, spelled)
        places[name] = place

    # Set and empty = read no file: so a child process takes its parent's settings and nothing else.
    named = environ.get(FILE_VARIABLE, str(DEFAULT_FILE) if DEFAULT_FILE.is_file() else "")
    path = file or (Path(named) if named else None)
    if path is not None and not path.is_file():
        raise SettingsError(f"{path}: no such settings file.")
    if path is not None:
        for name, raw, place in _read_toml(path):
            take(name, raw, place, name)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE and not variable.startswith(TEST_PREFIX):
            name = variable.removeprefix(PREFIX).lower()
            take(name, _from_text(name, environ[variable]), f"environment variable {variable}", variable)
    for name, raw in (flags or {}).items():
        if raw is not None and raw != ():
            flag = "--" + name.replace("_", "-")
            take(name, raw, f"flag {flag}", flag)

    values["data"] = Path(values.get("data", Path("madoguchi-data"))).expanduser().absolute()
    if "server_name" not in values and (remembered := remembered_server_name(values["data"])):
        values["server_name"] = remembered
    settings = Settings(**values)
    if settings.registration == "token" and not settings.registration_token:
        raise SettingsError(
            f'{places["registration"]}: registration is "token", so registration_token must be set too.'
        )
    wanted = ("media_s3_endpoint", "media_s3_bucket", "media_s3_key", "media_s3_secret")
    missing = [name for name in wanted if not getattr(settings, name)]
    if settings.media_store == "s3" and missing:
        raise SettingsError(f'{places["media_store"]}: media_store is "s3", so {missing[0]} must be set too.')
    return settings


def to_environ(settings: Settings) -> dict[str, str]:
    """Every setting as MADOGUCHI_… variables, so that a child process gets exactly these."""
    out = {FILE_VARIABLE: ""}
    for name in NAMES:
        value = getattr(settings, name)
        out[PREFIX + name.upper()] = ",".join(str(v) for v in value) if isinstance(value, tuple) else str(value)
    return out


def masked(settings: Settings) -> dict[str, Any]:
    """Setting -> value for showing to people: tokens and passwords replaced by ***."""
    out: dict[str, Any] = {}
    for name in NAMES:
        value = getattr(settings, name)
        if name == "database_url":
            value = mask_url(value)
        elif _is_secret(name) and value:
            value = "***"
        out[name] = [str(v) for v in value] if isinstance(value, tuple) else value
    return out


def mask_url(url: str) -> str:
    """A database URL with its password (in the authority or as a parameter) replaced by ***."""
    parts = urlsplit(url)
    netloc = re.sub(r"^([^:@]*):.*@", r"\1:***@", parts.netloc)
    query = re.sub(r"(?i)\b((?:ssl)?password)=[^&]*", r"\1=***", parts.query)
    # urlunsplit drops the empty authority of postgresql:///name; keep what was written.
    head = f"{parts.scheme}://{netloc}" if "://" in url else ""
    return f"{head}{parts.path}" + (f"?{query}" if query else "") if head else urlunsplit(parts)


def split_address(address: str) -> tuple[str, int]:
    """ "HOST:PORT" or "[IPv6]:PORT" -> (host, port). Raises ValueError with the reason."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):(\d{1,5})", address)
    if not match or int(match[2]) > 65535:
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:8008 or [::1]:8008")
    return match[1].strip("[]"), int(match[2])


def join_address(host: str, port: int) -> str:
    """(host, port) -> "HOST:PORT", IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable_address(host: str, port: int) -> tuple[str, int]:
    """Where to connect to what listens on (host, port): the loopback for "all addresses"."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


def remembered_server_name(data: Path) -> str | None:
    """The server name the data directory was made with, or None before its first start."""
    try:
        return (data / "server-name").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _read_toml(path: Path) -> list[tuple[str, Any, str]]:
    """(name, value, "file, line N") of each top-level entry. Raises SettingsError on bad TOML."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}.") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = re.search(r"\(at line (\d+), column (\d+)\)", message)
        line = int(found[1]) if found else text.count("\n") + 1
        raise SettingsError(f"{path}, line {line}: not valid TOML: {message.split(' (at ')[0]}.") from error
    entries: list[tuple[str, Any, str]] = []
    for name, raw in table.items():
        line = _line_of(name, text)
        entries.append((name, _relative_paths(name, raw, path), f"{path}, line {line}"))
    return entries


def _line_of(name: str, text: str) -> int:
    pattern = re.compile(rf"^\s*(?:\[+\s*)?[\"']?{re.escape(name)}[\"']?\s*[=.\]]")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _relative_paths(name: str, raw: Any, path: Path) -> Any:
    """Paths in a settings file are relative to the file, so that it means the same from any folder."""
    base = path.absolute().parent
    if name in ("data", "app_icon", "country_database") and isinstance(raw, str) and raw:
        return str(base / Path(raw).expanduser())
    if name == "appservices" and isinstance(raw, list):
        return [str(base / Path(item).expanduser()) if isinstance(item, str) else item for item in raw]
    return raw


def _from_text(name: str, text: str) -> Any:
    if name in NAMES and is_list(name):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _convert(name: str, raw: Any, place: str, spelled: str) -> Any:
    # Text becomes a number only where it came as text; TOML's own types are taken as they are.
    loose = not place.startswith(("environment", "flag"))
    try:
        value = msgspec.convert(raw, _TYPES[name], strict=loose, dec_hook=_decode_path)
        if name in _CHECKS:
            for item in value if isinstance(value, tuple) else (value,):
                if item != "" or name in ("listen", "server_name"):
                    _CHECKS[name](item)
    except (msgspec.ValidationError, ValueError) as error:
        words = choices(name)
        reason = "must be one of " + ", ".join(f'"{word}"' for word in words) if words else str(error).split(" - at")[0]
        shown = "(not shown)" if _is_secret(name) else repr(raw)
        raise SettingsError(f"{place}: wrong value {shown} for {spelled!r}: {reason.rstrip('.')}.") from None
    return value


def _decode_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, Path)):
        if not str(value):
            raise ValueError("must not be empty")
        return Path(value)
    raise ValueError(f"expected text, got {type(value).__name__}")


def _is_secret(name: str) -> bool:
    return any(isinstance(meta, Meta) and (meta.extra or {}).get("secret") for meta in get_args(_TYPES[name])[1:])


def _suggestion(name: str, spelled: str) -> str:
    near = difflib.get_close_matches(name, NAMES, n=1)
    if not near:
        return " The settings are listed in docs/settings.md."
    found = near[0]
    if spelled.startswith(PREFIX):
        found = PREFIX + found.upper()
    elif spelled.startswith("--"):
        found = "--" + found.replace("_", "-")
    return f" Did you mean {found!r}?"


def _check_server_name(value: str) -> None:
    # Matrix spec, appendix "Server name": a DNS name, IPv4 or [IPv6] with an optional port.
    if len(value) > 230 or not re.fullmatch(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", value):
        raise ValueError("must be a host name with an optional port, for example soudan.example.jp")


def _check_http_url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be http://… or https://…")


def _check_base_url(value: str) -> None:
    _check_http_url(value)
    if urlsplit(value).path or urlsplit(value).query:
        raise ValueError("must be an address without a path or final slash, for example https://soudan.example.jp")


def _check_database_url(value: str) -> None:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")


def _check_file(value: Path) -> None:
    if not value.is_file():
        raise ValueError(f"{value} is not a file")


def _check_one_line(value: str) -> None:
    if not value.isprintable():
        raise ValueError("must be one line of text")


def _check_icon(value: str) -> None:
    try:
        with Path(value).open("rb") as file:
            start = file.read(24)
    except OSError:
        raise ValueError(f"{value} is not a file") from None
    # PNG specification, "PNG signature" and "IHDR".
    width, height = int.from_bytes(start[16:20]), int.from_bytes(start[20:24])
    if start[:8] != b"\x89PNG\r\n\x1a\n" or start[12:16] != b"IHDR" or width != height or not 512 <= width <= 4096:
        raise ValueError(f"{value} must be a square PNG of 512 to 4096 pixels")


def _check_country_database(value: str) -> None:
    _check_file(Path(value))


def _check_push_service(value: str) -> None:
    _check_base_url(value.replace("://*.", "://", 1))


def _check_network(value: str) -> None:
    ipaddress.ip_network(value)


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "listen": split_address,
    "bridges_listen": split_address,
    "server_name": _check_server_name,
    "public_url": _check_base_url,
    "line_api_base": _check_base_url,
    "line_data_base": _check_base_url,
    "telegram_api_base": _check_base_url,
    "quick_exit_url": _check_http_url,
    "app_name": _check_one_line,
    "app_icon": _check_icon,
    "country_database": _check_country_database,
    "backup_places": _check_one_line,
    "database_url": _check_database_url,
    "appservices": _check_file,
    "media_s3_endpoint": _check_http_url,
    "push_gateways": _check_base_url,
    "web_push_services": _check_push_service,
    "trusted_proxies": _check_network,
}
