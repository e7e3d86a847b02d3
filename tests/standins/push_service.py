"""A browser, and the push service of its maker: opens what is sealed for it, and looks at who has signed."""

import asyncio
import base64
import json
import re
import secrets
import time
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.house import PUSH_SERVICE_PORT
from tests.search import TOLD

Json = dict[str, Any]


def text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def data(written: str) -> bytes:
    return base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))


class Browser:
    """One browser that has subscribed: its keys, and what has come."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.secret = secrets.token_bytes(16)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.heard: list[bytes] = []

    @property
    def public(self) -> bytes:
        form = serialization.PublicFormat.UncompressedPoint
        return self.key.public_key().public_bytes(serialization.Encoding.X962, form)

    def subscription(self, **more: Any) -> Json:
        """As the page tells it to the desk."""
        return {"endpoint": self.endpoint, "p256dh": text(self.public), "auth": text(self.secret)} | more

    def opens(self, body: bytes) -> bytes:
        """What is sealed in a body (RFC 8291, RFC 8188). Raises InvalidTag or ValueError for what is not for it."""
        salt, size, length = body[:16], int.from_bytes(body[16:20]), body[20]
        theirs, sealed = body[21 : 21 + length], body[21 + length :]
        if not 18 <= len(sealed) <= size:
            raise ValueError("not one record")
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        info = b"WebPush: info\0" + self.public + theirs
        secret = HKDF(hashes.SHA256(), 32, self.secret, info).derive(shared)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
        message, mark, padding = AESGCM(key).decrypt(nonce, sealed, None).rpartition(b"\2")
        if mark != b"\2" or padding.strip(b"\0"):
            raise ValueError("not the last record")
        return message


class PushService:
    """Listens where the houses under test may push to. `answers`: the status of each next answer, then 201."""

    def __init__(self, key: str) -> None:
        """key: by which the desk said that it would sign."""
        self.key = key
        self.answers: list[int] = []
        self.tries = 0
        self.complaints: list[str] = []
        self._browsers: dict[str, Browser] = {}
        self._runner: web.AppRunner | None = None

    origin = f"http://127.0.0.1:{PUSH_SERVICE_PORT}"

    def browser(self) -> Browser:
        """One more that has subscribed."""
        name = secrets.token_hex(8)
        self._browsers[name] = Browser(f"{self.origin}/push/{name}?v=1")
        return self._browsers[name]

    async def opens(self) -> None:
        app = web.Application()
        app.router.add_post("/push/{name}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", PUSH_SERVICE_PORT, reuse_address=True).start()

    async def closes(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def hears(self, browser: Browser, times: int = 1, within_s: float = 15) -> bytes:
        """Waits until a browser has been told something for the nth time."""
        ends = time.monotonic() + within_s
        while len(browser.heard) < times:
            assert time.monotonic() < ends, f"told {len(browser.heard)} times"
            await asyncio.sleep(0.05)
        return browser.heard[times - 1]

    async def _take(self, request: web.Request) -> web.Response:
        self.tries += 1
        body = await request.read()
        TOLD.append(("a browser's push service", body))
        status = self.answers.pop(0) if self.answers else 201
        try:
            self._check(request)
            if status < 300:
                browser = self._browsers[request.match_info["name"]]
                browser.heard.append(browser.opens(body))
                TOLD.append(("a browser, opened", browser.heard[-1]))
        except Exception as wrong:
            self.complaints.append(f"{type(wrong).__name__}: {wrong}")
        return web.Response(status=status)

    def _check(self, request: web.Request) -> None:
        assert request.query_string == "v=1"
        assert request.headers["Content-Encoding"] == "aes128gcm"
        assert 0 <= int(request.headers["TTL"]) <= 28 * 24 * 3600
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", request.headers["Topic"])
        assert request.headers["Urgency"] in ("very-low", "low", "normal", "high")
        claims = signed(request.headers["Authorization"], self.key)
        assert claims["aud"] == self.origin
        assert time.time() < claims["exp"] <= time.time() + 24 * 3600 + 60
        assert urlsplit(claims["sub"]).scheme in ("mailto", "https")


def signed(authorization: str, key: str) -> Json:
    """The claims of a VAPID header (RFC 8292) that is signed by `key`. Raises InvalidSignature, AssertionError."""
    found = re.fullmatch(r"vapid t=([\w-]+\.[\w-]+)\.([\w-]+), ?k=([\w-]+)", authorization)
    assert found is not None and found[3] == key
    head, claims = (json.loads(data(part)) for part in found[1].split("."))
    assert head["alg"] == "ES256"
    signature = data(found[2])
    if len(signature) != 64:
        raise InvalidSignature
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data(key))
    pair = utils.encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    public.verify(pair, found[1].encode(), ec.ECDSA(hashes.SHA256()))
    told: Json = claims
    return told
