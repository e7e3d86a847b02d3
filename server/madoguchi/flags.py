"""Every setting as a flag of a command: `@with_settings` reads file, environment and flags and hands over Settings."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from madoguchi import config

# The flags that people use daily come first in --help.
_FIRST = ("data", "listen", "server_name")


def with_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a click command whose first parameter is `settings: Settings`. A wrong setting ends it with code 2."""

    def run(*args: Any, config_file: Path | None, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(_parameter(name)) for name in config.NAMES}
        try:
            settings = config.load(given, file=config_file)
        except config.SettingsError as error:
            raise SettingsProblem(str(error)) from None
        return command(settings, *args, **kwargs)

    decorated: Callable[..., Any] = functools.update_wrapper(run, command)
    ordered = [*_FIRST, *(name for name in config.NAMES if name not in _FIRST)]
    for name in reversed(ordered):
        decorated = _option(name)(decorated)
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="Settings file (otherwise MADOGUCHI_CONFIG, ./madoguchi.toml).",
    )(decorated)


class SettingsProblem(click.ClickException):
    """Shown as one line on standard error."""

    exit_code = 2

    def format_message(self) -> str:
        return self.message


def _parameter(name: str) -> str:
    return f"setting_{name}"


def _option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    words = config.choices(name)
    return click.option(
        "--" + name.replace("_", "-"),
        _parameter(name),
        multiple=config.is_list(name),
        metavar="|".join(words) if words else {"data": "DIR", "listen": "HOST:PORT"}.get(name, "VALUE"),
        # Checked by config.load like every other source, so that all errors read alike.
        type=str,
        default=None,
        help=config.describe(name),
    )
