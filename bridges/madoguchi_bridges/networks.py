"""The apps this bridge knows: kind of channel → how to build its Network from the channel's opened secrets."""

from collections.abc import Callable, Mapping

from .config import Config
from .line import Line
from .network import Network
from .telegram import Telegram

Factory = Callable[[Mapping[str, str], Config], Network]
"""Raises KeyError or ValueError when the secrets are not enough."""

NETWORKS: dict[str, Factory] = {
    "line": lambda secrets, config: Line(secrets, api_base=config.line_api_base, data_base=config.line_data_base),
    "telegram": lambda secrets, config: Telegram(secrets, api_base=config.telegram_api_base),
}
