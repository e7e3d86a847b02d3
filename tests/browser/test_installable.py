"""The page as an app on a phone: neutral, unless the operator wants it otherwise."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from PIL import Image

from madoguchi import config
from madoguchi.web.installable import ICONS, MANIFEST, NEUTRAL_NAME, PAPER, Installable
from madoguchi.web.static import POLICY, Static
from tests.browser.people import PICTURES

GREEN = (20, 120, 60, 255)


class Page:
    """The manifest and the icons of one desk."""

    def __init__(self, folder: Path, **settings: str) -> None:
        loaded = config.load({"data": str(folder), **settings}, environ={"MADOGUCHI_CONFIG": ""})
        self.answers = Installable(loaded, Static(folder), self._rest)

    async def _rest(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=404)

    async def gets(self, path: str, **headers: str) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.answers(make_mocked_request("GET", path, named))
        assert isinstance(answer, web.Response)
        return answer

    async def manifest(self) -> dict[str, Any]:
        answer = await self.gets(MANIFEST)
        assert answer.content_type == "application/manifest+json"
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert isinstance(answer.body, bytes)
        told: dict[str, Any] = json.loads(answer.body)
        return told

    async def icon(self, path: str) -> Image.Image:
        answer = await self.gets(path)
        assert answer.content_type == "image/png" and isinstance(answer.body, bytes)
        return Image.open(io.BytesIO(answer.body))


def corner(picture: Image.Image) -> str:
    colour = picture.convert("RGB").getpixel((0, 0))
    assert isinstance(colour, tuple)
    return "#{:02x}{:02x}{:02x}".format(*colour)


async def test_by_default_it_says_nothing_about_what_it_is_for(tmp_path: Path) -> None:
    page = Page(tmp_path)
    told = await page.manifest()
    assert (told["name"], told["short_name"], told["display"]) == (NEUTRAL_NAME, NEUTRAL_NAME, "standalone")
    assert (told["id"], told["start_url"], told["scope"]) == ("/", "/", "/")
    assert not {"description", "shortcuts", "categories", "screenshots"} & set(told)
    assert {icon["purpose"] for icon in told["icons"]} == {"any", "maskable"}
    for icon in told["icons"]:
        picture = await page.icon(icon["src"])
        assert f"{picture.width}x{picture.height}" == icon["sizes"]
    mask, apple = await page.icon("/icons/mask-512.png"), await page.icon("/icons/180.png")
    # What a mask cuts off, and what an iPhone would fill with black, is paper.
    assert corner(mask) == corner(apple) == PAPER and mask.mode == apple.mode == "RGB"
    badge = await page.icon("/icons/badge.png")
    assert badge.mode == "RGBA" and badge.getpixel((0, 0)) == (0, 0, 0, 0) and badge.getpixel((48, 40)) != (0, 0, 0, 0)
    PICTURES.mkdir(parents=True, exist_ok=True)
    mask.save(PICTURES / "icon-mask.png")


async def test_the_operator_chooses_name_and_icon(tmp_path: Path) -> None:
    icon = tmp_path / "icon.png"
    Image.new("RGBA", (600, 600), GREEN).save(icon)
    page = Page(tmp_path, app_name="メモ", app_icon=str(icon))
    assert (await page.manifest())["name"] == "メモ"
    for path in set(ICONS) - {"/icons/badge.png"}:
        # A picture that fills its corners goes on to the edge of every mask.
        assert corner(await page.icon(path)) == "#14783c", path
    badge = await page.icon("/icons/badge.png")
    assert badge.getpixel((0, 0)) == (0, 0, 0, 0)


async def test_what_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    page = Page(tmp_path)
    for path in (MANIFEST, "/icons/192.png"):
        first = await page.gets(path)
        again = await page.gets(path, If_None_Match=first.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
    assert (await page.gets("/icons/../icons/192.png")).status == 404
    assert (await page.gets("/icons/64.png")).status == 404


@pytest.mark.parametrize("size", [(600, 500), (128, 128)])
def test_an_icon_that_is_no_icon_is_refused_at_the_start(tmp_path: Path, size: tuple[int, int]) -> None:
    icon = tmp_path / "icon.png"
    Image.new("RGB", size).save(icon)
    with pytest.raises(config.SettingsError, match="square PNG of 512"):
        Page(tmp_path, app_icon=str(icon))
