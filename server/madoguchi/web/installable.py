"""What lets a phone keep the young person's page like an app: its manifest and icons, as the operator wants it to look.

On a shared phone the name and the icon are seen by everybody: both are neutral unless the operator chooses otherwise.
Source: W3C "Web Application Manifest"; icons for masks keep to its safe zone.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Protocol

import msgspec
from aiohttp import web

from madoguchi.web.static import Static

NEUTRAL_NAME = "まどぐち"
MANIFEST = "/manifest.webmanifest"
PAPER = "#faf5ec"
ICONS = ("/icons/192.png", "/icons/512.png", "/icons/mask-512.png", "/icons/180.png", "/icons/badge.png")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class AppSettings(Protocol):
    """The settings that decide how the app looks."""

    @property
    def app_name(self) -> str: ...
    @property
    def app_icon(self) -> str: ...


class Installable:
    """Answers for the manifest and its icons, and hands everything else on.

    The operator's icon (a square PNG, checked with the settings) is read once, at the first request for any icon.
    """

    def __init__(self, settings: AppSettings, static: Static, rest: Handler) -> None:
        self._settings = settings
        self._static = static
        self._rest = rest

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return await self._rest(request)
        if request.path == MANIFEST:
            return self._told(request, manifest(self._settings.app_name or NEUTRAL_NAME), "application/manifest+json")
        if request.path in ICONS:
            icons = await asyncio.to_thread(lambda: self._icons)
            return self._told(request, icons[request.path], "image/png")
        return await self._rest(request)

    @cached_property
    def _icons(self) -> dict[str, bytes]:
        # Pillow takes three megabytes, once somebody asks.
        from madoguchi.web.icons import draw

        return dict(zip(ICONS, draw(self._settings.app_icon, PAPER), strict=True))

    def _told(self, request: web.BaseRequest, body: bytes, content_type: str) -> web.Response:
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        if request.headers.get("If-None-Match") == etag:
            return self._static.made(b"", content_type, etag, status=304)
        return self._static.made(body, content_type, etag)


def manifest(name: str) -> bytes:
    """The manifest. It says nothing about what the page is for: no description, no shortcuts."""

    def icon(path: str, size: int, purpose: str) -> dict[str, str]:
        return {"src": path, "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}

    return msgspec.json.encode(
        {
            "id": "/",
            "name": name,
            "short_name": name,
            "lang": "ja",
            "start_url": "/",
            "scope": "/",
            "display": "standalone",
            "background_color": PAPER,
            "theme_color": PAPER,
            "icons": [
                icon("/icons/192.png", 192, "any"),
                icon("/icons/512.png", 512, "any"),
                icon("/icons/mask-512.png", 512, "maskable"),
            ],
        }
    )
