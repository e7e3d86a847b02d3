"""What lets a phone keep the young person's page like an app: its manifest and icons, as the operator wants it to look.

On a shared phone the name and the icon are seen by everybody: both are neutral unless the operator chooses otherwise.
Source: W3C "Web Application Manifest"; icons for masks keep to its safe zone.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import cached_property
from io import BytesIO
from typing import Protocol

import msgspec
from aiohttp import web
from PIL import Image, ImageDraw

from madoguchi.web.static import Static

NEUTRAL_NAME = "まどぐち"
MANIFEST = "/manifest.webmanifest"
PAPER, GREY, WHITE = "#faf5ec", "#8a9491", "#ffffff"
_DRAWN = 512
# Of a mask's picture only the circle over four fifths of its width is sure to be seen; a square fits into it so.
_IN_A_CIRCLE = 0.56
_IN_A_SQUARE = 0.8

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
        chosen = self._settings.app_icon
        if not chosen:
            return draw_icons(neutral_icon())
        with Image.open(chosen) as picture:
            return draw_icons(picture.convert("RGBA"))

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


def neutral_icon() -> Image.Image:
    """A sheet of paper with three lines, as `favicon.svg` of the web client."""
    return _sheet(_DRAWN, GREY, WHITE)


# path -> how the icon is made of a square picture
ICONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "/icons/192.png": lambda picture: picture.resize((192, 192), Image.Resampling.LANCZOS),
    "/icons/512.png": lambda picture: picture.resize((512, 512), Image.Resampling.LANCZOS),
    "/icons/mask-512.png": lambda picture: _framed(picture, 512, _IN_A_CIRCLE),
    # For iPhones, which put black where a picture has nothing.
    "/icons/180.png": lambda picture: _framed(picture, 180, _IN_A_SQUARE),
    # In a phone's status bar only the outline is shown, so it is always the neutral one.
    "/icons/badge.png": lambda picture: _sheet(96, WHITE, None),
}


def draw_icons(picture: Image.Image) -> dict[str, bytes]:
    """Every icon by its path, as PNG, of a square picture (RGBA)."""
    return {path: _png(make(picture)) for path, make in ICONS.items()}


def _sheet(size: int, paper: str, lines: str | None) -> Image.Image:
    """Drawn larger and made smaller, which rounds the edges. lines: None cuts them out."""
    big = 4 * size
    unit = big / 32
    picture = Image.new("RGBA", (big, big))
    pen = ImageDraw.Draw(picture)
    pen.rounded_rectangle((5 * unit, 3 * unit, 27 * unit, 29 * unit), 3 * unit, fill=paper)
    for middle, right in ((10, 22), (16, 22), (22, 18)):
        box = (9 * unit, (middle - 1.2) * unit, (right + 1) * unit, (middle + 1.2) * unit)
        pen.rounded_rectangle(box, 1.2 * unit, fill=lines or (0, 0, 0, 0))
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def _framed(picture: Image.Image, size: int, part: float) -> Image.Image:
    """The picture in the middle of a ground without gaps: its own colour where it fills its corners, else paper."""
    corner = picture.getpixel((0, 0))
    assert isinstance(corner, tuple)
    ground = Image.new("RGB", (size, size), corner[:3] if corner[3] == 255 else PAPER)
    inner = round(size * part)
    at = (size - inner) // 2
    small = picture.resize((inner, inner), Image.Resampling.LANCZOS)
    ground.paste(small, (at, at), small)
    return ground


def _png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()
