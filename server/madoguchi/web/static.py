"""The web client's files: pages, hashed assets, guidance. Knows no user and touches no database."""

from email.utils import formatdate
from pathlib import Path
from time import monotonic
from typing import Protocol

from aiohttp import web

# Only our own script, no inline code; WebAssembly for the encryption; Trusted Types: Svelte's policy, and one that lets
# a single address be a service worker.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; "
    "media-src blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types svelte-trusted-html madoguchi-worker"
)
SAFETY = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self), payment=(), usb=(), browsing-topics=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
LOOK_AGAIN_S = 2.0
A_YEAR = "public, max-age=31536000, immutable"
ASK_EVERY_TIME = "no-cache"

_PAGE = """<!doctype html>
<html lang="ja"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<h1>{title}</h1>
{text}
<p>命の危険があるとき: <a href="tel:110">110</a> / <a href="tel:119">119</a><br>
24時間子供SOSダイヤル: <a href="tel:0120078310">0120-0-78310</a><br>
児童相談所: <a href="tel:189">189</a></p>
"""
_NOT_FOUND = _PAGE.format(
    title="ページが見つかりません",
    text='<p><a href="/">相談のページへ</a> ・ <a href="/guidance/">電話で話せるところ</a></p>\n'
    '<p lang="en">This page does not exist. <a href="/">Back to the start</a></p>',
)
_NOT_BUILT = _PAGE.format(
    title="準備中です",
    text='<p lang="en">The web pages of this desk have not been built yet. Whoever runs it: '
    "<code>make setup</code> builds them.</p>",
)


class WebSettings(Protocol):
    """The settings this page server reads."""

    @property
    def public_url(self) -> str: ...


def find_root() -> Path:
    """Where the built pages lie: `madoguchi/_web` in an installed wheel, else `client-web/dist` of the source tree."""
    package = Path(__file__).resolve().parents[1]
    packed = package / "_web"
    return packed if packed.is_dir() else package.parents[1] / "client-web" / "dist"


class Static:
    """Answers GET and HEAD for everything that is not an API.

    `root` is the folder of built files. Takes any aiohttp request; gives 200 with the file (brotli or gzip where it
    lies beside it and the browser takes it), 304, 308 to a folder's slash, 404 with a page that names other ways out,
    405, or 503 while there is no build. Raises nothing for any path: only names found in the folder are served.
    """

    def __init__(self, root: Path, settings: WebSettings | None = None) -> None:
        self.root = root.resolve()
        self._safety = dict(SAFETY)
        if settings is not None and settings.public_url.startswith("https://"):
            self._safety["Strict-Transport-Security"] = "max-age=31536000"
        self._files: dict[str, Path] = {}
        self._seen: int | None = None
        self._listed_at = 0.0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return self.page(405, _NOT_FOUND, {"Allow": "GET, HEAD"})
        files = self._list()
        if not files:
            return self.page(503, _NOT_BUILT, {"Retry-After": "10"})
        name = request.path
        wanted = name + "index.html" if name.endswith("/") else name
        file = files.get(wanted) or self._list(missed=True).get(wanted)
        if file is not None:
            return web.FileResponse(file, headers=self._headers_of(name, file))
        if name + "/index.html" in files:
            return web.Response(status=308, headers={**self._safety, "Location": name + "/"})
        return self.page(404, _NOT_FOUND)

    def text(self, name: str) -> str | None:
        """A page of the build, or None if it is not there."""
        file = self._list().get("/" + name)
        try:
            return file.read_text(encoding="utf-8") if file is not None else None
        except OSError:
            return None

    def _list(self, *, missed: bool = False) -> dict[str, Path]:
        # A new build changes the start page's time: one stat per request instead of a restart after each build.
        try:
            seen = (self.root / "index.html").stat().st_mtime_ns
        except OSError:
            return {}
        # What is missing may have come since: a build writes the start page before the last of its files.
        if seen != self._seen or (missed and monotonic() - self._listed_at > LOOK_AGAIN_S):
            self._listed_at = monotonic()
            self._files = {
                "/" + path.relative_to(self.root).as_posix(): path
                for path in self.root.rglob("*")
                if path.suffix in TYPES and path.is_file() and path.resolve().is_relative_to(self.root)
            }
            self._seen = seen
        return self._files

    def _headers_of(self, name: str, file: Path) -> dict[str, str]:
        caching = A_YEAR if name.startswith("/assets/") else ASK_EVERY_TIME
        return {**self._safety, "Content-Type": TYPES[file.suffix], "Cache-Control": caching, "Vary": "Accept-Encoding"}

    def made(self, body: bytes, content_type: str, etag: str | None = None, *, status: int = 200) -> web.Response:
        """What is made here and asked for every time, with the headers of all pages."""
        headers = {**self._safety, "Cache-Control": ASK_EVERY_TIME, "Content-Type": content_type}
        return web.Response(status=status, body=body, headers=headers | ({"ETag": etag} if etag else {}))

    def page(self, status: int, html: str, headers: dict[str, str] | None = None) -> web.Response:
        """A page that is made here, with the headers of all pages."""
        return web.Response(
            status=status,
            text=html,
            content_type="text/html",
            charset="utf-8",
            headers={**self._safety, "Cache-Control": "no-store", "Date": formatdate(usegmt=True), **(headers or {})},
        )
