"""What the bridges need to know, taken from the house's settings object."""

from pathlib import Path
from typing import Protocol

import msgspec
import yaml


class Settings(Protocol):
    """The part of the house's settings that the bridges read (they do not import the class itself)."""

    @property
    def data(self) -> Path: ...
    @property
    def server_name(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def local_url(self) -> str: ...
    @property
    def database_url(self) -> str: ...
    @property
    def bridges_address(self) -> tuple[str, int]: ...
    @property
    def line_api_base(self) -> str: ...
    @property
    def line_data_base(self) -> str: ...
    @property
    def telegram_api_base(self) -> str: ...
    @property
    def media_max_bytes(self) -> int: ...
    @property
    def app_link_days(self) -> int: ...
    @property
    def public_url(self) -> str: ...
    @property
    def bridges_url(self) -> str: ...


class Config(msgspec.Struct, frozen=True, kw_only=True):
    server_name: str
    server_url: str  # where `serve` is reached from this machine
    public_url: str  # the young person's page, as written in notices
    database_url: str
    address: tuple[str, int]  # where the apps' webhooks are listened for
    line_api_base: str
    line_data_base: str
    telegram_api_base: str
    largest_file: int  # bytes, in both directions
    link_days: float  # how long the address of a file that a counsellor sends is good
    files_url: str  # where the apps' phones reach our listener, without the path
    key_file: Path
    store: Path  # the ghosts' encrypted device stores
    as_token: str
    keeper: str  # user id of the keeper, whose word on a case's state counts, and whose words go to nobody


def read(settings: Settings) -> Config:
    """Raises OSError when the registration is missing, ValueError when it can't be understood."""
    keys = Path(settings.data) / "keys"
    registration = yaml.safe_load((keys / "registration-bridges.yaml").read_text())
    if not isinstance(registration, dict) or not isinstance(registration.get("as_token"), str):
        raise ValueError("keys/registration-bridges.yaml has no as_token.")
    return Config(
        server_name=settings.server_name,
        server_url=settings.local_url,
        public_url=settings.base_url.rstrip("/"),
        database_url=settings.database_url,
        address=settings.bridges_address,
        line_api_base=settings.line_api_base,
        line_data_base=settings.line_data_base,
        telegram_api_base=settings.telegram_api_base,
        largest_file=settings.media_max_bytes,
        link_days=settings.app_link_days,
        # Behind a proxy the same address as the pages; else the listener's own.
        files_url=(settings.public_url or settings.bridges_url).rstrip("/"),
        key_file=keys / "bridges.key",
        store=Path(settings.data) / "bridges",
        as_token=registration["as_token"],
        keeper=f"@keeper:{settings.server_name}",
    )
