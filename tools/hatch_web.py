"""Puts the built web client into the wheel, where `serve` looks for it, when it has been built."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WebHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        built = Path(self.root) / "client-web" / "dist"
        # An editable install finds client-web/dist in the checkout itself.
        if version != "editable" and (built / "index.html").is_file():
            build_data["force_include"][str(built)] = "madoguchi/_web"
